"""What a client asks a service before its first request: which versions it takes, what it asks of its clients."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Greeting:
    """Does something once, before everything else, from whichever thread comes first; after a failure again.

    Args:
        greet: raises if the service cannot be used.
    """

    def __init__(self, greet: Callable[[], None]) -> None:
        self._greet = greet
        self._is_done = False
        self._lock = threading.RLock()
        self._is_under_way = False

    def __call__(self) -> bool:
        """Return when it is done; False for the requests of the greeting itself, which pass."""
        if self._is_done:
            return True
        with self._lock:
            if self._is_done:
                return True
            if self._is_under_way:
                return False
            self._is_under_way = True
            try:
                self._greet()
            finally:
                self._is_under_way = False
            self._is_done = True
        return True
