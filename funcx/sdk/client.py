"""The client, under its documented name."""

from funcx_core.sdk.client import FuncXClient

__all__ = ["FuncXClient"]
