"""``from funcx.executors import HighThroughputExecutor``, as the first release had it."""

from funcx_endpoint.executors import HighThroughputExecutor

__all__ = ["HighThroughputExecutor"]
