"""`funcx jupyter enable`: every kernel of this user has the magics without being asked."""
