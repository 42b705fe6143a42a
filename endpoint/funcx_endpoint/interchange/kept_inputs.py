"""Which inputs of cells stay on disk for the next cell: those that were used last. Pure."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

KEPT_SECONDS: Final = 7 * 24 * 3600.0
"""How long an input that no task uses is kept at most."""


class KeptInputs:
    """The inputs on disk, the one that was used longest ago first. Times are Unix seconds.

    Args:
        limit: bytes of all together; those of open tasks stay, however many they have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, tuple[int, float]] = {}

    def used(self, name: str, size: int, at: float) -> None:
        """An input is on disk, and a task uses it now or did so at that time."""
        self._known.pop(name, None)
        self._known[name] = (size, at)

    def gone(self, name: str) -> None:
        """An input is not on disk any more."""
        self._known.pop(name, None)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(size for size, _ in self._known.values())

    def to_remove(self, needed: Container[str], now: float) -> list[str]:
        """Return what has to go, and forget it. `needed`: what open tasks use."""
        excess = self.size - self._limit
        removed = []
        for name, (size, at) in list(self._known.items()):
            if name in needed or (excess <= 0 and now < at + KEPT_SECONDS):
                continue
            del self._known[name]
            removed.append(name)
            excess -= size
        return removed
