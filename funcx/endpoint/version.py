"""The version, where the first release of endpoints had it."""

from funcx.version import VERSION

__all__ = ["VERSION"]
