"""The executor, where the first release had it."""

from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

__all__ = ["HighThroughputExecutor"]
