"""What a client is told that asks too much, under the documented names. The limits are the service's."""

from funcx_core.errors import PayloadTooLarge as MaxRequestSizeExceeded
from funcx_core.errors import RateLimited as MaxRequestsExceeded

__all__ = ["MaxRequestSizeExceeded", "MaxRequestsExceeded"]
