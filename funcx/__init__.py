"""The documented import names of funcX: re-exports, nothing else."""

from funcx_core import __version__
from funcx_core.commands.function import ShellFunction
from funcx_core.commands.mpi import MPIFunction
from funcx_core.commands.result import ShellResult
from funcx_core.errors import FuncxError as FuncxAPIError
from funcx_core.progress.bar import progress
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.loggers import set_file_logger, set_stream_logger
from funcx_core.sdk.mapping import get_grid, grid, provenance
from funcx_core.sdk.mapping import map_calls as map  # noqa: A004 - `funcx.map`, as the builtin is called

__all__ = [
    "FuncXClient",
    "FuncXExecutor",
    "FuncXFuture",
    "FuncxAPIError",
    "MPIFunction",
    "ShellFunction",
    "ShellResult",
    "__version__",
    "get_grid",
    "grid",
    "map",
    "progress",
    "provenance",
    "set_file_logger",
    "set_stream_logger",
]
