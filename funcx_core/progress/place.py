"""Where bars of `progress` go: to the task that runs here, else into the notebook or terminal of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from funcx_core.progress.board import Board
from funcx_core.progress.terminal import TerminalLine
from funcx_core.protocol.progress import Progress


class Painter(Protocol):
    """Draws one group of bars: those that are open at the same time."""

    def paint(self, progress: Progress) -> None:
        """Draw the bars as they are. The first time it is the thread of the user's code that calls."""

    def end(self) -> None:
        """No bar of the group is open any more."""


class _Here:
    """The board of a process that is no worker. A painter is found anew for each group of bars."""

    def __init__(self) -> None:
        self.board = Board(self._paint)
        self._open: set[int] = set()
        self._painter: Painter | None = None

    def opened(self, bar_id: int) -> None:
        self._open.add(bar_id)

    def closed(self, bar_id: int) -> None:
        if bar_id not in self._open:
            return
        self._open.discard(bar_id)
        if not self._open:
            self.board.finish()
            painter, self._painter = self._painter, None
            if painter is not None:
                painter.end()

    def _paint(self, progress: Progress) -> None:
        if self._painter is None:
            self._painter = _painter()
        self._painter.paint(progress)


_here = _Here()
_worker: tuple[Board, Callable[[Any], bool]] | None = None


def install(board: Board, takes: Callable[[Any], bool]) -> None:
    """This process is a worker: bars go to `board` while it `takes` what is written to ``sys.stderr``."""
    global _worker  # noqa: PLW0603 - one worker per process
    _worker = board, takes


def open_bar(bar_id: int) -> Board:
    """Return the board for a bar that begins."""
    if _worker is not None and _worker[1](sys.stderr):
        return _worker[0]
    _here.opened(bar_id)
    return _here.board


def close_bar(bar_id: int) -> None:
    """A bar has ended."""
    _here.closed(bar_id)


def _painter() -> Painter:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return TerminalLine(sys.stderr)
    # The notebook package knows how; only a kernel needs it.
    painter: Painter = import_module("funcx_jupyter.display.bars").NotebookPainter()
    return painter
