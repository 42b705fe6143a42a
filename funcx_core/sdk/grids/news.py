"""Something has happened: it is counted, so that whoever waits for more misses nothing."""

from __future__ import annotations

import threading


class News:
    """How much was heard. Any thread may tell, and wait."""

    def __init__(self) -> None:
        self._count = 0
        self._told = threading.Condition()

    def count(self) -> int:
        """Return how much was heard by now: to be asked before what it is about is looked at."""
        return self._count

    def tell(self) -> None:
        """Something has happened."""
        with self._told:
            self._count += 1
            self._told.notify_all()

    def await_more(self, count: int, timeout: float | None) -> bool:
        """Wait until more was heard than that; False if it was not after so many seconds."""
        with self._told:
            return self._told.wait_for(lambda: self._count != count, timeout)
