"""``from funcx_endpoint.endpoint.utils.config import Config``, as documented."""

from funcx_endpoint.config import Config

__all__ = ["Config"]
