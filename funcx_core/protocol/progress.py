"""How far a task is, as it tells: the body of an event of kind ``progress``.

Each event holds all bars of its task as they are then, so the newest one says everything, and what came before it may be dropped.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

MOST_BARS: Final = 24
"""Bars in one event; of more, those that have ended are counted only."""
LONGEST_TEXT: Final = 200
"""Characters of a description, and of what is said behind the numbers."""
RANGE: Final = "range"
"""The `Progress.id` of a range of a map: what its `n` counts are calls."""


class BarState(StrEnum):
    """What became of a bar. `STOPPED`: it was closed before its total was reached."""

    OPEN = "open"
    DONE = "done"
    STOPPED = "stopped"


class Bar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bar.

    Attributes:
        id: tells the bars of one worker process apart; later bars have larger ones.
        n: how much is done, in `unit`.
        total: how much there is to do; None if nobody knows.
        description: what it is about.
        unit: what is counted.
        scale: 1000 or 1024: numbers are to be shown with k, M, G of that size; 0 as they are.
        elapsed: seconds since it began.
        rate: units per second, lately; None if nothing can be said.
        postfix: what its program says behind the numbers.
        state: what became of it.
    """

    id: int
    n: int | float = 0
    total: int | float | None = None
    description: str = ""
    unit: str = "it"
    scale: int = 0
    elapsed: float = 0.0
    rate: float | None = None
    postfix: str = ""
    state: BarState = BarState.OPEN

    @property
    def fraction(self) -> float | None:
        """How much of it is done, 0 to 1; None if its total is not known."""
        return min(1.0, max(0.0, self.n / self.total)) if self.total else None

    def closed(self) -> Bar:
        """Return it as its end leaves it."""
        is_whole = self.total is None or self.n >= self.total
        return msgspec.structs.replace(self, state=BarState.DONE if is_whole else BarState.STOPPED)


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a task is.

    Attributes:
        n: how far it is as a whole: calls of a range, else what its outermost bar counts.
        total: how much there is to do as a whole; None if nobody knows.
        description: of the outermost bar.
        id: `RANGE` if calls of a range are counted.
        call: which call of the range runs now, by its place; None if nobody says. The bars are those of this call.
        bars: in the order in which they were made.
        more: bars that are left out.
    """

    n: int | float = 0
    total: int | float | None = None
    description: str = ""
    id: str = ""
    call: int | None = None
    bars: list[Bar] = []
    more: int = 0

    @property
    def fraction(self) -> float | None:
        """How much of the task is done, 0 to 1; None if nobody knows."""
        return min(1.0, max(0.0, self.n / self.total)) if self.total else None


_decoder: Final = msgspec.json.Decoder(Progress)


def write_progress(progress: Progress) -> bytes:
    """Return the body of an event."""
    return msgspec.json.encode(progress)


def read_progress(body: bytes) -> Progress | None:
    """Return what an event tells; None if its worker speaks of progress in another way."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
