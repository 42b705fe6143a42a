"""The SDK, under its documented names."""

from funcx.version import VERSION as __version__

__all__ = ["__version__"]
