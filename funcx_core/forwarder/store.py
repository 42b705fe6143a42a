"""What the forwarder needs of the store. The web service's store implements it; the forwarder never imports that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from funcx_core.ids import EndpointId, FunctionId, TaskId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import Function, Lease, TaskEvent, TaskResult, Transition


class LeaseStore(Protocol):
    """Rows of tasks and endpoints. When a writing method returns, its change is committed to disk.

    Every writing method raises `StorageFull` or `ServiceUnavailable` if the change is not committed; the caller keeps what
    it wanted to write and tries again.
    """

    async def endpoint_by_key(self, public_key: str) -> EndpointId | None:
        """Return the endpoint that registered this CURVE public key (Z85), unless it was deleted or is locked."""

    async def open_tasks(self, endpoint_id: EndpointId, *, at_most: int) -> list[TaskId]:
        """Return open tasks of an endpoint: the oldest of each owner and priority, then the second oldest of each, and so on."""

    async def offers(self, task_ids: Sequence[TaskId]) -> list[Offer]:
        """Return those of the tasks that are open, with their payloads and current attempt numbers, in that order."""

    async def headers(self, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]:
        """Return those leases of this endpoint whose task is open and whose attempt is current, without payloads."""

    async def functions(self, function_ids: Sequence[FunctionId]) -> list[Function]:
        """Return the bodies of these functions, as far as they exist."""

    async def begin_attempts(self, leases: Sequence[Lease]) -> None:
        """Persist raised attempt numbers before the tasks are leased again."""

    async def complete(self, endpoint_id: EndpointId, results: Sequence[TaskResult], *, may_wait: bool = False) -> None:
        """End these tasks, each only if it is open, on this endpoint and in this attempt.

        If this `may_wait`, a few milliseconds for something else to be written with it are well spent.
        """

    async def transition(self, endpoint_id: EndpointId, transitions: Sequence[Transition]) -> None:
        """Record states of open tasks, each only if it is on this endpoint and in this attempt."""

    async def append_events(self, endpoint_id: EndpointId, events: Sequence[TaskEvent]) -> None:
        """Append to the event logs of this endpoint's open tasks; entries that are there already are dropped."""

    async def endpoint_seen(
        self, endpoint_id: EndpointId, status: EndpointStatus | None, *, online: bool, epoch: int
    ) -> None:
        """Record that the endpoint was heard from, or (`online` false) went away."""

    async def save_environments(self, endpoint_id: EndpointId, environments: Sequence[Environment]) -> None:
        """Replace what is known of the nodes of this endpoint."""
