"""What `state.Session` tells its shell to do."""

from __future__ import annotations

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.endpoint import FromCommands, TaskBatch
from funcx_core.protocol.task import Lease, TaskResult


class SendTasks(msgspec.Struct, frozen=True):
    """Send on the tasks channel; call `undeliverable` if that is not possible."""

    route: bytes
    batch: TaskBatch


class SendAck(msgspec.Struct, frozen=True):
    """Tell the agent on the results channel to forget these results."""

    route: bytes
    leases: list[Lease]


class SendCommand(msgspec.Struct, frozen=True):
    """Send on the commands channel. What cannot be sent is made up for when the agent registers again."""

    route: bytes
    message: FromCommands


class Ended(msgspec.Struct, frozen=True):
    """These tasks have ended."""

    results: list[TaskResult]


class Started(msgspec.Struct, frozen=True):
    """These tasks run for longer than a moment."""

    task_ids: list[TaskId]


Effect = SendTasks | SendAck | SendCommand | Ended | Started
