"""What a verb of `%funcx` works with: the session, and the notebook's variables and output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from funcx_jupyter.auto_cells import AutoCells
from funcx_jupyter.own_magics import OwnMagics
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.following import LineScreen
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.state import Session


class Desk(msgspec.Struct, frozen=True):
    """One per call of a verb.

    Attributes:
        session: what the kernel remembers.
        namespace: the variables of the notebook.
        screen: makes the place for the output of one task.
        background: makes the place for the output of one that is shown while other cells run.
        own_magics: those that the user has made.
        auto: what sends every cell.
        may_ask: whether somebody can be asked for input.
        shown: returns the value of a cell, so that it is shown as its worker did.
    """

    session: Session
    namespace: dict[str, Any]
    screen: Callable[[], LineScreen]
    background: Callable[[], BackgroundScreen]
    shown: Callable[[Finished], Any]
    own_magics: OwnMagics
    auto: AutoCells
    may_ask: Callable[[], bool]
