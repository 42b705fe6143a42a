"""The progress bar of a study."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Protocol

from funcx_core.sdk.grids.outcomes import PointState
from funcx_jupyter.grids.place import Place
from funcx_jupyter.widgets import markup

_COLOURS: Final = {
    PointState.SUCCEEDED: markup.GOOD,
    PointState.FAILED: markup.BAD,
    PointState.LOST: markup.WARN,
    PointState.CANCELLED: markup.REST,
    PointState.RUNNING: markup.BUSY,
}


class Counted(Protocol):
    """What the bar shows."""

    def counts(self) -> Counter[PointState]:
        """Return the number of points by state."""

    def line(self) -> str:
        """Return it in characters."""


class GridBar:
    """A bar of all points, by state, with the same in words below it."""

    def __init__(self, grid: Counted) -> None:
        self._grid = grid
        self._place = Place()
        self.update(is_final=False)

    def update(self, *, is_final: bool) -> None:
        """Show how far it is."""
        del is_final
        self._place.show(bundle(self._grid.counts(), self._grid.line()))


def bundle(counts: Counter[PointState], line: str) -> dict[str, Any]:
    """Return the bar as HTML and text."""
    parts = [(f"{counts[state]:,} {state}", float(counts[state]), colour) for state, colour in _COLOURS.items()]
    waiting = counts[PointState.WAITING]
    parts.append((f"{waiting:,} waiting", float(waiting), "transparent"))
    words = _words(line)
    return {
        "text/plain": line,
        "text/html": markup.block(markup.shares(parts, words), markup.paragraph(words, role="status")),
    }


def _words(line: str) -> str:
    """Return the line without its bar of characters."""
    before, _, rest = line.partition("|")
    return f"{before} {rest.partition('|')[2]}".strip() if rest else line
