"""Making endpoints on this machine and removing them."""
