"""Runs a notebook cell once for each element of a map: `CellOfMap` calls this.

Every element gets a namespace of its own with fresh copies of the captured variables, so none sees what another did, however they are dealt to
workers. What an element prints and shows is gathered and goes home with its outcome: so it is grouped, and nothing is interleaved.
"""

from __future__ import annotations

import platform
import sys
from typing import Any, Final

from funcx_core.cells.elements import HIDDEN, PIECES, ElementOutcome, Piece, load_element, write_pieces
from funcx_core.cells.limit import limited
from funcx_core.cells.pickling import can_travel
from funcx_core.cells.rebuild import Arrivals, forget_those_gone, goes_home_by_name
from funcx_core.cells.running import as_main, bring_in, compile_cell, new_main, pickle_last_value
from funcx_core.cells.spec import spec_decoder
from funcx_core.ids import TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import EventKind
from funcx_endpoint.worker import circumstances
from funcx_endpoint.worker.capture import bars, diverted, running_task
from funcx_endpoint.worker.cell import arrivals_of, check_requirements, shell_of_cells
from funcx_endpoint.worker.cell_logging import own_logging
from funcx_endpoint.worker.cell_outputs import keep_of_element, pickle_outputs
from funcx_endpoint.worker.cell_warnings import warnings_named
from funcx_endpoint.worker.questions import nobody_answers
from funcx_endpoint.worker.whereabouts import whereabouts

MOST_TEXT: Final = 8 * 1024
MOST_SHOWN: Final = 256 * 1024
"""Bytes of text, and of figures and tables, of one element that go home."""
RANGE_TEXT: Final = 512 * 1024
RANGE_SHOWN: Final = 1024 * 1024
"""The same for all elements of one range: their values need the room."""
MOST_NOTED: Final = 20
"""Failures of one range that bring the variables of their cell: those of thousands would fill the result of the range."""
_TOLD: Final = 1000
"""Characters of what a failed element had printed that go with its exception."""
_REPR: Final = 2000
_TEXT: Final = (EventKind.STDOUT, EventKind.STDERR, EventKind.LOG)


class Room:
    """What elements may still show: bytes of text, and of the rest."""

    def __init__(self, text: int, shown: int) -> None:
        self.text = text
        self.shown = shown


class Gathered:
    """What one element prints and shows, as far as there is room for it, here and in `shared`."""

    def __init__(self, shared: Room) -> None:
        self.hidden = 0
        self._shared = shared
        self._own = Room(MOST_TEXT, MOST_SHOWN)
        self._pieces: list[tuple[EventKind, bytearray]] = []

    def take(self, kind: EventKind, body: bytes) -> None:
        """Keep this, if it is something to show."""
        if kind in _TEXT:
            self._take_text(kind, body)
        elif kind is EventKind.DISPLAY:
            self._take_shown(kind, body)

    def _take_shown(self, kind: EventKind, body: bytes) -> None:
        if len(body) > min(self._own.shown, self._shared.shown):
            self.hidden += len(body)
            return
        self._own.shown -= len(body)
        self._shared.shown -= len(body)
        self._pieces.append((kind, bytearray(body)))

    def _take_text(self, kind: EventKind, body: bytes) -> None:
        kept = body[: max(0, min(self._own.text, self._shared.text))]
        self._own.text -= len(kept)
        self._shared.text -= len(kept)
        self.hidden += len(body) - len(kept)
        if not kept:
            return
        if self._pieces and self._pieces[-1][0] is kind:
            self._pieces[-1][1].extend(kept)
        else:
            self._pieces.append((kind, bytearray(kept)))

    def pieces(self) -> list[Piece]:
        """Return what is kept, in order."""
        return [Piece(kind, bytes(body)) for kind, body in self._pieces]

    def text(self) -> str:
        """Return the text that is kept."""
        return b"".join(body for kind, body in self._pieces if kind in _TEXT).decode(errors="replace")


class Shared:
    """What the elements of one range share.

    Attributes:
        room: for what they show.
        noted: how many of them brought the variables of their cell with their failure.
        begun: how many have begun.
    """

    def __init__(self) -> None:
        self.room = Room(RANGE_TEXT, RANGE_SHOWN)
        self.noted = 0
        self.begun = 0


class ElementRunner:
    """Runs one cell for one element after the other; see `CellOfMap` for the arguments."""

    def __init__(self, spec: bytes, variable: str, seconds: float | None) -> None:
        self._spec = spec_decoder.decode(spec)
        if self._spec.requires:
            check_requirements(self._spec.requires)
        self._code = compile_cell(self._spec)
        self._variable = variable
        self._seconds = seconds
        self._hostname = platform.node()
        self._range: TaskId | None = None
        self._shared = Shared()

    def run(self, packed: Any) -> bytes:
        """Run the cell for this element; returns an encoded `ElementOutcome`. Whatever the cell raises passes through."""
        shared = self._shared_by_range()
        gathered = Gathered(shared.room)
        shared.begun += 1
        try:
            with diverted(gathered.take):
                return encode(self._run(packed, gathered, shared))
        except Exception as error:
            if (printed := gathered.text()).strip():
                error.add_note(f"It had printed:\n{printed[-_TOLD:].rstrip()}")
            if pieces := gathered.pieces():
                circumstances.add(error, {PIECES: write_pieces(pieces), HIDDEN: gathered.hidden})
            raise
        finally:
            if (own_bars := bars()) is not None:
                own_bars.board.end_call()

    def _shared_by_range(self) -> Shared:
        if (now := running_task()) != self._range or now is None:
            self._range, self._shared = now, Shared()
        return self._shared

    def _run(self, packed: Any, gathered: Gathered, shared: Shared) -> ElementOutcome:
        forget_those_gone()
        spec, module = self._spec, new_main(self._spec.filename)
        if (own_bars := bars()) is not None:
            own_bars.choose(spec.progress)
            own_bars.board.begin_call(shared.begun - 1)
        module.__dict__.update(exit=sys.exit, quit=sys.exit)
        arrivals = arrivals_of(module)
        shell = shell_of_cells()
        with (
            as_main(module),
            nobody_answers(),
            shell.running(module, spec.figures),
            own_logging(),
            warnings_named(spec.places),
        ):
            bring_in(spec, arrivals)
            module.__dict__[self._variable] = load_element(packed, arrivals)
            try:
                with limited(self._seconds):
                    value = self._code.run(module.__dict__)
            except Exception as error:
                if shared.noted < MOST_NOTED:
                    shared.noted += 1
                    circumstances.note(error, whereabouts(spec, arrivals))
                if (home_name := arrivals.home_name(type(error))) is not None:
                    goes_home_by_name(type(error), home_name)
                raise
            finally:
                shell.finish_figures()
            return self._outcome(arrivals, value, gathered, shared.begun - 1)

    def _outcome(self, arrivals: Arrivals, value: Any, gathered: Gathered, place: int) -> ElementOutcome:
        spec = self._spec
        for name in spec.outputs if spec.as_there_are else ():
            if not can_travel(name, arrivals):
                arrivals.namespace[name] = (
                    None  # All elements have the same names: the lists are as long as there are elements.
                )
        sizes, values = pickle_outputs(spec, arrivals)
        room = min(spec.value_limit, spec.result_limit - len(values))
        pickled, why_not = (None, "") if value is None or spec.silent else pickle_last_value(value, arrivals, room)
        return ElementOutcome(
            sizes=sizes,
            values=values,
            value=pickled,
            text=repr(value)[:_REPR] if why_not else "",
            left_behind=why_not,
            kept=keep_of_element(spec, arrivals, place),
            pieces=gathered.pieces(),
            hidden=gathered.hidden,
            hostname=self._hostname,
        )
