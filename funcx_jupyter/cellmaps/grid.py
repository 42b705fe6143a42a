"""The elements of a cell's map as the points of a grid, and what became of each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from funcx_core.cells.elements import ElementOutcome, Piece, element_decoder, read_pieces, variable_of
from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.spec import KeptFacts
from funcx_core.errors import DependencyError, DeserializationError, RemoteProtocolError, RemoteTaskError, error_class
from funcx_core.ids import TaskId
from funcx_core.protocol.progress import Progress
from funcx_core.sdk.futures import TaskListener
from funcx_core.sdk.grids.ended import points_of
from funcx_core.sdk.grids.grid import Grid
from funcx_core.sdk.grids.outcomes import PointState
from funcx_core.sdk.grids.points import ZIP, Points
from funcx_core.sdk.grids.record import GridRecord
from funcx_core.sdk.maps import FuncXMap
from funcx_jupyter.cellmaps.clause import label
from funcx_jupyter.cellmaps.element_bars import ElementBars
from funcx_jupyter.cellmaps.output import MapOutput
from funcx_jupyter.cellmaps.refs import MapRef
from funcx_jupyter.display import words
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.outcome import LeftBehind
from funcx_jupyter.session.remote_ref import KeptAt, RemoteRef

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session

_LAST: str = "the value of the last expression"


class CellGrid(Grid):
    """A grid whose function is a cell. Its results are `ElementOutcome`s, which it opens.

    Args:
        session: of the kernel.
        calls: the map.
        submission: what was sent.
        elements: in order.
        namespace: where notebook code lives.

    Attributes:
        variable: what is bound to the element.
        outputs: variables that come back.
        refs: variables that stay where they are.
        output: what the elements printed and showed.
    """

    def __init__(
        self,
        session: Session,
        calls: FuncXMap,
        submission: Submission,
        elements: Sequence[Any],
        namespace: dict[str, Any],
    ) -> None:
        points = Points((submission.map_of,), (elements,), ZIP)  # type: ignore[arg-type]
        super().__init__(calls, GridRecord(points), submission.endpoint)
        self.variable = submission.map_of
        self.elements = elements
        self.outputs = list(submission.outputs)
        self.refs = list(submission.refs)
        self._bars = ElementBars()
        self.output = MapOutput(self.name_of, f"%funcx logs {words.short_id(self.grid_id)}")
        self._namespace = namespace
        self._session = session
        self._endpoint_id = submission.endpoint_id
        self._is_trusted = session.connection.trusts(submission.endpoint_id)
        self._opened: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._opening = threading.Lock()

    def name_of(self, number: int) -> str:
        """Return what an element is called: ``seed=3``."""
        return label(self.variable, self.elements[number])

    def bars(self) -> Progress:
        """Return bars of elements that run now."""
        with self._lock:
            running = {task_id: points_of(one) for task_id, one in self._open.items()}
        return self._bars.rows(running, self.name_of)

    def _listener(self) -> TaskListener:
        return self._bars

    def taken(self, points: list[int]) -> None:
        """Take in what these elements printed, and which failed."""
        for number in points:
            found = self.outcome(number)
            if found.failed is not None:
                if found.failed.code != DependencyError.code:  # Said once of all.
                    self.output.fail(number, self.line_of(number), *read_pieces(found.failed.details))
            elif (ended := self.element(number)) is not None:
                self.output.add(number, ended.pieces, ended.hidden)

    def element(self, number: int) -> ElementOutcome | None:
        """Return what came of an element; None if it has not succeeded."""
        found = self.outcome(number)
        if found.state is not PointState.SUCCEEDED:
            return None
        try:
            return element_decoder.decode(found.value if isinstance(found.value, bytes) else b"")
        except RemoteProtocolError:
            return None

    def values(self) -> list[Any] | None:
        """Return the values in order, None at the places of elements that have none; None if none of them has any.

        Raises:
            DeserializationError: an output cannot be loaded here.
        """
        found = [self._of(number)[0] for number in range(len(self))]
        return None if all(value is None for value in found) else found

    def collected(self) -> dict[str, Any]:
        """Return the outputs by name, each in order, None at the places of elements that have none. Raises as `values` does.

        What stayed where it was is there, too: as a `MapRef` if all elements have left it, else as a list of references.
        """
        found = [self._of(number)[1] for number in range(len(self))]
        return {name: [each.get(name) for each in found] for name in self.outputs} | self._references()

    def _references(self) -> dict[str, Any]:
        if not self.refs:
            return {}
        found = [self._references_of(number) for number in range(len(self))]
        return {name: self._gathered(name, [each.get(name) for each in found]) for name in self.refs}

    def _gathered(self, name: str, refs: list[RemoteRef | None]) -> MapRef | list[RemoteRef | None]:
        there = [ref for ref in refs if ref is not None]
        whole = MapRef(self._session, name, self.endpoint, there, self._namespace)
        return whole if len(there) == len(refs) else refs

    def _references_of(self, number: int) -> dict[str, RemoteRef]:
        ended, run = self.element(number), self.outcome(number).run
        if ended is None or run is None:
            return {}
        return {
            name: RemoteRef(
                self._session, self._place_of(f"{name}[{number}]", facts, run.task_id), self._namespace, facts
            )
            for facts in ended.kept
            if (name := variable_of(facts.name))
        }

    def _place_of(self, called: str, facts: KeptFacts, task_id: TaskId) -> KeptAt:
        return KeptAt(
            name=facts.name, called=called, task_id=task_id, endpoint_id=self._endpoint_id, endpoint=self.endpoint
        )

    def collected_by_end(self) -> dict[str, Any]:
        """Return that of a map that has ended, when all of it is here."""
        self.wait(show=False)
        return self.collected()

    def sizes(self) -> list[int]:
        """Return bytes of all values of each output."""
        totals = [0] * len(self.outputs)
        for number in range(len(self)):
            ended = self.element(number)
            for place, size in enumerate(ended.sizes if ended is not None else ()):
                totals[place] += size
        return totals

    def told_back(self) -> str:
        """Return what came back and what stayed, in words: ``path 1.6 MB, model 3.1 GB (on theta)``."""
        back = [f"{name} {words.size(size)}" for name, size in zip(self.outputs, self.sizes(), strict=True)]
        totals = dict.fromkeys(self.refs, 0)
        for number in range(len(self)) if totals else ():
            ended = self.element(number)
            for facts in ended.kept if ended is not None else ():
                totals[variable_of(facts.name)] += facts.size
        return ", ".join([*back, *(f"{name} {words.size(size)} (on {self.endpoint})" for name, size in totals.items())])

    def shown_by(self, number: int) -> list[Piece]:
        """Return what an element printed and showed, whether it has succeeded or failed."""
        if (failed := self.outcome(number).failed) is not None:
            return read_pieces(failed.details)[0]
        ended = self.element(number)
        return [] if ended is None else ended.pieces

    def failed(self) -> list[tuple[Any, BaseException]]:
        """Return the elements that have no value, each with why."""
        return [(self.elements[number], error) for number, error in self.failures().items()]

    def without_value(self) -> list[int]:
        """Return the numbers of elements that ended without a value."""
        return [number for number in range(len(self)) if self.outcome(number).failed is not None]

    def unfinished(self) -> list[TaskId]:
        """Return the tasks that run points, or will."""
        self.collect()
        with self._lock:
            return [TaskId(task_id) for task_id in self._open]

    def line_of(self, number: int) -> str:
        """Return why an element has no value: ``ValueError: x is negative``."""
        failed = self.outcome(number).failed
        if failed is None:
            return ""
        name = error_class(failed.code).__name__
        is_named = failed.code == RemoteTaskError.code or failed.line.startswith(name)
        return failed.line if is_named else f"{name}: {failed.line}"

    def _of(self, number: int) -> tuple[Any, dict[str, Any]]:
        """Return value and outputs of an element, opened once: two lists hold the same objects."""
        with self._opening:
            known = self._opened.get(number)
            if known is None:
                ended = self.element(number)
                if ended is None:
                    return None, {}
                known = self._opened[number] = self._unpacked(ended)
            return known

    def _unpacked(self, ended: ElementOutcome) -> tuple[Any, dict[str, Any]]:
        arrivals, data_only = Arrivals(self._namespace), not self._is_trusted
        outputs = dict(load_values(ended.values, self.outputs, arrivals, data_only=data_only))
        if ended.value is None:
            reason = ended.left_behind
            return (LeftBehind.of_text(ended.text, reason) if reason else None), outputs
        try:
            return next(load_values(ended.value, [_LAST], arrivals, data_only=data_only))[1], outputs
        except DeserializationError as error:
            return LeftBehind.of_text(ended.text, str(error)), outputs
