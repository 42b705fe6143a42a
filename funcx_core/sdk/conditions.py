"""Threads that wait until something holds, of which another thread learns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Settable(Protocol):
    """An event of either kind."""

    def set(self) -> None:
        """What was waited for is there."""


class Conditions:
    """What is waited for. Whoever may have changed something calls `release`; `is_empty` says that it need not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Callable[[], bool], Settable]] = []
        self._is_over = False

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    def add(self, condition: Callable[[], bool], reached: Settable) -> bool:
        """Set `reached` when the condition holds. False if nobody will look any more: then it is set at once."""
        with self._lock:
            if not self._is_over:
                self._waiting.append((condition, reached))
                return True
        reached.set()
        return False

    def release(self) -> None:
        """Set what holds now."""
        with self._lock:
            judged = [(each, self._is_over or each[0]()) for each in self._waiting]
            self._waiting = [each for each, is_reached in judged if not is_reached]
        for (_, reached), is_reached in judged:
            if is_reached:
                reached.set()

    def end(self) -> None:
        """Nobody will look any more: nobody shall wait."""
        with self._lock:
            self._is_over = True
        self.release()
