"""The forwarder, where the first release had it."""

from funcx_core.forwarder.process import Forwarder

__all__ = ["Forwarder"]
