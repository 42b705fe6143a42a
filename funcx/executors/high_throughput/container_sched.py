"""How workers are shared out between kinds of containers, where the first release had it."""

from funcx_endpoint.manager.machine.worker_map import naive_scheduler

__all__ = ["naive_scheduler"]
