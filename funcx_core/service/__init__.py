"""The web service: who may do what, what is durable, and the HTTP and WebSocket faces of both."""
