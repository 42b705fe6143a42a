"""Bars of a running task in a notebook: one row each, as HTML with a text twin, put up again in place as they move.

Pure but for `NotebookPainter`, which draws bars of the kernel's own code.
"""

from __future__ import annotations

import html
import sys
import uuid
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from funcx_core.progress import text
from funcx_core.progress.terminal import TerminalLine
from funcx_core.protocol.progress import Bar, BarState, Progress, read_progress
from funcx_core.protocol.task import TaskEvent
from funcx_jupyter.widgets import markup

_FILLED: Final = {BarState.OPEN: markup.BUSY, BarState.DONE: markup.GOOD, BarState.STOPPED: markup.BAD}
_ROWS: Final = (
    "display: grid; grid-template-columns: fit-content(40%) minmax(4em, 16em) auto 1fr; column-gap: 0.8em; align-items: center; "
    "padding-left: var(--jp-code-padding, 0); line-height: 1.6"
)
_TRACK: Final = f"height: 8px; border-radius: 4px; overflow: hidden; background: {markup.LINE}; box-sizing: border-box"
_CUT: Final = "overflow: hidden; text-overflow: ellipsis; white-space: nowrap"
_UNKNOWN: Final = f"repeating-linear-gradient(45deg, {markup.BUSY} 0 6px, transparent 6px 12px)"


def bundle(progress: Progress) -> dict[str, Any]:
    """Return the bars in both forms."""
    return {"text/plain": "\n".join(text.lines(progress)), "text/html": as_html(progress)}


def as_html(progress: Progress) -> str:
    """Return the bars as rows."""
    left_out = f'<div style="grid-column: 1 / -1">{html.escape(text.more(progress))}</div>' if progress.more else ""
    rows = "".join(map(_row, progress.bars))
    return f'<div class="funcx-progress" style="{markup.FONT}; {_ROWS}">{left_out}{rows}</div>'


def _row(bar: Bar) -> str:
    said = html.escape(text.numbers(bar))
    about = html.escape(bar.description or "progress")
    fraction = bar.fraction
    percent = None if fraction is None else int(fraction * 100)
    known = "" if percent is None else f'aria-valuenow="{percent}" '
    width = 100 if percent is None else percent
    filled = _UNKNOWN if percent is None and bar.state is BarState.OPEN else _FILLED[bar.state]
    mark = text.GLYPHS.get(bar.state, "")
    word = text.STATES[bar.state]
    shown = f'<span style="color: {_FILLED[bar.state]}" title="{word}">{mark}</span>' if mark else ""
    counted = "" if percent is None else f"{percent}% "
    # The words beside the bar say the same to those who see it: a screen reader needs them once.
    return (
        f'<div style="{_CUT}" title="{about}">{html.escape(bar.description)}</div>'
        f'<div role="progressbar" aria-label="{about}" aria-valuemin="0" aria-valuemax="100" {known}'
        f'aria-valuetext="{counted}{said}{f", {word}" if word else ""}" style="{_TRACK}">'
        f'<div style="width: {width}%; height: 100%; background: {filled}"></div></div>'
        f'<div aria-hidden="true" style="white-space: nowrap; font-variant-numeric: tabular-nums">{counted}{said}</div>'
        f'<div aria-hidden="true">{shown}</div>'
    )


class BarsView(Protocol):
    """Where the bars of a running cell are shown."""

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""

    def aside(self) -> None:
        """Something else is about to be shown."""

    def cleared(self) -> None:
        """What the cell has shown is gone."""

    def end(self) -> None:
        """They change no more."""


class NotebookBars:
    """Bars in a place of their own, which is made with the first of them.

    Args:
        show: takes a bundle, and whether it takes the place of the last one.
        is_live: whether what is shown can be changed; if not, only the end is shown.
    """

    def __init__(self, show: Callable[[dict[str, Any], bool], None], *, is_live: bool) -> None:
        self._show = show
        self._is_live = is_live
        self._is_shown = False
        self._last = Progress()

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""
        self._last = progress
        if self._is_live and (progress.bars or progress.more or self._is_shown):
            self._show(bundle(progress), self._is_shown)
            self._is_shown = True

    def aside(self) -> None:
        """They have a place of their own: nothing is in the way."""

    def cleared(self) -> None:
        """Their place is gone, and so are those that have ended. Those that go on are shown again at once."""
        self._is_shown = False
        self._last = only_open(self._last)
        if self._last.bars:
            self.paint(self._last)

    def end(self) -> None:
        """Show how they were at the end."""
        if not self._is_live and self._last.bars:
            self._show(bundle(self._last), False)


class TerminalBars:
    """Bars in one line of the terminal."""

    def __init__(self) -> None:
        self._line = TerminalLine(sys.stderr)

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""
        self._line.paint(progress)

    def aside(self) -> None:
        """Something else is about to be written."""
        self._line.aside()

    def cleared(self) -> None:
        """A terminal is not cleared."""

    def end(self) -> None:
        """Leave them as they are now."""
        self._line.end()


def only_open(progress: Progress) -> Progress:
    """Return the bars that are not over."""
    bars = [bar for bar in progress.bars if bar.state is BarState.OPEN]
    return msgspec.structs.replace(progress, bars=bars, more=0)


class Bars:
    """The bars of one task: hears its events, tells a view. Those that it has left open at its end have ended, too."""

    def __init__(self, view: BarsView) -> None:
        self._view = view
        self._last: Progress | None = None
        self._gone: set[int] = set()

    def feed(self, event: TaskEvent) -> None:
        """The task has told how far it is."""
        told = read_progress(event.body)
        if told is None:
            return
        if not told.bars and self._last is None:
            return  # A range of a map, which counts its calls and nothing else.
        kept = [bar for bar in told.bars if bar.id not in self._gone]
        self._last = msgspec.structs.replace(told, bars=kept)
        self._view.paint(self._last)

    def aside(self) -> None:
        """Something else is about to be shown."""
        self._view.aside()

    def cleared(self) -> None:
        """What the cell has shown is gone, and with it the bars that have ended."""
        if self._last is not None:
            self._gone |= {bar.id for bar in self._last.bars if bar.state is not BarState.OPEN}
            self._view.cleared()

    def end(self, *, is_over: bool = True) -> bool:
        """Nothing more is heard of the task; whether it had bars.

        Args:
            is_over: it has ended. If not, it may go on, and so may its bars.
        """
        if self._last is None:
            return False
        closed = [bar.closed() if is_over and bar.state is BarState.OPEN else bar for bar in self._last.bars]
        if closed != self._last.bars:
            self._view.paint(msgspec.structs.replace(self._last, bars=closed))
        self._last = None
        self._view.end()
        return True


class NotebookPainter:
    """Draws bars of the kernel's own code, see `funcx_core.progress.place`."""

    def __init__(self) -> None:
        from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only in a kernel

        self._publisher = get_ipython().display_pub
        self._display_id = uuid.uuid4().hex
        self._bars = NotebookBars(self._show, is_live=True)

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""
        self._bars.paint(progress)

    def end(self) -> None:
        """They change no more."""

    def _show(self, shown: dict[str, Any], update: bool) -> None:
        self._publisher.publish(shown, {}, transient={"display_id": self._display_id}, update=update)
