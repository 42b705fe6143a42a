"""What the forwarder writes to the store: grouped, in order, and again until it is committed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeVar

from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import (
    AppendEvents,
    BeginAttempts,
    Commit,
    MarkSeen,
    RecordTransitions,
    SaveEnvironments,
)
from funcx_core.forwarder.retrying import until_answered
from funcx_core.forwarder.store import LeaseStore
from funcx_core.ids import EndpointId

Write = RecordTransitions | AppendEvents | BeginAttempts | Commit | MarkSeen | SaveEnvironments
Done = BeginAttempts | Commit
T = TypeVar("T")

TURNS_BEFORE_WRITING: Final = 4
"""Turns of the loop in which results reach their clients before the writer's thread wants the interpreter, too."""


class Writer:
    """Collects what is to be written while a write is under way, and writes it together.

    Within one group the order is: transitions, events, attempts, outcomes. So an attempt number is raised before a
    task is ended in that attempt, and a log is complete when its task ends. `done` is called for what is committed.
    """

    def __init__(self, store: LeaseStore, counters: Counters, done: Callable[[Done], None]) -> None:
        self._store = store
        self._counters = counters
        self._done = done
        self._writes: list[Write] = []
        self._arrival = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, write: Write) -> None:
        """Write this with the next group."""
        self._writes.append(write)
        self._idle.clear()
        self._arrival.set()

    async def drained(self) -> None:
        """Return when everything that was added is committed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write, for ever."""
        while True:
            await self._arrival.wait()
            for _ in range(TURNS_BEFORE_WRITING):
                await asyncio.sleep(0)
            self._arrival.clear()
            writes, self._writes = self._writes, []
            await self._write(writes)
            if not self._writes:
                self._idle.set()

    async def _write(self, writes: list[Write]) -> None:
        store = self._store
        transitions = _gathered(
            (write.endpoint_id, write.transitions) for write in writes if isinstance(write, RecordTransitions)
        )
        events = _gathered((write.endpoint_id, write.events) for write in writes if isinstance(write, AppendEvents))
        await self._all(store.transition, transitions)
        await self._all(store.append_events, events)
        await self._begin([write for write in writes if isinstance(write, BeginAttempts)])
        await self._commit([write for write in writes if isinstance(write, Commit)])
        await self._mark([write for write in writes if isinstance(write, MarkSeen)])
        await self._save([write for write in writes if isinstance(write, SaveEnvironments)])

    async def _all(
        self, write: Callable[[EndpointId, list[T]], Awaitable[None]], groups: Mapping[EndpointId, list[T]]
    ) -> None:
        """Write the groups of all endpoints side by side: the store makes one commit of them."""

        async def one(endpoint_id: EndpointId, items: list[T]) -> None:
            await until_answered(lambda: write(endpoint_id, items), self._counters)

        if len(groups) == 1:
            (group,) = groups.items()
            await one(*group)
        elif groups:
            await asyncio.gather(*(one(endpoint_id, items) for endpoint_id, items in groups.items()))

    async def _begin(self, begins: list[BeginAttempts]) -> None:
        leases = [lease for begin in begins for lease in begin.leases]
        if leases:
            await until_answered(lambda: self._store.begin_attempts(leases), self._counters)
        for begin in begins:
            self._done(begin)

    async def _commit(self, commits: list[Commit]) -> None:
        if not commits:
            return
        complete = partial(self._store.complete, may_wait=all(commit.may_wait for commit in commits))
        await self._all(complete, _gathered((commit.endpoint_id, commit.results) for commit in commits))
        for acknowledge in (True, False):
            groups = _gathered(
                (commit.endpoint_id, commit.results) for commit in commits if commit.acknowledge is acknowledge
            )
            for endpoint_id, results in groups.items():
                self._done(Commit(endpoint_id, results, acknowledge))

    async def _mark(self, marks: list[MarkSeen]) -> None:
        latest = {mark.endpoint_id: mark for mark in marks}
        if latest:
            await asyncio.gather(*(self._seen(mark) for mark in latest.values()))

    async def _seen(self, mark: MarkSeen) -> None:
        await until_answered(
            lambda: self._store.endpoint_seen(mark.endpoint_id, mark.status, online=mark.online, epoch=mark.epoch),
            self._counters,
        )

    async def _save(self, saves: list[SaveEnvironments]) -> None:
        for endpoint_id, environments in {save.endpoint_id: save.environments for save in saves}.items():
            await until_answered(partial(self._store.save_environments, endpoint_id, environments), self._counters)


def _gathered(items: Iterable[tuple[EndpointId, list[T]]]) -> dict[EndpointId, list[T]]:
    groups: dict[EndpointId, list[T]] = defaultdict(list)
    for endpoint_id, some in items:
        groups[endpoint_id] += some
    return dict(groups)
