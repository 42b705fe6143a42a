"""How a cell's map looks: its header line, one bar for all elements, and what they printed."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from funcx_core.protocol.progress import Progress
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.grids.outcomes import PointState
from funcx_core.sdk.grids.shown import TextBar
from funcx_jupyter.cellmaps.grid import CellGrid
from funcx_jupyter.display import bars
from funcx_jupyter.display.header import Header
from funcx_jupyter.grids import bar
from funcx_jupyter.session.asynchronous import BackgroundScreen

SHORTEST: Final = 0.25
"""Seconds between two changes of what is shown, at least."""
_MIMES: Final = ("text/plain", "text/html")
_COST_FACTOR: Final = 5.0
"""Output that takes long to put up is put up more rarely."""


class MapView:
    """A map on a screen. `update` may be called by any one thread at a time; it shows what is new, four times a second at most.

    Args:
        grid: the map.
        screen: where it is shown.
        header: what the header line says first.
        stream: whether anything is shown before the end.
        is_shown: its header line is on the screen already.
        clock: monotonic seconds.

    Attributes:
        header: what the header line says now.
        stopping: what it says while the map is being stopped.
        shows_bars: whether bars of elements that run are shown below that of the map.
        prints: whether what cannot be changed in place is printed; not from a thread, where it would land anywhere.
    """

    def __init__(
        self,
        grid: CellGrid,
        screen: BackgroundScreen,
        header: Header,
        *,
        stream: bool = True,
        is_shown: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.header = header
        self.stopping = ""
        self.prints = True
        self.shows_bars = True
        self._grid = grid
        self._screen = screen
        self._stream = stream
        self._is_shown = is_shown
        self._clock = clock
        self._started = clock() - header.elapsed
        self._due = 0.0
        self._line = ""
        self._last: tuple[Any, ...] = ()
        self._bar: TextBar | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the map was sent."""
        return self._clock() - self._started

    def open(self) -> None:
        """Show it for the first time. To be called by the main thread."""
        if self._screen.is_live:
            (self._screen.header if self._is_shown else self._screen.open)(self.header)
        elif self.prints and self._stream and sys.stderr is not None and sys.stderr.isatty():
            self._bar = TextBar(self._grid, sys.stderr)

    def update(self, *, is_final: bool) -> None:
        """Show what is new, unless it was shown a moment ago."""
        begun = self._clock()
        if begun < self._due and not is_final:
            return
        counts = self._grid.counts()
        self._change(counts, is_final=is_final)
        if self._screen.is_live and (self._stream or is_final):
            self._put_up(counts, Progress() if is_final or not self.shows_bars else self._grid.bars())
        elif self._bar is not None:
            self._bar.update(is_final=is_final)
        if is_final and self.prints and not self._screen.is_live:
            self._screen.conclude(self.header, self._grid.output.as_bundle()["text/plain"])
        self._due = self._clock() + max(SHORTEST, _COST_FACTOR * (self._clock() - begun))

    def leave(self) -> None:
        """Show how it is now, and nothing that would look as if it moved: nobody keeps it up to date from now on."""
        self.shows_bars = False
        self._due = 0.0
        self.update(is_final=False)

    def _change(self, counts: Counter[PointState], *, is_final: bool) -> None:
        state = state_of(counts)
        outputs = self.header.outputs
        if state is TaskState.SUCCESS and is_final:
            outputs = self._grid.told_back()
        note = self.stopping if not state.is_terminal else ""
        self.header = msgspec.structs.replace(
            self.header, state=state, elapsed=self.elapsed, note=note, outputs=outputs
        )
        if self._screen.is_live and (line := self.header.as_text()) != self._line:
            self._line = line
            self._screen.header(self.header)

    def _put_up(self, counts: Counter[PointState], rows: Progress) -> None:
        line = self._grid.line()
        now = (line, self._grid.output.version, rows)
        if now == self._last:
            return
        self._last = now
        shown = [bar.bundle(counts, line), *([bars.bundle(rows)] if rows.bars else []), self._grid.output.as_bundle()]
        self._screen.output({mime: "\n".join(one[mime] for one in shown).rstrip() for mime in _MIMES})


def state_of(counts: Counter[PointState]) -> TaskState:
    """Return how a map is, given how many elements are in which state."""
    if counts[PointState.WAITING] or counts[PointState.RUNNING]:
        has_begun = counts.keys() - {PointState.WAITING}
        return TaskState.RUNNING if has_begun else TaskState.RECEIVED
    if counts[PointState.FAILED] or counts[PointState.LOST]:
        return TaskState.FAILED
    return TaskState.CANCELLED if counts[PointState.CANCELLED] else TaskState.SUCCESS
