"""As whom the endpoints of this machine are registered, and what is asked of the service about them."""
