"""What the forwarder remembers of a session and of a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from funcx_core.ids import FunctionId, GroupId, TaskId, UserId
from funcx_core.protocol.functions import SentFunctions
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import Lease, Task


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one endpoint's work is held in memory and in one frame.

    Attributes:
        pending_tasks: tasks kept with their payloads; what is beyond waits in the store.
        pending_bytes: the same for their payloads together.
        batch_tasks: tasks in one `TaskBatch`.
        batch_bytes: payloads in one `TaskBatch`, unless a single one is larger.
        page_tasks: tasks read from the store at a time.
        page_bytes: about how many bytes of payload are read at a time.
        uncommitted_bytes: results waiting for their commit, beyond which nothing more is leased.
    """

    pending_tasks: int = 20_000
    pending_bytes: int = 64 * 1024 * 1024
    batch_tasks: int = 500
    batch_bytes: int = 1024 * 1024
    page_tasks: int = 2_000
    page_bytes: int = 16 * 1024 * 1024
    uncommitted_bytes: int = 64 * 1024 * 1024


@dataclass(slots=True)
class Session:
    """One registration of an agent.

    Routes are where its channels answer, None until they are attached. `leaving`: it said goodbye. `owed_acks`: committed
    before the results channel was attached.
    """

    number: int
    epoch: int
    window: int
    commands_route: bytes
    tasks_route: bytes | None = None
    results_route: bytes | None = None
    leaving: bool = False
    owed_acks: list[Lease] = field(default_factory=list)
    functions: SentFunctions = field(default_factory=SentFunctions)


class Place(IntEnum):
    """Where a task that the forwarder knows is. A task that it does not know is in the store only."""

    PENDING = 1
    """In memory with its payload, to be leased."""
    LEASED = 2
    """The endpoint has it, or will say at its next registration that it has not."""
    BEGINNING = 3
    """Given back; its next attempt number is on its way to the store."""
    REQUEUED = 4
    """Given back, next attempt begun; its payload must be read from the store."""
    ENDING = 5
    """Its outcome is on its way to the store."""


class Record:
    """A task that the forwarder knows. `task` holds the payload only while the task is pending."""

    __slots__ = (
        "attempt",
        "cancelling",
        "decided_here",
        "from_store",
        "function_id",
        "group_id",
        "losses",
        "owner_id",
        "place",
        "priority",
        "retry_on_loss",
        "running",
        "task",
        "task_id",
    )

    def __init__(self, offer: Offer, place: Place, *, from_store: bool) -> None:
        task = offer.task
        self.task_id: TaskId = task.task_id
        self.attempt = task.attempt
        self.function_id: FunctionId = task.function_id
        self.owner_id: UserId = offer.owner_id
        self.group_id: GroupId = offer.group_id
        self.retry_on_loss = 0 if task.options is None else task.options.retry_on_loss
        self.priority = 0 if task.options is None else task.options.priority
        # Earlier attempts of which this process knows nothing may all have been losses.
        self.losses = task.attempt - 1
        self.place = place
        self.task: Task | None = task if place is Place.PENDING else None
        self.from_store = from_store
        self.cancelling = False
        self.decided_here = False
        self.running = False
