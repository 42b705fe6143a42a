"""What tasks have printed and shown that the service may not have heard: kept for a new session. Pure.

Events are not acknowledged, one by one that would cost too much. But a service that is heard has taken what was sent a while
before. Sent twice, an event is taken once: it has a number.
"""

from __future__ import annotations

from collections import deque
from typing import Final

COMMITTED_WITHIN: Final = 2.0
"""Seconds after which a service that works has committed what it got."""
MOST_BYTES: Final = 16 * 1024 * 1024


class Unheard:
    """Messages, oldest first. Of too many the oldest go."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._messages: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, message: bytes, now: float) -> None:
        """A message was sent, or would have been if there were a session."""
        self._messages.append((now, message))
        self._bytes += len(message)
        while self._bytes > self._most_bytes:
            self._drop_oldest()

    def heard(self, at: float) -> None:
        """The service was heard at this time."""
        while self._messages and self._messages[0][0] < at - COMMITTED_WITHIN:
            self._drop_oldest()

    def messages(self) -> list[bytes]:
        """Return them."""
        return [message for _, message in self._messages]

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._messages.popleft()[1])
