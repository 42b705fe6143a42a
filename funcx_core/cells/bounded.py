"""Memory that takes so many bytes and no more, so that what is far too large is not pickled to its end."""

from __future__ import annotations

import io
from typing import Any


class NoRoom(Exception):
    """There is more to write than there may be."""


class Bounded(io.BytesIO):
    """Raises `NoRoom` where more than `limit` bytes are written."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any) -> int:
        """Take some bytes."""
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise NoRoom
        return super().write(data)
