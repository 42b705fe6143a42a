"""Hands committed tasks to the forwarder; what does not fit into its topic it announces by `More` later."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from funcx_core.ids import EndpointId
from funcx_core.protocol.handoff import More, ToForwarder, forwarder_topic
from funcx_core.queues.base import FuncxQueue, NotConnected

RETRY_SECONDS: Final = 0.2

_log = logging.getLogger(__name__)


class Handoff:
    """The web service's end of the forwarder's topic. Never fails: the store has everything, the forwarder sweeps it."""

    def __init__(self, queue: FuncxQueue[ToForwarder], forwarder: str = "main") -> None:
        self._queue = queue
        self._topic = forwarder_topic(forwarder)
        self._owed: set[EndpointId] = set()
        self._retry: asyncio.Task[None] | None = None

    async def put(self, message: ToForwarder) -> None:
        """Hand over `message`, or see to it that the forwarder looks into the store."""
        # What is owed comes first, or the forwarder would lease these before older ones.
        if self._owed or not await self._try(message):
            self._owe(message.endpoint_id)

    async def close(self) -> None:
        """Stop trying."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.gather(self._retry, return_exceptions=True)

    async def _try(self, message: ToForwarder) -> bool:
        try:
            return await self._queue.put(self._topic, [message])
        except NotConnected:
            return False

    def _owe(self, endpoint_id: EndpointId) -> None:
        self._owed.add(endpoint_id)
        if self._retry is None:
            _log.info("the forwarder's topic is full; it will read from the store", extra={"endpoint_id": endpoint_id})
            self._retry = asyncio.get_running_loop().create_task(self._pay())

    async def _pay(self) -> None:
        while self._owed:
            await asyncio.sleep(RETRY_SECONDS)
            for endpoint_id in list(self._owed):
                if not await self._try(More(endpoint_id)):
                    break
                self._owed.discard(endpoint_id)
        self._retry = None
