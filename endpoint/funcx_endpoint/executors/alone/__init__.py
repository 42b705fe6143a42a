"""An executor with no service: it starts the ordinary agent and is that agent's forwarder itself."""
