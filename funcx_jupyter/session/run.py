"""Sends one prepared cell and follows it; or follows the task of the same cell that runs already."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import FuncxError
from funcx_core.ids import new_task_id
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.display.header import Header, describe_inputs
from funcx_jupyter.errors import nothing_sent
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
from funcx_jupyter.session.prepare import PreparedCell
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.recorded import Sent
from funcx_jupyter.session.sending import Sending, code_hash, demands, put_up
from funcx_jupyter.session.size_limits import returned_unasked
from funcx_jupyter.session.staging_line import StagingLine
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.upstream import called
from funcx_jupyter.session.watch import Mailbox


class CellRun:
    """One run of one cell. Call `run` or `start`, once."""

    def __init__(self, session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions) -> None:
        self._sending = Sending(session, endpoint, prepared, options)
        self._session = session
        self._options = options

    def run(self, namespace: dict[str, Any], place: CellPlace, screen: LineScreen) -> Finished:
        """Return what the cell gave back, and raise, as `Following.run` does."""
        stage = StagingLine(lambda header, first: screen.header(header, first=first, last=False))
        return Following(self._session, self.begin(place, screen, Mailbox(), stage), screen).run(namespace)

    def start(self, namespace: dict[str, Any], place: CellPlace, screen: BackgroundScreen) -> CellTask:
        """Return a handle on the cell's task at once; what it prints and shows appears as it comes."""
        if (known := self._known_handle(place, screen)) is not None:
            return known
        stage = StagingLine(lambda header, first: put_up(screen, header, first=first))
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
        """Send the cell, and return its task, which nothing shows yet but its staging.

        Raises:
            CellInterrupted: the user has interrupted; nothing runs.
        """
        with nothing_sent():
            return self._begin(place, screen, mailbox, stage)

    def _begin(self, place: CellPlace, screen: Screen, mailbox: Mailbox, stage: StagingLine) -> Watched:
        self._session.recall.open(place.notebook)
        endpoint, prepared = self._sending.endpoint, self._sending.prepared
        check_cell(self._session, endpoint, prepared, self._options, screen)
        submission = self._describe(place)
        running = self._session.running_twin(submission) if self._options.cache else None
        if running is not None:
            return self._attached(running, screen, mailbox)
        tell_of_modules(self._session, prepared.local, screen)
        limits = self._session.connection.limits()
        spec, cached = self._sending.staged(self._header(submission), stage, limits.max_payload)
        spec = msgspec.structs.replace(spec, result_limit=returned_unasked(limits))
        future = self._submit(submission, self._with_origin(spec, place), place, mailbox)
        header, followed = self._header(submission, cached), self._followed(submission)
        if self._options.wait_endpoint is not None and not endpoint.is_online:
            mailbox.state = TaskState.WAITING_FOR_EP
            header = msgspec.structs.replace(header, state=TaskState.WAITING_FOR_EP)
            patience = Patience(
                self._session.connection, submission.task_id, self._options.wait_endpoint, time.monotonic
            )
            followed = msgspec.structs.replace(followed, patience=patience)
        return Watched(followed, future, mailbox, header, is_shown=stage.is_shown)

    def _describe(self, place: CellPlace) -> Submission:
        code = code_hash(self._sending.prepared.spec.source)
        return self._sending.described(place, new_task_id(), self._sending.content(), code=code)

    def _with_origin(self, spec: CellSpec, place: CellPlace) -> CellSpec:
        folder = Path(place.notebook).parent
        commit = commit_of(folder if folder.is_absolute() and folder.is_dir() else Path.cwd())
        return msgspec.structs.replace(spec, origin=origin_of(spec, commit, container=self._options.container or ""))

    def _submit(self, submission: Submission, spec: CellSpec, place: CellPlace, mailbox: Mailbox) -> FuncXFuture:
        connection = self._session.connection
        options = self._sending.task_options(place, walltime=self._options.walltime, after=self._sending.upstream())
        self._session.recall.sent(submission)  # Before it is sent: whatever happens from now on, the task can be found.
        try:
            future = connection.submit(submission.endpoint_id, spec, options, mailbox, submission.task_id)
        except KeyboardInterrupt:
            with suppress(FuncxError):  # It may have been sent, or not.
                connection.cancel(submission.task_id)
            raise
        # Run again, it waits for nothing: what it waited for has ended then, perhaps badly.
        independent = msgspec.structs.replace(options, after=())
        sent = Sent(submission.endpoint_id, spec, independent, list(self._sending.prepared.captured.remote))
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
        future = self._session.connection.watch(running.task_id, running.group_id, running.endpoint_id, mailbox)
        self._session.recognise(running)
        renamed = {running.filename: self._sending.prepared.spec.filename}
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
            called=called(self._session, self._sending.upstream()),
        )

    def _header(self, submission: Submission, cached: frozenset[str] = frozenset()) -> Header:
        return Header(
            endpoint=submission.endpoint,
            endpoint_id=submission.endpoint_id,
            task_id=submission.task_id,
            name=submission.name,
            elapsed=max(0.0, time.time() - submission.at),
            inputs=describe_inputs(self._sending.prepared.captured, cached, verbose=self._options.verbose),
            outputs=describe_wanted(submission.outputs, submission.refs, submission.endpoint),
            demands=demands(self._options),
            expected=self._session.recall.expected(
                submission.service, submission.endpoint_id, code=submission.code, cell_id=submission.cell_id
            ),
            verbose=self._options.verbose,
        )
