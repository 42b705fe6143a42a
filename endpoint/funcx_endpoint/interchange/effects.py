"""What the interchange's shell must do next."""

from __future__ import annotations

import msgspec

from funcx_core.ids import ManagerId
from funcx_core.protocol.endpoint import Cancel, Events, GiveBack, TaskBatch, Transitions
from funcx_core.protocol.manager import Drain, ManagerRefused, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import Lease, Task, TaskResult


class ToManager(msgspec.Struct, frozen=True):
    """Send `message` to a manager; if it cannot be reached, its silence will show."""

    manager_id: ManagerId
    message: TaskBatch | Cancel | Drain | ManagerRegistered | ManagerRefused | ReportsAck


class Report(msgspec.Struct, frozen=True):
    """Send `message` to the forwarder on the results channel, if the session is open."""

    message: Events | Transitions | GiveBack


class Deliver(msgspec.Struct, frozen=True):
    """Send `results` to the forwarder if the session is open, and write them to disk. Then call `settled` with `manager_id`."""

    manager_id: ManagerId | None
    results: list[TaskResult]


class Fetch(msgspec.Struct, frozen=True):
    """The arguments of this task are a reference: bring them to this endpoint, then call `fetched` or `not_fetched`."""

    task: Task


class Forget(msgspec.Struct, frozen=True):
    """These results are safe with the service: delete them from disk."""

    leases: list[Lease]


class Window(msgspec.Struct, frozen=True):
    """Tell the forwarder how many leases this endpoint takes now."""

    window: int


class Bury(msgspec.Struct, frozen=True):
    """This manager was silent for too long: make sure that it is dead if that can be done, find out what it had started, then call `manager_lost`."""

    manager_id: ManagerId


class Finished(msgspec.Struct, frozen=True):
    """The drain is over: nothing is held here any more."""


Effect = ToManager | Report | Deliver | Fetch | Forget | Window | Bury | Finished
