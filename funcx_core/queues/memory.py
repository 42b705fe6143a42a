"""The queue of the embedded fabric: web service and forwarder share one loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TypeVar

from funcx_core.queues.base import FuncxQueue, NotConnected

T = TypeVar("T")


class MemoryQueue(FuncxQueue[T]):
    """Keeps messages in this process, at most `limit` per topic."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._topics: dict[str, deque[T]] = defaultdict(deque)
        self._arrivals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._connected = False

    async def connect(self) -> None:
        """Open the queue."""
        self._connected = True

    async def close(self) -> None:
        """Close the queue and wake every reader."""
        self._connected = False
        for arrival in self._arrivals.values():
            arrival.set()

    @property
    def is_connected(self) -> bool:
        """Whether the queue is open."""
        return self._connected

    async def put(self, topic: str, messages: Sequence[T]) -> bool:
        """Append `messages`; False if the topic is full."""
        if not self._connected:
            raise NotConnected(topic)
        waiting = self._topics[topic]
        if len(waiting) + len(messages) > self._limit:
            return False
        waiting.extend(messages)
        self._arrivals[topic].set()
        return True

    async def get(self, topic: str, *, at_most: int = 1000, timeout: float | None = None) -> list[T]:
        """Take what is there, at least one message; an empty list after `timeout` seconds."""
        if not self._connected:
            raise NotConnected(topic)
        waiting, arrival = self._topics[topic], self._arrivals[topic]
        if not waiting:
            arrival.clear()
            try:
                async with asyncio.timeout(timeout):
                    await arrival.wait()
            except TimeoutError:
                return []
            if not self._connected:
                raise NotConnected(topic)
        return [waiting.popleft() for _ in range(min(at_most, len(waiting)))]
