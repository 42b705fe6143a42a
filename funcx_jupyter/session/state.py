"""What one kernel remembers between cells: its connection, the endpoint in use, the tasks it ran."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from funcx_core.errors import TaskNotFound
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.session.connection import Connection, ServiceConnection
from funcx_jupyter.session.endpoints import Endpoint, choose

_MOST_TASKS = 1000


class TaskRecord(msgspec.Struct, kw_only=True):
    """A task that this kernel submitted."""

    task_id: TaskId
    endpoint: str
    cell: str
    state: TaskState = TaskState.RECEIVED
    seconds: float = 0.0


class Session:
    """One per kernel.

    Args:
        connect: makes the connection when it is first needed.
    """

    def __init__(self, connect: Callable[[], Connection] = ServiceConnection.open) -> None:
        self.used: str | None = None
        self.configured: str = ""
        self.tasks: dict[TaskId, TaskRecord] = {}
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
        """Return the endpoint for a cell: the one it names, else `%funcx use`, FUNCX_ENDPOINT, the configured one.

        Raises:
            UsageError, EndpointOffline: if there is none to use; the message says what to type.
        """
        order = [wanted, self.used, os.environ.get("FUNCX_ENDPOINT"), self.configured]
        return choose(order, self.connection.endpoints())

    def remember(self, record: TaskRecord) -> None:
        """Keep what is known of a task."""
        self.tasks[record.task_id] = record
        while len(self.tasks) > _MOST_TASKS:
            self.tasks.pop(next(iter(self.tasks)))

    def find_task(self, name: str) -> TaskId:
        """Return the id of the task that a user names: four letters of a task of this kernel, or a whole id.

        Raises:
            TaskNotFound: if there is none.
        """
        for task_id in reversed(self.tasks):
            if name in {task_id, words.short_id(task_id)}:
                return task_id
        if len(name) == 36:  # noqa: PLR2004 - a whole id, perhaps of another kernel
            return TaskId(name)
        raise shown_in_one_line(TaskNotFound(name, "`%funcx status` lists the tasks of this kernel."))

    def close(self) -> None:
        """Let go of the service."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
