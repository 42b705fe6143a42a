"""The executor, under its documented name."""

from funcx_core.sdk.executor import FuncXExecutor

__all__ = ["FuncXExecutor"]
