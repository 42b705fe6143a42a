"""The error of the service, under its documented name."""

from funcx_core.errors import FuncxError as FuncxAPIError

__all__ = ["FuncxAPIError"]
