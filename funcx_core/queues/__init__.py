"""How committed tasks reach the forwarder, and results the web services, without asking the store."""

from funcx_core.queues.base import FuncxQueue, NotConnected
from funcx_core.queues.memory import MemoryQueue

__all__ = ["FuncxQueue", "MemoryQueue", "NotConnected"]
