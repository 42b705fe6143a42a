"""Sends a cell that runs once for each element; or follows the map of the same cell that runs already."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from funcx_core.cells.elements import CellOfMap
from funcx_core.ids import MapId, TaskId, new_function_id, new_map_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import Function, TaskOptions, TaskState
from funcx_core.sdk.maps import FuncXMap, MapProgress
from funcx_core.sdk.range_sizes import LARGEST
from funcx_core.serialize import pack_callable
from funcx_jupyter.cellmaps.grid import CellGrid
from funcx_jupyter.cellmaps.plan import MapPlan, elements_kept, read_about, write_about
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.cellmaps.view import MapView
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header, describe_inputs
from funcx_jupyter.options.cell import DETACH, CellOptions
from funcx_jupyter.session.asynchronous import BackgroundScreen
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.followed import Followed
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.preflight import check_cell, tell_of_modules, tell_running
from funcx_jupyter.session.prepare import check_size, with_pieces_inside
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.run import GRACE, content_hash, demands
from funcx_jupyter.session.size_limits import ROOM_FOR_CODE
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.upstream import check_there

if TYPE_CHECKING:
    from collections.abc import Sequence

_GRACE: Final = 30.0
"""Seconds that a range has beyond the time limits of its elements; those end by themselves unless they hang in C code."""
_TITLE: Final = 200


class CellMapRun:
    """One run of one cell for all elements. Call `run` or `start`, once."""

    def __init__(self, session: Session, endpoint: Endpoint, plan: MapPlan, options: CellOptions) -> None:
        self._session = session
        self._endpoint = endpoint
        self._plan = plan
        self._options = options

    def run(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> Finished:
        """Follow the map to its end and return what it gave back, and raise, as `CellMapTask.follow` does."""
        task = self.submit(namespace, place, screen)
        if self._options.name:
            namespace[self._options.name] = task
        return task.follow()

    def start(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellMapTask:
        """Return a handle on the map when the service has all of it; bar and output are kept up to date."""
        task = self.submit(namespace, place, screen)
        task.follow_in_background()
        return task

    def submit(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellMapTask:
        """Return a handle on the map when the service has all of it; nothing shows it yet."""
        session = self._session
        session.recall.open(place.notebook)
        check_cell(session, self._endpoint, self._plan.cell, self._options, screen)
        check_there(self._plan.cell.captured.remote)
        tell_of_modules(session, self._plan.cell.local, screen)
        submission = self._describe(place)
        running = session.running_twin(submission) if self._options.cache else None
        if running is not None:
            tell_running(running, screen)
            return attach_map(session, running, namespace, screen, self._options)
        calls = self._submit(submission, place, namespace)
        inputs = describe_inputs(self._plan.cell.captured, verbose=self._options.verbose)
        task = open_map(
            session,
            submission,
            calls,
            namespace,
            screen,
            elements=self._plan.elements,
            inputs=inputs,
            options=self._options,
        )
        session.remember(
            TaskRecord(
                task_id=submission.task_id,
                endpoint=submission.endpoint,
                cell=submission.title,
                name=submission.name,
            )
        )
        if self._options.wait_endpoint is not None and not self._endpoint.is_online:
            task.wait_at_most(self._options.wait_endpoint)
        task.again = partial(self._again, namespace, place)
        return task

    def _again(
        self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen, endpoint: Endpoint | None
    ) -> CellMapTask:
        options = msgspec.structs.replace(self._options, cache=False)
        return CellMapRun(self._session, endpoint or self._endpoint, self._plan, options).submit(
            namespace, place, screen
        )

    def _describe(self, place: CellPlace) -> Submission:
        spec, connection = self._plan.cell.spec, self._session.connection
        parts = self._plan.cell.captured.packed.parts
        content = hashlib.sha256(content_hash(spec, self._endpoint.endpoint_id, parts).encode())
        content.update(self._plan.digest.encode())
        return Submission(
            task_id=TaskId(new_map_id()),
            group_id=connection.group_id,
            endpoint_id=self._endpoint.endpoint_id,
            endpoint=self._endpoint.name,
            service=connection.address,
            at=time.time(),
            title=words.title(spec.source)[:_TITLE],
            cell_id=place.cell_id,
            run_id=place.run_id,
            content=content.hexdigest(),
            outputs=spec.outputs,
            name=self._options.name,
            is_async=self._options.is_async,
            filename=spec.filename,
            map_of=self._plan.variable,
        )

    def _submit(self, submission: Submission, place: CellPlace, namespace: dict[str, Any]) -> FuncXMap:
        connection, asked = self._session.connection, self._options
        limits = connection.limits()
        cell = self._plan.cell
        inside = with_pieces_inside(cell.spec, cell.captured)  # The cell travels as a function, once for all elements.
        check_size(inside, cell.captured, min(limits.max_function, limits.max_payload))
        spec = msgspec.structs.replace(inside, result_limit=limits.max_result - ROOM_FOR_CODE)
        chunksize = self._plan.chunksize(asked.chunk, limits.max_payload - ROOM_FOR_CODE)
        most = chunksize if isinstance(chunksize, int) else LARGEST
        options = TaskOptions(
            walltime=None if asked.walltime is None else asked.walltime * most + _GRACE,
            retry_on_loss=asked.retries,
            container_id=asked.container,
            interrupt_grace=GRACE,
            tags=place.tags(),
            priority=asked.priority,
            resources=asked.resources,
        )
        function = CellOfMap(encode(spec), self._plan.variable, asked.walltime)
        about = write_about(self._plan, namespace, asked.walltime)
        self._session.recall.sent(submission)  # Before it is sent, as with any cell.
        return connection.submit_map(
            MapId(submission.task_id),
            submission.endpoint_id,
            Function(new_function_id(), function.__name__, pack_callable(function)),
            self._plan.calls(),
            chunksize=chunksize,
            name=asked.name,
            options=options,
            about=about,
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
) -> CellMapTask:
    """Return a handle on a map that the service has."""
    grid = CellGrid(
        calls,
        submission.map_of,
        elements,
        submission.outputs,
        submission.endpoint,
        namespace,
        is_trusted=session.connection.trusts(submission.endpoint_id),
    )
    grid.start()
    header = Header(
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        task_id=submission.task_id,
        name=submission.name,
        elapsed=max(0.0, time.time() - submission.at),
        inputs=inputs,
        outputs=", ".join(submission.outputs),
        verbose=options.verbose,
        demands=demands(options),
        elements=f"{len(elements):,} elements of {submission.map_of}",
    )
    followed = Followed(
        task_id=submission.task_id,
        endpoint=submission.endpoint,
        endpoint_id=submission.endpoint_id,
        outputs=submission.outputs,
        sent_at=submission.at,
        detaches=options.on_interrupt == DETACH,
        verbose=options.verbose,
    )
    view = MapView(grid, screen, header, stream=options.stream)
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
    found = msgspec.structs.replace(submission, map_of=about.variable, outputs=about.outputs)
    elements = elements_kept(about, len(calls), namespace)
    task = open_map(session, found, calls, namespace, screen, elements=elements, options=options)
    session.recognise(found)
    return task
