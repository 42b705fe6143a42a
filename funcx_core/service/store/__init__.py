"""The truth about tasks, functions, endpoints and users. `base` is the seam, `sqlite` the embedded implementation."""

from funcx_core.service.store.base import Store
from funcx_core.service.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "Store"]
