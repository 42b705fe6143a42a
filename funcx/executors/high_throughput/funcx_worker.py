"""The process that runs one task after the other, where the first release had it."""

from funcx_endpoint.worker.process import Worker as FuncXWorker
from funcx_endpoint.worker.process import main as cli_run

__all__ = ["FuncXWorker", "cli_run"]
