"""Asyncio futures of tasks, under their documented name."""

from funcx_core.sdk.asynchronous import FuncXTask

__all__ = ["FuncXTask"]
