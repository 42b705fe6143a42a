"""funcX, self-hosted: protocol, SDK, web service and forwarder."""

__version__ = "0.1.0"
