"""The queue between web service and forwarder, where the first release had it."""

from funcx_core.queues.base import FuncxQueue, NotConnected

__all__ = ["FuncxQueue", "NotConnected"]
