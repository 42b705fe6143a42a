"""The documented import names of funcX: re-exports, nothing else."""

from funcx_core import __version__
from funcx_core.errors import FuncxError as FuncxAPIError
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor

__all__ = ["FuncXClient", "FuncXExecutor", "FuncxAPIError", "__version__"]
