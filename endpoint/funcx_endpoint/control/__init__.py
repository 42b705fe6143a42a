"""How programs of the same user on the same machine ask something of an endpoint's agent while it runs."""
