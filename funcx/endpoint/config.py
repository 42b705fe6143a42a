"""What configures an endpoint, where the first release had it."""

from funcx_endpoint.config import Config

__all__ = ["Config"]
