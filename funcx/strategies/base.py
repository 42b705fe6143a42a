"""What strategies derive from, where the first release had it."""

from funcx_endpoint.strategies.base import BaseStrategy, Timer

__all__ = ["BaseStrategy", "Timer"]
