"""What the status page shows: one answer with everything, made at most every half second for each user."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from funcx_core import __version__
from funcx_core.ids import UserId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import TERMINAL, TaskState
from funcx_core.service.outcomes import Outcomes
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Endpoint, Overview, TaskLine, User

SHORTEST: Final = 0.5
COST_FACTOR: Final = 10.0
"""An answer is kept for this many times as long as it took: a store with much in it is asked less often."""
LISTED: Final = 50
MOST_USERS: Final = 1_000


class ServiceLine(msgspec.Struct, frozen=True):
    """The service. Times are Unix seconds."""

    version: str
    user: str
    started_at: float
    now: float


class EndpointLine(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `last_seen` is in Unix seconds, 0 for never; `open` counts its tasks by state."""

    endpoint_id: str
    name: str
    online: bool
    last_seen: float
    workers: int
    idle_workers: int
    managers: int
    open: dict[str, int]
    detail: str
    hostname: str
    version: str


class Stamps(msgspec.Struct, frozen=True, kw_only=True):
    """When a task passed each hop, in Unix milliseconds, 0 where it never came."""

    received: float
    interchange: float
    manager: float
    started: float
    ended: float
    completed: float


class TaskItem(msgspec.Struct, frozen=True, kw_only=True):
    """A task."""

    task_id: str
    state: str
    function_name: str
    endpoint_id: str
    endpoint_name: str
    attempt: int
    times: Stamps


class FunctionItem(msgspec.Struct, frozen=True):
    """A function. `created_at` is in Unix seconds."""

    function_id: str
    name: str
    description: str
    created_at: float


class OverviewReply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the status page shows.

    Attributes:
        service: what answers.
        open: tasks that have not ended, by state.
        ended: tasks that ended since the service was started, by state.
        endpoints: all of the caller.
        tasks: the newest ones, newest first.
        functions: the newest ones, newest first.
    """

    service: ServiceLine
    open: dict[str, int]
    ended: dict[str, int]
    endpoints: list[EndpointLine]
    tasks: list[TaskItem]
    functions: list[FunctionItem]


class _Cached(msgspec.Struct):
    body: bytes = b""
    until: float = 0.0
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class Overviews:
    """Answers by user, kept for a moment. However many pages are open, the store is asked once."""

    def __init__(
        self,
        store: Store,
        outcomes: Outcomes,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._outcomes = outcomes
        self._now = now
        self._monotonic = monotonic
        self._started_at = now()
        self._cached: dict[UserId, _Cached] = {}

    async def of(self, user: User) -> bytes:
        """Return an `OverviewReply` of what is this user's, as JSON."""
        if len(self._cached) > MOST_USERS:
            self._cached.clear()
        cached = self._cached.setdefault(user.user_id, _Cached())
        async with cached.lock:
            begun = self._monotonic()
            if begun >= cached.until:
                found = await self._store.overview(user.user_id, at_most=LISTED)
                cached.body = msgspec.json.encode(self._reply(user, found))
                done = self._monotonic()
                cached.until = done + max(SHORTEST, COST_FACTOR * (done - begun))
        return cached.body

    def _reply(self, user: User, found: Overview) -> OverviewReply:
        total = dict.fromkeys((state.value for state in TaskState if state not in TERMINAL), 0)
        by_endpoint: dict[str, Counter[str]] = {}
        for each in found.open:
            total[each.state.value] += each.count
            by_endpoint.setdefault(each.endpoint_id, Counter())[each.state.value] += each.count
        names = {endpoint.endpoint_id: endpoint.name for endpoint in found.endpoints}
        ended = self._outcomes.ended.get(user.user_id, Counter())
        return OverviewReply(
            service=ServiceLine(__version__, user.name, self._started_at, self._now()),
            open=total,
            ended={state.value: ended[state] for state in sorted(TERMINAL)},
            endpoints=[_endpoint(each, by_endpoint.get(each.endpoint_id, Counter())) for each in found.endpoints],
            tasks=[_task(line, names.get(line.endpoint_id, "")) for line in found.tasks],
            functions=[
                FunctionItem(each.function_id, each.name, each.description, each.created_at) for each in found.functions
            ],
        )


def _endpoint(endpoint: Endpoint, counts: Counter[str]) -> EndpointLine:
    status = endpoint.status or EndpointStatus()
    return EndpointLine(
        endpoint_id=endpoint.endpoint_id,
        name=endpoint.name,
        online=endpoint.online,
        last_seen=endpoint.last_seen,
        workers=status.workers if endpoint.online else 0,
        idle_workers=status.idle_workers if endpoint.online else 0,
        managers=status.managers if endpoint.online else 0,
        open=dict(counts),
        detail=status.detail,
        hostname=status.hostname,
        version=endpoint.version,
    )


def _task(line: TaskLine, endpoint_name: str) -> TaskItem:
    times = line.times
    return TaskItem(
        task_id=line.task_id,
        state=line.state.value,
        function_name=line.function_name,
        endpoint_id=line.endpoint_id,
        endpoint_name=endpoint_name,
        attempt=line.attempt,
        times=Stamps(
            received=line.received_at / 1e6,
            interchange=times.interchange / 1e6,
            manager=times.manager / 1e6,
            started=times.started / 1e6,
            ended=times.ended / 1e6,
            completed=line.completed_at / 1e6,
        ),
    )
