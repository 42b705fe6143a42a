"""Handing outcomes to the web services."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from funcx_core.forwarder.counters import Counters
from funcx_core.protocol.handoff import FromForwarder
from funcx_core.queues.base import FuncxQueue, NotConnected

LIMIT: Final = 20_000
FULL_WAIT: Final = 0.02

_log = logging.getLogger(__name__)


class Publisher:
    """Puts messages to the topics of all web services, in order. The store is the truth, so it may drop some.

    A topic that is full is tried again for as long as at most `LIMIT` messages wait here; then the oldest are dropped
    and counted.
    """

    def __init__(self, queue: FuncxQueue[FromForwarder], topics: Sequence[str], counters: Counters) -> None:
        self._queue = queue
        self._topics = topics
        self._counters = counters
        self._messages: deque[FromForwarder] = deque()
        self._arrival = asyncio.Event()

    def publish(self, messages: Sequence[FromForwarder]) -> None:
        """Put these with the next group."""
        self._messages.extend(messages)
        excess = len(self._messages) - LIMIT
        for _ in range(excess):
            self._messages.popleft()
        self._counters.outcomes_dropped += max(0, excess)
        self._arrival.set()

    async def run(self) -> None:
        """Publish, for ever."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            messages = list(self._messages)
            self._messages.clear()
            for topic in self._topics:
                await self._put(topic, messages)

    async def _put(self, topic: str, messages: list[FromForwarder]) -> None:
        while not await self._try_put(topic, messages):
            if len(self._messages) >= LIMIT:
                self._counters.outcomes_dropped += len(messages)
                _log.warning("Topic %s is full: %d messages dropped.", topic, len(messages))
                return
            await asyncio.sleep(FULL_WAIT)

    async def _try_put(self, topic: str, messages: list[FromForwarder]) -> bool:
        try:
            return await self._queue.put(topic, messages)
        except NotConnected:
            return False
