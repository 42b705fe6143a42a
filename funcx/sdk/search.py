"""What a search for functions gives, under its documented name."""

from funcx_core.sdk.search import FunctionSearchResults

__all__ = ["FunctionSearchResults"]
