"""Progress bars of users' code, told as events instead of characters."""
