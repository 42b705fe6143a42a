"""The version, under its documented names."""

from funcx_core import __version__

VERSION = __version__

__all__ = ["VERSION", "__version__"]
