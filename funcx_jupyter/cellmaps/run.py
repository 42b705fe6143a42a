"""Sends a cell that runs once for each element; or follows the map of the same cell that runs already."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from funcx_core.cells.elements import CellOfMap
from funcx_core.cells.spec import CellSpec
from funcx_core.ids import MapId, TaskId, new_function_id, new_map_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import Function, TaskState
from funcx_core.sdk.map_progress import MapProgress
from funcx_core.sdk.maps import FuncXMap
from funcx_core.sdk.range_sizes import LARGEST
from funcx_core.serialize import pack_callable
from funcx_jupyter.cellmaps.grid import CellGrid
from funcx_jupyter.cellmaps.plan import MapPlan, elements_kept, read_about, write_about
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.cellmaps.view import MapView
from funcx_jupyter.display.header import Header, describe_inputs
from funcx_jupyter.errors import CellInterrupted, nothing_sent
from funcx_jupyter.options.cell import DETACH, CellOptions
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.connection import MapOrder
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.followed import Followed
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.outcome import Finished, describe_wanted
from funcx_jupyter.session.preflight import check_cell, tell_of_modules, tell_running
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.sending import Sending, demands, put_up
from funcx_jupyter.session.size_limits import ROOM_FOR_CODE
from funcx_jupyter.session.staging_line import StagingLine
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.upstream import called, check_place

if TYPE_CHECKING:
    from collections.abc import Sequence

_GRACE: Final = 30.0
"""Seconds that a range has beyond the time limits of its elements; those end by themselves unless they hang in C code."""
_CATCH_UP: Final = 10.0
"""Seconds in which what has ended of a map has come, unless it is large; the rest comes later."""


class CellMapRun:
    """One run of one cell for all elements. Call `run` or `start`, once."""

    def __init__(self, session: Session, endpoint: Endpoint, plan: MapPlan, options: CellOptions) -> None:
        self._sending = Sending(session, endpoint, plan.cell, options)
        self._plan = plan

    def run(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> Finished:
        """Follow the map to its end and return what it gave back, and raise, as `CellMapTask.follow` does."""
        task = self.submit(namespace, place, screen)
        if task.name:
            namespace[task.name] = task
        return task.follow()

    def start(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellMapTask:
        """Return a handle on the map when the service has all of it; bar and output are kept up to date."""
        task = self.submit(namespace, place, screen)
        task.follow_in_background()
        return task

    def submit(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellMapTask:
        """Return a handle on the map when the service has all of it; nothing shows it yet but its staging.

        Raises:
            CellInterrupted: the user has interrupted; nothing runs.
        """
        session, endpoint, options = self._sending.session, self._sending.endpoint, self._sending.options
        with nothing_sent():
            session.recall.open(place.notebook)
            check_cell(session, endpoint, self._plan.cell, options, screen)
            check_place(self._plan.remote, endpoint)
            content = hashlib.sha256(self._sending.content().encode() + self._plan.digest.encode()).hexdigest()
            submission = self._sending.described(place, TaskId(new_map_id()), content, map_of=self._plan.variable)
            running = session.running_twin(submission) if options.cache else None
            if running is not None:
                tell_running(running, screen)
                return attach_map(session, running, namespace, screen, options)
            tell_of_modules(session, self._plan.cell.local, screen)
            stage = StagingLine(lambda header, first: put_up(screen, header, first=first))
            limits = session.connection.limits()
            # The cell travels as a function, once for all elements; what is in the store, once for all maps.
            header = header_of(submission, len(self._plan.elements), options)
            spec, cached = self._sending.staged(header, stage, min(limits.max_function, limits.max_payload))
            upstream = self._sending.upstream(self._plan.remote)
        calls = self._submit(submission, spec, place, namespace, upstream)
        inputs = describe_inputs(self._plan.cell.captured, cached, verbose=options.verbose)
        task = open_map(
            session,
            submission,
            calls,
            namespace,
            screen,
            elements=self._plan.elements,
            inputs=inputs,
            options=options,
            called=called(session, upstream),
            is_shown=stage.is_shown,
        )
        session.remember(
            TaskRecord(
                task_id=submission.task_id,
                endpoint=submission.endpoint,
                cell=submission.title,
                name=submission.name,
            )
        )
        if options.wait_endpoint is not None and not endpoint.is_online:
            task.wait_at_most(options.wait_endpoint)
        task.again = partial(self._again, namespace, place)
        return task

    def _again(
        self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen, endpoint: Endpoint | None
    ) -> CellMapTask:
        sending = self._sending
        # Run again, it waits for nothing that was named: that has ended then, perhaps badly.
        options = msgspec.structs.replace(sending.options, cache=False, after=())
        return CellMapRun(sending.session, endpoint or sending.endpoint, self._plan, options).submit(
            namespace, place, screen
        )

    def _submit(
        self,
        submission: Submission,
        spec: CellSpec,
        place: CellPlace,
        namespace: dict[str, Any],
        upstream: tuple[TaskId, ...],
    ) -> FuncXMap:
        session, asked = self._sending.session, self._sending.options
        limits = session.connection.limits()
        chunksize = self._plan.chunksize(asked.chunk, limits.max_payload - ROOM_FOR_CODE)
        most = chunksize if isinstance(chunksize, int) else LARGEST
        walltime = None if asked.walltime is None else asked.walltime * most + _GRACE
        blobs, spec = (
            spec.blobs,
            msgspec.structs.replace(spec, blobs=[], result_limit=limits.max_result - ROOM_FOR_CODE),
        )
        function = CellOfMap(encode(spec), self._plan.variable, asked.walltime)
        about = write_about(self._plan, namespace, asked.walltime)
        session.recall.sent(submission)  # Before it is sent, as with any cell.
        order = MapOrder(
            map_id=MapId(submission.task_id),
            endpoint_id=submission.endpoint_id,
            function=Function(new_function_id(), function.__name__, pack_callable(function)),
            chunksize=chunksize,
            name=asked.name,
            options=self._sending.task_options(place, walltime=walltime, after=upstream),
            about=about,
            blobs=blobs,
        )
        try:
            return session.connection.submit_map(order, self._plan.calls())
        except KeyboardInterrupt:
            raise CellInterrupted(
                "Interrupted while the map was being sent. What was sent of it was told to stop.", submission.task_id
            ) from None


def header_of(submission: Submission, count: int, options: CellOptions, inputs: str = "") -> Header:
    """Return what the header line of a map of so many elements says first."""
    return Header(
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        task_id=submission.task_id,
        name=submission.name,
        elapsed=max(0.0, time.time() - submission.at),
        inputs=inputs,
        outputs=describe_wanted(submission.outputs, submission.refs, submission.endpoint),
        verbose=options.verbose,
        demands=demands(options),
        elements=f"{count:,} elements of {submission.map_of}",
    )


def open_map(
    session: Session,
    submission: Submission,
    calls: FuncXMap,
    namespace: dict[str, Any],
    screen: BackgroundScreen,
    *,
    elements: Sequence[Any],
    inputs: str = "",
    options: CellOptions = CellOptions(),  # noqa: B008 - it is frozen
    called: dict[str, str] | None = None,
    is_shown: bool = False,
    patience: float = 0.0,
) -> CellMapTask:
    """Return a handle on a map that the service has.

    Args:
        session: of the kernel.
        submission: what the journal has.
        calls: the map.
        namespace: where notebook code lives.
        screen: where it is to be shown.
        elements: in order.
        inputs: what went with the cell, in words.
        options: what its user asked for.
        called: what the tasks that it waits for are called here, by their ids.
        is_shown: its header line is on the screen already.
        patience: seconds to wait, at most, for what had ended before.
    """
    grid = CellGrid(session, calls, submission, elements, namespace)
    grid.start(patience=patience)
    header = header_of(submission, len(elements), options, inputs)
    followed = Followed(
        task_id=submission.task_id,
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        outputs=submission.outputs,
        refs=submission.refs,
        sent_at=submission.at,
        detaches=options.on_interrupt == DETACH,
        verbose=options.verbose,
        called=called or {},
    )
    view = MapView(grid, screen, header, stream=options.stream, is_shown=is_shown)
    task = CellMapTask(session, grid, followed, submission.name, namespace, screen, view)
    session.maps[submission.task_id] = task
    return task


def state_of_map(counts: MapProgress) -> TaskState:
    """Return how a map is, as the service knows it."""
    if counts.open:
        return TaskState.RUNNING if counts.open < counts.submitted or counts.running else TaskState.RECEIVED
    if counts.failed or counts.lost:
        return TaskState.FAILED
    return TaskState.CANCELLED if counts.cancelled else TaskState.SUCCESS


def attach_map(
    session: Session,
    submission: Submission,
    namespace: dict[str, Any],
    screen: BackgroundScreen,
    options: CellOptions = CellOptions(),  # noqa: B008 - it is frozen
) -> CellMapTask:
    """Return a handle on a map that this notebook, or another, has sent before.

    Raises:
        MapNotFound: it was deleted.
        RemoteProtocolError: it was not made by a cell.
    """
    calls = session.connection.find_map(MapId(submission.task_id))
    about = read_about(calls.about())
    found = msgspec.structs.replace(submission, map_of=about.variable, outputs=about.outputs, refs=about.refs)
    elements = elements_kept(about, len(calls), namespace)
    task = open_map(session, found, calls, namespace, screen, elements=elements, options=options, patience=_CATCH_UP)
    session.recognise(found)
    return task
