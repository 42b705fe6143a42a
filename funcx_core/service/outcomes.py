"""What the forwarder reports, brought to whoever asked: streams that follow a task group, long polls that wait for a task."""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from funcx_core.ids import GroupId, TaskId, UserId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.handoff import Changed, Ended, EndpointChanged, FromForwarder, Logged, outcomes_topic
from funcx_core.protocol.task import TERMINAL, TaskEvent, TaskResult, TaskState
from funcx_core.queues.base import FuncxQueue, NotConnected
from funcx_core.service.histogram import Times

AT_MOST: Final = 1000
ENDS: Final = tuple(TERMINAL)
HOPS: Final = ("agent", "manager", "run", "return")
"""Where a task's time goes: waiting in the agent, waiting in the manager, running, the way back to this process."""


class Listener(ABC):
    """Gets what happens to the groups it follows. Its methods must not raise and must not block."""

    @abstractmethod
    def on_results(self, results: list[TaskResult]) -> None:
        """Tasks ended. The results may not be committed yet."""

    @abstractmethod
    def on_events(self, events: list[TaskEvent]) -> None:
        """Entries were added to logs."""

    @abstractmethod
    def on_changes(self, changes: list[StateChange]) -> None:
        """Open tasks changed state."""


class Outcomes:
    """Routes messages of the forwarder. A group is known by its owner and id, so nobody hears of another's tasks.

    `ended` counts, by owner, what has ended since the start; `hops` tells of a sample how long each part of the way took.
    """

    def __init__(self, queue: FuncxQueue[FromForwarder], service: str = "main") -> None:
        self._queue = queue
        self._topic = outcomes_topic(service)
        self._listeners: dict[tuple[UserId, GroupId], set[Listener]] = defaultdict(set)
        self._followed: dict[Listener, set[tuple[UserId, GroupId]]] = defaultdict(set)
        self._waiters: dict[TaskId, set[asyncio.Event]] = {}
        self.stopping = False
        self.ended: dict[UserId, Counter[TaskState]] = defaultdict(Counter)
        self.hops = {hop: Times() for hop in HOPS}

    async def run(self) -> None:
        """Route until the queue is closed."""
        while True:
            try:
                messages = await self._queue.get(self._topic, at_most=AT_MOST)
            except NotConnected:
                return
            for message in messages:
                self.route(message)

    def follow(self, listener: Listener, owner_id: UserId, group_id: GroupId) -> None:
        """From now on `listener` hears of this group."""
        self._listeners[owner_id, group_id].add(listener)
        self._followed[listener].add((owner_id, group_id))

    def forget(self, listener: Listener) -> None:
        """`listener` has gone."""
        for key in self._followed.pop(listener, ()):
            self._listeners[key].discard(listener)
            if not self._listeners[key]:
                del self._listeners[key]

    @contextmanager
    def watching(self, task_id: TaskId) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever something happens to the task; the holder clears it."""
        happened = asyncio.Event()
        waiting = self._waiters.setdefault(task_id, set())
        waiting.add(happened)
        try:
            yield happened
        finally:
            waiting.discard(happened)
            if not waiting:
                self._waiters.pop(task_id, None)

    def stop_waiting(self) -> None:
        """The service stops: long polls answer with what they have."""
        self.stopping = True
        for waiting in self._waiters.values():
            for happened in waiting:
                happened.set()

    def route(self, message: FromForwarder) -> None:
        """Bring one message to those who follow its group or wait for its tasks."""
        if isinstance(message, EndpointChanged):
            return  # Nobody waits for endpoints yet; their state is read from the store.
        listeners = self._listeners.get((message.owner_id, message.group_id), ())
        match message:
            case Ended(results=results):
                self._count(message.owner_id, results)
                for listener in listeners:
                    listener.on_results(results)
                self._wake(result.task_id for result in results)
            case Logged(events=events):
                for listener in listeners:
                    listener.on_events(events)
                self._wake(event.task_id for event in events)
            case Changed(changes=changes):
                for listener in listeners:
                    listener.on_changes(changes)
                self._wake(change.task_id for change in changes)

    def _count(self, owner_id: UserId, results: list[TaskResult]) -> None:
        """Count results by state, and where the first of them spent its time: one of a message is sample enough."""
        states = [result.state for result in results]
        counts = self.ended[owner_id]
        for state in ENDS:
            counts[state] += states.count(state)
        times = results[0].times
        passed = (times.interchange, times.manager, times.started, times.ended, time.time_ns())
        if all(passed):
            for hop, (begun, done) in zip(HOPS, itertools.pairwise(passed), strict=True):
                self.hops[hop].add(max(0.0, (done - begun) / 1e9))  # Clocks of two machines may disagree.

    def _wake(self, task_ids: Iterable[TaskId]) -> None:
        if not self._waiters:
            return
        for task_id in task_ids:
            for happened in self._waiters.get(task_id, ()):
                happened.set()
