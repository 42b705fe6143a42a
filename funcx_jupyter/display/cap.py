"""How much of what a cell prints is shown: the beginning, and the end; between them a line says how much is hidden. Pure."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Final

MOST: Final = 1_000_000
"""Characters that are shown of a cell while it runs: a notebook with more is slow, and slow to save."""
END: Final = 8_000
"""Characters that are shown of its end."""
_OFTEN: Final = 1.0
"""Seconds between two changes of the line."""


def hidden_line(lines: int, more: str, *, size: int = 0) -> str:
    """Return what stands for what is hidden: ``… 120 340 lines hidden — `%funcx logs 3f2a` ``.

    Args:
        lines: that are hidden.
        more: what to type to see them.
        size: bytes that are hidden, told if they are not even one line.
    """
    what = counted(lines, "line") if lines else counted(size, "byte")
    return f"… {what} hidden — `{more}`"


def counted(number: int, what: str) -> str:
    """Return a number of things: ``120 340 lines``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}".replace(",", " ")


def left_out(body: bytes) -> tuple[int, int]:
    """Return the lines and bytes that an event of kind ``truncated`` tells of."""
    told = json.loads(body)
    return int(told.get("lines") or 0), int(told.get("bytes") or 0)


class Cap:
    """What of a cell's text is shown.

    Args:
        more: what to type to see the rest.
    """

    def __init__(self, more: str, most: int = MOST, end: int = END) -> None:
        self._more = more
        self._most = most
        self._end = end
        self._room = most
        self._held: deque[tuple[str, str]] = deque()
        self._held_size = 0
        self._lines = 0
        self._bytes = 0

    @property
    def is_hiding(self) -> bool:
        """Whether there is something to be said of what is not shown."""
        return bool(self._bytes or self._held)

    def take(self, stream: str, text: str) -> str:
        """Return the part of a text that is to be shown now."""
        if len(text) <= self._room:
            self._room -= len(text)
            return text
        shown = text[: self._room]
        self._room = 0
        self._held.append((stream, text[len(shown) :]))
        self._held_size += len(text) - len(shown)
        while self._held_size > 2 * self._end:
            self._let_go()
        return shown

    def left_out(self, lines: int, size: int) -> None:
        """The endpoint has left out so much, of what comes after all that was taken."""
        while self._held:
            self._let_go(all_of_it=True)
        self._lines += lines
        self._bytes += size

    def cleared(self) -> None:
        """What was shown is gone."""
        self.__init__(self._more, self._most, self._end)  # type: ignore[misc]

    def line(self) -> str:
        """Return what stands for what is hidden now."""
        held = sum(text.count("\n") for _, text in self._held)
        return hidden_line(self._lines + held, self._more, size=self._bytes + self._held_size)

    def finish(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the line for what stays hidden, if anything does, and the end of the text."""
        while self._held_size > self._end:
            self._let_go()
        line = hidden_line(self._lines, self._more, size=self._bytes) if self._bytes else ""
        end = list(self._held)
        self._held.clear()
        self._held_size = self._bytes = 0
        return line, end

    def _let_go(self, *, all_of_it: bool = False) -> None:
        stream, text = self._held.popleft()
        surplus = len(text) if all_of_it else min(len(text), self._held_size - self._end)
        newline = text.find("\n", surplus - 1)
        cut = len(text) if newline < 0 or all_of_it else newline + 1  # What is left begins with a whole line.
        self._held_size -= cut
        self._lines += text.count("\n", 0, cut)
        self._bytes += cut
        if cut < len(text):
            self._held.appendleft((stream, text[cut:]))


class Hidden:
    """Keeps the line about what is hidden up to date while its cell runs.

    Args:
        cap: decides what is hidden.
        show: takes the line, whether it is the first, and whether it is the last.
        clock: monotonic seconds.
    """

    def __init__(
        self, cap: Cap, show: Callable[[str, bool, bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.cap = cap
        self._show = show
        self._clock = clock
        self._told_at: float | None = None

    def tell(self) -> None:
        """Say how much is hidden, once a second."""
        now = self._clock()
        if self.cap.is_hiding and (self._told_at is None or now - self._told_at >= _OFTEN):
            self._show(self.cap.line(), self._told_at is None, False)
            self._told_at = now

    def cleared(self) -> None:
        """What was shown is gone, the line too."""
        self.cap.cleared()
        self._told_at = None

    def finish(self) -> list[tuple[str, str]]:
        """Say how much stays hidden, and return the end of the text, which is to be shown after that."""
        line, end = self.cap.finish()
        if line or self._told_at is not None:
            self._show(line or "…", self._told_at is None, True)
        self._told_at = None
        return end
