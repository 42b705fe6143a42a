"""Futures of tasks, under their documented name."""

from funcx_core.sdk.futures import FuncXFuture

__all__ = ["FuncXFuture"]
