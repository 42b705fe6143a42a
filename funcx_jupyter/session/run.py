"""Sends one prepared cell and follows it; or follows the task of the same cell that runs already."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

from funcx_core.cells.spec import CellSpec
from funcx_core.ids import TaskId, new_task_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import TaskOptions, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.capture.streams import Part
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header, describe_inputs
from funcx_jupyter.options.cell import DETACH, CellOptions
from funcx_jupyter.origin.commit import commit_of
from funcx_jupyter.origin.facts import origin_of
from funcx_jupyter.session.asynchronous import BackgroundScreen, show_in_background
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.followed import Followed, Watched
from funcx_jupyter.session.following import Following, LineScreen, Screen
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.outcome import Finished, describe_wanted
from funcx_jupyter.session.patience import Patience
from funcx_jupyter.session.preflight import check_cell, tell_of_modules, tell_running
from funcx_jupyter.session.prepare import PreparedCell, check_size, with_pieces_inside
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.recorded import Sent
from funcx_jupyter.session.size_limits import returned_unasked
from funcx_jupyter.session.staging_line import StagingLine
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.upstream import called, upstream_of
from funcx_jupyter.session.watch import Mailbox

_KERNEL_FOLDER: Final = re.compile(rb"ipykernel_\d+")
"""Code knows its cell by a file name with the number of the kernel's process; after a restart that is another."""
_TITLE: Final = 200
GRACE: Final = 5.0
"""Seconds between SIGINT, SIGTERM and SIGKILL of a cell that is told to stop: time to save what it has."""


class CellRun:
    """One run of one cell. Call `run` or `start`, once."""

    def __init__(self, session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions) -> None:
        self._session = session
        self._endpoint = endpoint
        self._prepared = prepared
        self._options = options

    def run(self, namespace: dict[str, Any], place: CellPlace, screen: LineScreen) -> Finished:
        """Return what the cell gave back, and raise, as `Following.run` does."""
        stage = StagingLine(lambda header, first: screen.header(header, first=first, last=False))
        return Following(self._session, self.begin(place, screen, Mailbox(), stage), screen).run(namespace)

    def start(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellTask:
        """Return a handle on the cell's task at once; what it prints and shows appears as it comes."""
        if (known := self._known_handle(place, screen)) is not None:
            return known
        stage = StagingLine(lambda header, first: _put_up(screen, header, first=first))
        watched = self.begin(place, screen, Mailbox(self._session.background.news), stage)
        return show_in_background(self._session, watched, screen, namespace, self._options.name)

    def _known_handle(self, place: CellPlace, screen: BackgroundScreen) -> CellTask | None:
        """Return the handle that this very cell has returned before, if its task still runs."""
        self._session.recall.open(place.notebook)
        running = self._session.running_twin(self._describe(place)) if self._options.cache else None
        handle = None if running is None else self._session.asynchronous.get(running.task_id)
        if running is None or handle is None:
            return None
        tell_running(running, screen)
        if screen.is_live:
            handle.show_again()
        return handle

    def begin(self, place: CellPlace, screen: Screen, mailbox: Mailbox, stage: StagingLine) -> Watched:
        """Send the cell, and return its task, which nothing shows yet but its staging."""
        self._session.recall.open(place.notebook)
        check_cell(self._session, self._endpoint, self._prepared, self._options, screen)
        submission = self._describe(place)
        running = self._session.running_twin(submission) if self._options.cache else None
        if running is not None:
            return self._attached(running, screen, mailbox)
        tell_of_modules(self._session, self._prepared.local, screen)
        spec, cached = self._stage(submission, stage)
        future = self._submit(submission, self._with_origin(spec, place), place, mailbox)
        header, followed = self._header(submission, cached), self._followed(submission)
        if self._options.wait_endpoint is not None and not self._endpoint.is_online:
            mailbox.state = TaskState.WAITING_FOR_EP
            header = msgspec.structs.replace(header, state=TaskState.WAITING_FOR_EP)
            patience = Patience(
                self._session.connection, submission.task_id, self._options.wait_endpoint, time.monotonic
            )
            followed = msgspec.structs.replace(followed, patience=patience)
        return Watched(followed, future, mailbox, header, is_shown=stage.is_shown)

    def _stage(self, submission: Submission, stage: StagingLine) -> tuple[CellSpec, frozenset[str]]:
        """Return the cell with its large inputs in the store, and which of these were there before."""
        connection, prepared = self._session.connection, self._prepared
        limits = connection.limits()
        spec = msgspec.structs.replace(prepared.spec, result_limit=returned_unasked(limits))
        if not prepared.captured.packed.parts:
            check_size(spec, prepared.captured, limits.max_payload)
            return spec, frozenset()
        if not limits.max_blob:
            spec = with_pieces_inside(spec, prepared.captured)
            check_size(spec, prepared.captured, limits.max_payload)
            return spec, frozenset()
        header = self._header(submission, frozenset())
        try:
            staged = self._session.staging.stage(
                connection.store,
                prepared.captured,
                limits,
                endpoint=self._endpoint.name,
                seconds=self._options.stage,
                tell=lambda note: stage.show(msgspec.structs.replace(header, note=note)),
            )
        except BaseException:
            stage.end(msgspec.structs.replace(header, note="not sent"))
            raise
        check_size(spec, prepared.captured, limits.max_payload)
        return msgspec.structs.replace(spec, blobs=staged.blobs), staged.cached

    def _describe(self, place: CellPlace) -> Submission:
        spec, connection = self._prepared.spec, self._session.connection
        return Submission(
            task_id=new_task_id(),
            group_id=connection.group_id,
            endpoint_id=self._endpoint.endpoint_id,
            endpoint=self._endpoint.name,
            service=connection.address,
            at=time.time(),
            title=words.title(spec.source)[:_TITLE],
            cell_id=place.cell_id,
            run_id=place.run_id,
            code=code_hash(spec.source),
            content=content_hash(spec, self._endpoint.endpoint_id, self._prepared.captured.packed.parts),
            outputs=spec.outputs,
            refs=spec.keep,
            name=self._options.name,
            is_async=self._options.is_async,
            filename=spec.filename,
        )

    def _with_origin(self, spec: CellSpec, place: CellPlace) -> CellSpec:
        folder = Path(place.notebook).parent
        commit = commit_of(folder if folder.is_absolute() and folder.is_dir() else Path.cwd())
        return msgspec.structs.replace(spec, origin=origin_of(spec, commit, container=self._options.container or ""))

    def _submit(self, submission: Submission, spec: CellSpec, place: CellPlace, mailbox: Mailbox) -> FuncXFuture:
        connection = self._session.connection
        asked = self._options
        options = TaskOptions(
            walltime=asked.walltime,
            retry_on_loss=asked.retries,
            container_id=asked.container,
            interrupt_grace=GRACE,
            tags=place.tags(),
            priority=asked.priority,
            resources=asked.resources,
            after=self._upstream(),
        )
        self._session.recall.sent(submission)  # Before it is sent: whatever happens from now on, the task can be found.
        future = connection.submit(submission.endpoint_id, spec, options, mailbox, submission.task_id)
        # Run again, it waits for nothing: what it waited for has ended then, perhaps badly.
        sent = Sent(submission.endpoint_id, spec, msgspec.structs.replace(options, after=()))
        self._session.remember(
            TaskRecord(
                task_id=submission.task_id,
                endpoint=submission.endpoint,
                cell=submission.title,
                name=submission.name,
                sent=sent,
            )
        )
        return future

    def _attached(self, running: Submission, screen: Screen, mailbox: Mailbox) -> Watched:
        tell_running(running, screen)
        self._session.wait_for_handle(running.task_id)
        future = self._session.connection.watch(running.task_id, running.group_id, running.endpoint_id, mailbox)
        self._session.recognise(running)
        renamed = {running.filename: self._prepared.spec.filename}
        followed = msgspec.structs.replace(self._followed(running), renamed=renamed)
        return Watched(followed, future, mailbox, self._header(running))

    def _followed(self, submission: Submission) -> Followed:
        return Followed(
            task_id=submission.task_id,
            endpoint=submission.endpoint,
            endpoint_id=submission.endpoint_id,
            outputs=submission.outputs,
            refs=submission.refs,
            sent_at=submission.at,
            walltime=self._options.walltime,
            stream=self._options.stream,
            detaches=self._options.on_interrupt == DETACH,
            verbose=self._options.verbose,
            called=called(self._session, self._upstream()),
        )

    def _upstream(self) -> tuple[TaskId, ...]:
        return upstream_of(self._session, self._options.after, self._prepared.captured.remote)

    def _header(self, submission: Submission, cached: frozenset[str] = frozenset()) -> Header:
        return Header(
            endpoint=submission.endpoint,
            endpoint_id=submission.endpoint_id,
            task_id=submission.task_id,
            name=submission.name,
            elapsed=max(0.0, time.time() - submission.at),
            inputs=describe_inputs(self._prepared.captured, cached, verbose=self._options.verbose),
            outputs=describe_wanted(submission.outputs, submission.refs, submission.endpoint),
            demands=demands(self._options),
            expected=self._session.recall.expected(
                submission.service, submission.endpoint_id, code=submission.code, cell_id=submission.cell_id
            ),
            verbose=self._options.verbose,
        )


def demands(options: CellOptions) -> str:
    """Return in words what a cell asks of the Python that runs it."""
    asked = [f"container {words.short_id(options.container)}"] if options.container else []
    return " · ".join([*asked, *(f"requires {requirement}" for requirement in options.requires)])


def code_hash(source: str) -> str:
    """Return a hash by which the same code is known again."""
    return hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]


def content_hash(spec: CellSpec, endpoint_id: str, parts: Mapping[str, Part] = MappingProxyType({})) -> str:
    """Return a hash of what is sent, which is the same after a restart of the kernel as long as nothing has changed.

    Args:
        spec: what is sent.
        endpoint_id: where.
        parts: what is sent beside it, see `Packed`.
    """
    encoded = encode(msgspec.structs.replace(spec, filename="", text="", blobs=[]))
    for name, part in parts.items():
        pickles = part.blocks[0]
        if isinstance(pickles, bytes) and (plain := _without_kernel(pickles)) != pickles:
            encoded = encoded.replace(name.encode(), hashlib.sha256(plain).hexdigest().encode())
    return hashlib.sha256(endpoint_id.encode() + _without_kernel(encoded)).hexdigest()


def _without_kernel(content: bytes) -> bytes:
    return _KERNEL_FOLDER.sub(b"", content) if b"ipykernel_" in content else content


def _put_up(screen: BackgroundScreen, header: Header, *, first: bool) -> None:
    if screen.is_live:
        (screen.open if first else screen.header)(header)
