"""Lets `rich.progress` tell its bars to the board. Those are looked at from time to time, as rich does itself to draw them.

A display on a console that writes to a file of the user's stays as it is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

import msgspec

from funcx_core.progress.board import Board, new_bar_id
from funcx_core.protocol.progress import Bar

_SHOWN: Final = "_funcx_shown"


def change_progress(module: ModuleType, board: Board, takes: Callable[[Any], bool]) -> None:
    """Let displays of `rich.progress` go to the board if it takes what they would have written to."""
    cls = module.Progress
    start, stop = cls.start, cls.stop
    plain = functools.partial(_without_markup, module.Text.from_markup)

    @functools.wraps(start)
    def start_(progress: Any) -> None:
        if progress.disable or not takes(progress.console.file):
            start(progress)
            return
        shown = _Shown(progress, board, plain)
        progress.__dict__[_SHOWN] = shown
        board.watch(shown.look)

    @functools.wraps(stop)
    def stop_(progress: Any) -> None:
        shown = progress.__dict__.pop(_SHOWN, None)
        if shown is None:
            stop(progress)
        else:
            board.unwatch(shown.look)
            shown.end()

    cls.start, cls.stop = start_, stop_


class _Shown:
    """What is on the board of one display."""

    def __init__(self, progress: Any, board: Board, plain: Callable[[str], str]) -> None:
        self._progress = progress
        self._board = board
        self._plain = plain
        self._told: dict[int, Bar] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def look(self) -> None:
        """Put on the board what has changed."""
        with self._lock:
            if not self._is_over:
                self._put(is_over=False)

    def end(self) -> None:
        """Leave the last state, or nothing if the display was to vanish."""
        with self._lock:
            self._is_over = True
            self._put(is_over=True)
            if self._progress.live.transient:
                self._drop_all_but(set())

    def _put(self, *, is_over: bool) -> None:
        tasks = [task for task in self._progress.tasks if task.visible]
        self._drop_all_but({int(task.id) for task in tasks})
        for task in tasks:
            old = self._told.get(int(task.id))
            bar = self._reading(task, new_bar_id() if old is None else old.id)
            if is_over or task.finished:
                bar = bar.closed()
            if old is None or _without_times(old) != _without_times(bar):
                self._told[int(task.id)] = bar
                self._board.put(bar)

    def _drop_all_but(self, kept: set[int]) -> None:
        for gone in self._told.keys() - kept:
            self._board.drop(self._told.pop(gone).id)

    def _reading(self, task: Any, bar_id: int) -> Bar:
        rate = task.finished_speed or task.speed
        return Bar(
            id=bar_id,
            n=_whole(task.completed),
            total=None if task.total is None else _whole(task.total),
            description=self._plain(str(task.description)),
            elapsed=round(float(task.elapsed or 0.0), 3),
            rate=None if rate is None else float(rate),
        )


def _without_times(bar: Bar) -> Bar:
    return msgspec.structs.replace(bar, elapsed=0.0, rate=None)


def _without_markup(parse: Callable[[str], Any], text: str) -> str:
    return str(parse(text).plain) if "[" in text else text


def _whole(number: Any) -> int | float:
    """Return a number as it was given: rich makes floats of all."""
    return int(number) if float(number).is_integer() else float(number)
