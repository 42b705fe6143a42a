"""What keeps a client from asking too much, under the documented names."""

from funcx_core.errors import MaxRequestsExceeded, MaxRequestSizeExceeded, ThrottlingException
from funcx_core.sdk.throttling import ThrottledBaseClient

__all__ = ["MaxRequestSizeExceeded", "MaxRequestsExceeded", "ThrottledBaseClient", "ThrottlingException"]
