"""What one kernel remembers between cells: its connection, the endpoint in use, the tasks it ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from funcx_core.cells.sources import remember_text
from funcx_core.errors import FuncxError, TaskNotFound, UsageError
from funcx_core.ids import MapId, TaskId, new_task_id
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.display import words
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.session.background import Background
from funcx_jupyter.session.connection import Connection
from funcx_jupyter.session.endpoints import Endpoint, choose, find, is_id, offline
from funcx_jupyter.session.environment import Environments
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.recall import Recall
from funcx_jupyter.session.recorded import Recorded, Records, Sent, check_can_move
from funcx_jupyter.session.service_connection import ServiceConnection
from funcx_jupyter.session.staging import Staging
from funcx_jupyter.session.watch import Mailbox
from funcx_jupyter.settings.layers import Configuration

if TYPE_CHECKING:
    from funcx_jupyter.cellmaps.task import CellMapTask
    from funcx_jupyter.session.cell_task import CellTask

_MOST_TASKS = 1000
_MOST_KEPT = 64 * 1000 * 1000
"""Bytes of inputs kept for running cells again."""


class TaskRecord(msgspec.Struct, kw_only=True):
    """A task that this kernel submitted. `sent` is None once its inputs take too much memory.

    `is_lost`: nothing more is heard of it here, although it may go on.
    """

    task_id: TaskId
    endpoint: str
    cell: str
    name: str = ""
    state: TaskState = TaskState.RECEIVED
    seconds: float = 0.0
    sent: Sent | None = None
    is_lost: bool = False


class Session:
    """One per kernel.

    Args:
        connect: makes the connection when it is first needed.
    """

    def __init__(self, connect: Callable[[], Connection] = ServiceConnection.open) -> None:
        self.used: str | None = None
        self.configuration = Configuration()
        self.tasks: dict[TaskId, TaskRecord] = {}
        self.listeners: set[Callable[[TaskRecord], None]] = set()
        self.recall = Recall()
        self.recorded = Records()
        self.background = Background()
        self.asynchronous: dict[TaskId, CellTask] = {}
        self.maps: dict[TaskId, CellMapTask] = {}
        self.environments = Environments(self._ask_environments, time.monotonic)
        self.told: set[str] = set()
        self.staging = Staging()
        self.modules: dict[str, str] = {}
        self._kept = 0
        self._connect = connect
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection to the service that is configured now.

        Raises:
            NotConnectedError: if none is.
        """
        known = self._connection
        if isinstance(known, ServiceConnection) and not known.is_current():
            known.close()
            known = None
        if known is None:
            known = self._connection = self._connect()
        return known

    def endpoint(self, wanted: str | None = None) -> Endpoint:
        """Return the endpoint for a cell: the one it names, else that of `%funcx use`, else the configured one, else the obvious one.

        Raises:
            UsageError, EndpointOffline: if there is none to use; the message says what to type.
        """
        name = self._meant(wanted)
        return choose([name], self.endpoints(name))

    def endpoint_or(self, wanted: str | None, *, fallback: str | None, waits: bool) -> tuple[Endpoint, str]:
        """Return the endpoint for a cell; if it is offline, the `fallback`, or that very endpoint if the cell `waits` for it.

        The second value is the name of the one that is offline, if another takes its place. Raises as `endpoint` does.
        """
        name = self._meant(wanted)
        rows = self.endpoints(name)
        found = find([name], rows)
        if found.is_online or waits:
            return found, ""
        other = self.find_endpoint(fallback) if fallback else found
        if not other.is_online:
            raise offline(found, rows)
        return other, found.name

    def find_endpoint(self, name: str) -> Endpoint:
        """Return the endpoint of this name, alias or id, online or not. Raises as `endpoint` does."""
        meant = self._meant(name)
        return find([meant], self.endpoints(meant))

    def default_of(self, rows: list[Endpoint]) -> Endpoint:
        """Return which of these a cell would run on that names none, online or not. Raises as `endpoint` does."""
        return find([self._meant(None)], rows)

    def endpoints(self, name: str | None = None) -> list[Endpoint]:
        """Return the user's endpoints, and that of this id, though it be shared with the user by somebody else. Raises FuncxError."""
        rows = self.connection.endpoints()
        if name is None or not is_id(name) or any(row.endpoint_id == name for row in rows):
            return rows
        return [*rows, *self.connection.shared_endpoint(name)]

    def endpoint_names(self) -> list[str]:
        """Return what endpoints may be called: their names, ids and aliases. Raises FuncxError."""
        rows = self.connection.endpoints()
        return [*(name for row in rows for name in (row.name, row.endpoint_id)), *self.configuration.aliases()]

    def _ask_environments(self, endpoint_id: str) -> list[Environment]:
        return self.connection.environments(endpoint_id)

    def _meant(self, wanted: str | None) -> str | None:
        name = wanted or self.used or self.configuration.endpoint()
        return None if name is None else self.configuration.aliases().get(name, name)

    def remember(self, record: TaskRecord) -> None:
        """Keep what is known of a task, and tell the listeners."""
        self.tasks[record.task_id] = record
        if (sent := record.sent) is not None:
            self._kept += sent.size
            self.recorded.keep(
                record.task_id, Recorded(endpoint=record.endpoint, cell=record.cell, name=record.name, sent=sent)
            )
        while len(self.tasks) > _MOST_TASKS:
            oldest = next(iter(self.tasks))
            self._forget_inputs(self.tasks.pop(oldest))
            self.asynchronous.pop(oldest, None)
            self.maps.pop(oldest, None)
        for old in self.tasks.values():
            if self._kept <= _MOST_KEPT:
                break
            self._forget_inputs(old)
        for listener in list(self.listeners):
            listener(record)

    def tasks_at_service(self) -> dict[str, TaskRecord]:
        """Return the tasks of this kernel as the service has them: those that run a map's elements in its place."""
        found: dict[str, TaskRecord] = {}
        for task_id, record in list(self.tasks.items()):
            cell_map = self.maps.get(task_id)
            found.update(dict.fromkeys([task_id] if cell_map is None else cell_map.grid.task_ids(), record))
        return found

    def recognise(self, submission: Submission) -> None:
        """Keep what the journal knows of a task that is attached to."""
        if known := self.tasks.get(submission.task_id):
            known.is_lost = False
        else:
            title = submission.title or submission.task_id
            self.remember(
                TaskRecord(task_id=submission.task_id, endpoint=submission.endpoint, cell=title, name=submission.name)
            )

    def lost(self, task_id: TaskId) -> None:
        """Nothing more is heard of a task here, although it may go on: it waits to be attached."""
        if record := self.tasks.get(task_id):
            record.is_lost = True

    def is_followed(self, task_id: TaskId) -> bool:
        """Whether this kernel knows the task, and hears of it or has heard its end."""
        record = self.tasks.get(task_id)
        return record is not None and not record.is_lost

    def ended(
        self, task_id: TaskId, state: TaskState, seconds: float = 0.0, *, is_shown: bool = True, at: float | None = None
    ) -> None:
        """A task has ended, now or `at` (Unix seconds). `seconds`: how long it ran. `is_shown`: the user has seen that, and its output."""
        if record := self.tasks.get(task_id):
            record.state, record.seconds = state, seconds
        if is_shown:
            self.recall.ended(task_id, state, time.time() if at is None else at, seconds)

    def running_twin(self, wanted: Submission) -> Submission | None:
        """Return the submission of the same cell, with the same inputs, whose task still runs.

        What the same execution of the cell has sent does not count: a loop may send one cell many times.
        """
        if not wanted.cell_id:
            return None
        for known in reversed(self.recall.submissions(wanted.service)):
            is_same = (known.cell_id, known.content) == (wanted.cell_id, wanted.content)
            if is_same and known.run_id != wanted.run_id and self.recall.end_of(known.task_id) is None:
                return known if self._is_open(known) else None
        return None

    def _is_open(self, known: Submission) -> bool:
        try:
            if known.map_of:
                return self.connection.find_map(MapId(known.task_id)).progress().open > 0
            return not TaskState(self.connection.task(known.task_id)["status"]).is_terminal
        except FuncxError:
            return False  # The service never got it, or says by the submit what is wrong.

    def known_submissions(self) -> list[Submission]:
        """Return what this and earlier kernels of this notebook have sent to the service, oldest first."""
        return self.recall.submissions(self.connection.address)

    def find_submission(self, name: str) -> Submission | None:
        """Return the newest submission of this notebook that a user names by four letters, id or name."""
        known = self.known_submissions()
        return next(
            (one for one in reversed(known) if name in {one.task_id, words.short_id(one.task_id), one.name}), None
        )

    def last_run(self, source: str) -> TaskRecord | None:
        """Return the last task that ran this very code to its end here."""
        ended = (one for one in reversed(self.tasks.values()) if one.state is TaskState.SUCCESS and one.seconds)
        return next((one for one in ended if one.sent is not None and one.sent.spec.source == source), None)

    def why_not_again(self, task_id: TaskId) -> str:
        """Return why a task cannot be run again from here, or nothing."""
        record = self.tasks.get(task_id)
        if (record is not None and record.sent is not None) or self.recorded.has(task_id):
            return ""
        if record is None and self.find_submission(task_id) is None:
            return "Only cells of this notebook can be run again here."
        return "Its inputs are not kept any more. Run its cell again."

    def run_again(self, task_id: TaskId) -> TaskRecord:
        """Submit a cell once more with the inputs it had, without waiting; `%funcx result` returns its value.

        Raises as `resubmit` does.
        """
        submission, _ = self.resubmit(task_id, Mailbox())
        return self.tasks[submission.task_id]

    def resubmit(
        self, task_id: TaskId, mailbox: Mailbox, endpoint: Endpoint | None = None
    ) -> tuple[Submission, FuncXFuture]:
        """Submit a cell once more with the inputs it had, there or on another endpoint.

        Raises:
            UsageError: its inputs are not known here, or not any more.
            RemoteValueElsewhere: they name values that are on another endpoint.
            FuncxError: it cannot be submitted now.
        """
        if reason := self.why_not_again(task_id):
            raise shown_in_one_line(UsageError(f"Task {words.short_id(task_id)} cannot be run again. {reason}"))
        old = self._sent(task_id)
        assert old.sent is not None  # noqa: S101 - there is no reason why not
        sent = old.sent
        if endpoint is not None:
            check_can_move(sent, endpoint, task_id)
            sent = msgspec.structs.replace(sent, endpoint_id=endpoint.endpoint_id)
        connection = self.connection
        if sent.spec.blobs and not self.staging.is_there(connection.store, sent.spec.blobs):
            self._forget_inputs(old)
            self.recorded.forget(task_id)
            raise shown_in_one_line(
                UsageError(f"Task {words.short_id(task_id)} cannot be run again. {self.why_not_again(task_id)}")
            )
        submission = Submission(
            task_id=new_task_id(),
            group_id=connection.group_id,
            endpoint_id=sent.endpoint_id,
            endpoint=old.endpoint if endpoint is None else endpoint.name,
            service=connection.address,
            at=time.time(),
            title=old.cell,
            outputs=sent.spec.outputs,
            refs=sent.spec.keep,
            name=old.name,
            filename=sent.spec.filename,
        )
        self.recall.sent(submission)
        future = connection.submit(sent.endpoint_id, sent.spec, sent.options, mailbox, submission.task_id)
        self.remember(
            TaskRecord(
                task_id=submission.task_id, endpoint=submission.endpoint, cell=old.cell, name=old.name, sent=sent
            )
        )
        return submission, future

    def _sent(self, task_id: TaskId) -> TaskRecord:
        """Return a task with its inputs: what this kernel knows, else what an earlier one has recorded."""
        record = self.tasks.get(task_id)
        if record is not None and record.sent is not None:
            return record
        found = self.recorded.load(task_id)
        if found is None:
            reason = (
                f"Task {words.short_id(task_id)} cannot be run again. Its record cannot be read. Run its cell again."
            )
            raise shown_in_one_line(UsageError(reason))
        remember_text(
            found.sent.spec.filename, found.sent.spec.text
        )  # For tracebacks: its cell may be of another kernel.
        return TaskRecord(task_id=task_id, endpoint=found.endpoint, cell=found.cell, name=found.name, sent=found.sent)

    def _forget_inputs(self, record: TaskRecord) -> None:
        if record.sent is not None:
            self._kept -= record.sent.size
            record.sent = None

    def find_task(self, name: str) -> TaskId:
        """Return the id of the task that a user names: four letters of a task of this kernel, or a whole id.

        Raises:
            TaskNotFound: if there is none.
        """
        for task_id, record in reversed(self.tasks.items()):
            if name in {task_id, words.short_id(task_id), record.name}:
                return task_id
        if submission := self.find_submission(name):
            return submission.task_id
        if len(name) == 36:  # noqa: PLR2004 - a whole id, perhaps of another kernel
            return TaskId(name)
        raise shown_in_one_line(TaskNotFound(name, "`%funcx status` lists the tasks of this kernel."))

    def presented(self, error: FuncxError) -> FuncxError:
        """Return an error as a notebook shows it: in one line, and what to do about it there."""
        return shown_in_one_line(error) if self._connection is None else self._connection.presented(error)

    def close(self) -> None:
        """Let go of the service."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
