"""What a task prints when it has printed too much: its end is kept, the rest is counted. Pure."""

from __future__ import annotations

from collections import deque

from funcx_core.protocol.task import EventKind


class Overflow:
    """Keeps the last `room` bytes, from the start of a line if there is one."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._pieces: deque[tuple[EventKind, bytes]] = deque()
        self._size = 0
        self._is_at_line = False
        self.bytes = 0
        """Bytes that are gone."""
        self.lines = 0
        """Lines that are gone."""

    def add(self, kind: EventKind, text: bytes) -> None:
        """Take UTF-8 text."""
        self._pieces.append((kind, text))
        self._size += len(text)
        # Twice as much before it is cut, so that a byte is not moved each time another one comes.
        if self._size > 2 * self._room:
            self._cut()

    def finish(self) -> list[tuple[EventKind, bytes]]:
        """Return the end of the text. What is gone is known now."""
        if self._size > self._room:
            self._cut()
        if self.bytes and not self._is_at_line:
            self._begin_with_a_line()
        return list(self._pieces)

    def _cut(self) -> None:
        while self._size > self._room:
            kind, text = self._pieces.popleft()
            surplus = self._size - self._room
            gone = text[:surplus]
            rest = text[surplus:].decode(errors="ignore").encode()  # It may begin in the middle of a character.
            if rest:
                gone = text[: len(text) - len(rest)]
                self._pieces.appendleft((kind, rest))
            self._forget(gone)

    def _begin_with_a_line(self) -> None:
        if b"\n" not in b"".join(text for _, text in self._pieces)[:-1]:
            return  # Nothing would be left.
        while self._pieces:
            kind, text = self._pieces.popleft()
            gone, newline, rest = text.partition(b"\n")
            self._forget(gone + newline)
            if newline:
                if rest:
                    self._pieces.appendleft((kind, rest))
                return

    def _forget(self, text: bytes) -> None:
        self._size -= len(text)
        self._is_at_line = text.endswith(b"\n")
        self.bytes += len(text)
        self.lines += text.count(b"\n")
