"""The serializer, under its documented name."""

from funcx_core.serialize import FuncXSerializer

__all__ = ["FuncXSerializer"]
