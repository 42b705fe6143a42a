"""The executor and its futures, under their documented names."""

from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.futures import FuncXFuture

__all__ = ["FuncXExecutor", "FuncXFuture"]
