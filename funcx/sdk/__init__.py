"""The SDK, under its documented names."""

from funcx_core import __version__

__all__ = ["__version__"]
