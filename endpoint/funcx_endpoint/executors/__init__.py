"""Where an endpoint's tasks run."""

from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

__all__ = ["HighThroughputExecutor"]
