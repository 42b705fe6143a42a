"""Bars in a terminal: one line that is written anew in place while they are open, and a line for each that is left at the end."""

from __future__ import annotations

import shutil
from typing import Final, Protocol

from funcx_core.progress import text
from funcx_core.protocol.progress import Progress

_ERASE: Final = "\r\x1b[K"


class Stream(Protocol):
    """Where it is written."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Show it."""

    def isatty(self) -> bool:
        """Whether a line can be written anew; if not, the end alone is shown."""


class TerminalLine:
    """A line of a terminal. Whoever else writes to the terminal calls `aside` before."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._drawn = ""
        self._last: Progress | None = None

    def paint(self, progress: Progress) -> None:
        """Show how it is now."""
        self._last = progress
        if not self._is_live:
            return
        drawn = text.open_line(progress, shutil.get_terminal_size().columns - 1)
        if drawn != self._drawn:
            self._write(f"{_ERASE}{drawn}")
            self._drawn = drawn

    def aside(self) -> None:
        """Remove the line; the next `paint` draws it again."""
        if self._drawn:
            self._write(_ERASE)
            self._drawn = ""

    def end(self) -> None:
        """Leave the bars as they are now, a line each."""
        self.aside()
        if self._last is not None and self._last.bars:
            self._write("".join(f"{line}\n" for line in text.lines(self._last)))
        self._last = None

    def _write(self, drawn: str) -> None:
        self._stream.write(drawn)
        self._stream.flush()
