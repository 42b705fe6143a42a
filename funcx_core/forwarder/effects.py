"""What the forwarder's machines ask their shell to do, in the order of the list they return."""

from __future__ import annotations

import msgspec

from funcx_core.ids import EndpointId, FunctionId, TaskId
from funcx_core.protocol.endpoint import EndpointStatus, FromCommands, Register
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.handoff import FromForwarder
from funcx_core.protocol.task import Lease, Task, TaskEvent, TaskResult, Transition


class SendTasks(msgspec.Struct, frozen=True):
    """Send a `TaskBatch` on the tasks channel, with the bodies of `functions`.

    If a body does not exist anywhere: `ForwarderState.unloadable`. If the peer is gone: `ForwarderState.undeliverable`.
    """

    endpoint_id: EndpointId
    route: bytes
    session: int
    tasks: list[Task]
    functions: list[FunctionId]


class SendAck(msgspec.Struct, frozen=True):
    """Send a `ResultsAck` on the results channel. If the peer is gone nothing is lost: it asks again."""

    route: bytes
    leases: list[Lease]


class SendCommand(msgspec.Struct, frozen=True):
    """Send on the commands channel."""

    route: bytes
    message: FromCommands


class Restore(msgspec.Struct, frozen=True):
    """Read the headers of the leases that a `Register` names; then `ForwarderState.restored` with the same session."""

    endpoint_id: EndpointId
    route: bytes
    session: int
    register: Register


class ListOpen(msgspec.Struct, frozen=True):
    """Read the ids of the oldest open tasks of an endpoint; then `ForwarderState.listed`."""

    endpoint_id: EndpointId
    at_most: int


class LoadOffers(msgspec.Struct, frozen=True):
    """Read these tasks with their payloads; then `ForwarderState.loaded`."""

    endpoint_id: EndpointId
    task_ids: list[TaskId]


class LoadCancelled(msgspec.Struct, frozen=True):
    """Read these tasks, which are to be cancelled and not known here; then `ForwarderState.cancelled_loaded`."""

    endpoint_id: EndpointId
    task_ids: list[TaskId]
    force: bool


class LoadExpired(msgspec.Struct, frozen=True):
    """Read these tasks, which have waited too long and are not known here; then `ForwarderState.expired_loaded`."""

    endpoint_id: EndpointId
    task_ids: list[TaskId]


class BeginAttempts(msgspec.Struct, frozen=True):
    """Persist raised attempt numbers; then `ForwarderState.attempts_begun` with this effect."""

    endpoint_id: EndpointId
    leases: list[Lease]
    acknowledge: list[Lease] = []


class Commit(msgspec.Struct, frozen=True):
    """End these tasks in the store; then `ForwarderState.committed` with this effect.

    The shell tries until it succeeds, and keeps the order of `BeginAttempts`, `RecordTransitions`, `AppendEvents` and
    `Commit` of one task.
    """

    endpoint_id: EndpointId
    results: list[TaskResult]
    acknowledge: bool
    may_wait: bool = False
    """Nobody waits for the acknowledgement: it may wait a moment for other writes."""


class RecordTransitions(msgspec.Struct, frozen=True):
    """Record states of open tasks. Those with `at` 0 are stamped by the shell."""

    endpoint_id: EndpointId
    transitions: list[Transition]


class AppendEvents(msgspec.Struct, frozen=True):
    """Append to the event logs of open tasks."""

    endpoint_id: EndpointId
    events: list[TaskEvent]


class Publish(msgspec.Struct, frozen=True):
    """Put to the topics of all web services."""

    messages: list[FromForwarder]


class MarkSeen(msgspec.Struct, frozen=True):
    """Record that the endpoint was heard from, or that it went away."""

    endpoint_id: EndpointId
    status: EndpointStatus | None
    online: bool
    epoch: int


class SaveEnvironments(msgspec.Struct, frozen=True):
    """Record what there is on the nodes of the endpoint."""

    endpoint_id: EndpointId
    environments: list[Environment]


Effect = (
    SendTasks
    | SendAck
    | SendCommand
    | Restore
    | ListOpen
    | LoadOffers
    | LoadCancelled
    | LoadExpired
    | BeginAttempts
    | Commit
    | RecordTransitions
    | AppendEvents
    | Publish
    | MarkSeen
    | SaveEnvironments
)
