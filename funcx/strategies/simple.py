"""Blocks follow the load, where the first release had it."""

from funcx_endpoint.strategies.simple import SimpleStrategy

__all__ = ["SimpleStrategy"]
