"""A `LeaseStore` in memory: for a forwarder that runs without a web service, and for tests of the forwarder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from funcx_core.ids import EndpointId, FunctionId, TaskId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import (
    TERMINAL,
    Function,
    Lease,
    TaskEvent,
    TaskResult,
    TaskState,
    Transition,
    event_seq,
    may_become,
)


@dataclass
class Row:
    """A task: what was offered, and what has become of it."""

    endpoint_id: EndpointId
    offer: Offer
    attempt: int = 1
    state: TaskState = TaskState.WAITING_FOR_EP
    result: TaskResult | None = None
    events: list[TaskEvent] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state not in TERMINAL

    def current_offer(self) -> Offer:
        """Return it as it is to be leased now."""
        task = msgspec.structs.replace(self.offer.task, attempt=self.attempt)
        return msgspec.structs.replace(self.offer, task=task, cancelling=self.state is TaskState.CANCELLING)


class MemoryLeaseStore:
    """Rows in a dict, with the rules of the durable store and none of its durability."""

    def __init__(self) -> None:
        self.rows: dict[TaskId, Row] = {}
        self.keys: dict[str, EndpointId] = {}
        self.bodies: dict[FunctionId, Function] = {}
        self.online: dict[EndpointId, bool] = {}
        self.epochs: dict[EndpointId, int] = {}
        self.seen: dict[EndpointId, EndpointStatus | None] = {}
        self.environments: dict[EndpointId, list[Environment]] = {}

    def accept(self, endpoint_id: EndpointId, offers: Sequence[Offer]) -> None:
        """Keep new tasks of an endpoint."""
        for offer in offers:
            self.rows[offer.task.task_id] = Row(endpoint_id, offer)

    def mark_cancelling(self, task_ids: Sequence[TaskId]) -> None:
        """Put those of the tasks that are open into state ``cancelling``."""
        for task_id in task_ids:
            if self.rows[task_id].is_open:
                self.rows[task_id].state = TaskState.CANCELLING

    def _current(self, endpoint_id: EndpointId, task_id: TaskId, attempt: int) -> Row | None:
        row = self.rows.get(task_id)
        if row is None or row.endpoint_id != endpoint_id or row.attempt != attempt or not row.is_open:
            return None
        return row

    # --- see `LeaseStore` ------------------------------------------------------------------------------------------

    async def endpoint_by_key(self, public_key: str) -> EndpointId | None:
        """Return the endpoint with this key."""
        return self.keys.get(public_key)

    async def open_tasks(self, endpoint_id: EndpointId, *, at_most: int) -> list[TaskId]:
        """Return the oldest open tasks of an endpoint."""
        mine = [task_id for task_id, row in self.rows.items() if row.endpoint_id == endpoint_id and row.is_open]
        return mine[:at_most]

    async def offers(self, task_ids: Sequence[TaskId]) -> list[Offer]:
        """Return those of the tasks that are open."""
        return [self.rows[task_id].current_offer() for task_id in task_ids if self.rows[task_id].is_open]

    async def headers(self, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]:
        """Return those of the leases that are current, without payloads."""
        rows = [self._current(endpoint_id, lease.task_id, lease.attempt) for lease in leases]
        offers = [row.current_offer() for row in rows if row is not None]
        return [
            msgspec.structs.replace(offer, task=msgspec.structs.replace(offer.task, payload=b"")) for offer in offers
        ]

    async def functions(self, function_ids: Sequence[FunctionId]) -> list[Function]:
        """Return bodies."""
        return [self.bodies[function_id] for function_id in function_ids if function_id in self.bodies]

    async def begin_attempts(self, leases: Sequence[Lease]) -> None:
        """Raise attempt numbers."""
        for lease in leases:
            row = self.rows[lease.task_id]
            if row.is_open and row.attempt < lease.attempt:
                row.attempt = lease.attempt

    async def complete(self, endpoint_id: EndpointId, results: Sequence[TaskResult], *, may_wait: bool = False) -> None:
        """End tasks; in memory nothing is gained by waiting."""
        del may_wait
        for result in results:
            row = self._current(endpoint_id, result.task_id, result.attempt)
            if row is not None:
                row.state, row.result = result.state, result

    async def transition(self, endpoint_id: EndpointId, transitions: Sequence[Transition]) -> None:
        """Record states."""
        for transition in transitions:
            row = self._current(endpoint_id, transition.task_id, transition.attempt)
            if row is not None and may_become(row.state, transition.state):
                row.state = transition.state

    async def append_events(self, endpoint_id: EndpointId, events: Sequence[TaskEvent]) -> None:
        """Append to logs."""
        for event in events:
            row = self.rows.get(event.task_id)
            if (
                row is not None
                and row.endpoint_id == endpoint_id
                and row.is_open
                and event.seq < event_seq(row.attempt + 1, 0)
            ):
                row.events.append(event)

    async def endpoint_seen(
        self, endpoint_id: EndpointId, status: EndpointStatus | None, *, online: bool, epoch: int
    ) -> None:
        """Record whether an endpoint is there; what an older agent of it says does not count."""
        if epoch < self.epochs.get(endpoint_id, 0):
            return
        self.epochs[endpoint_id] = epoch
        self.online[endpoint_id] = online
        if status is not None:
            self.seen[endpoint_id] = status

    async def save_environments(self, endpoint_id: EndpointId, environments: Sequence[Environment]) -> None:
        """Keep what is known of the nodes of an endpoint."""
        self.environments[endpoint_id] = list(environments)
