"""Hands committed tasks to the forwarder; what does not fit into its topic it announces by `More` later."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from funcx_core.ids import EndpointId
from funcx_core.protocol.handoff import ExpireRequested, More, Submitted, ToForwarder, forwarder_topic
from funcx_core.queues.base import FuncxQueue, NotConnected

RETRY_SECONDS: Final = 0.2

_log = logging.getLogger(__name__)


class Handoff:
    """The web service's end of the forwarder's topic. Never fails: the store has everything, the forwarder sweeps it."""

    def __init__(self, queue: FuncxQueue[ToForwarder], forwarder: str = "main") -> None:
        self._queue = queue
        self._topic = forwarder_topic(forwarder)
        self._owed: dict[EndpointId, list[ToForwarder]] = {}
        self._retry: asyncio.Task[None] | None = None

    async def put(self, message: ToForwarder) -> None:
        """Hand over `message`, or see to it that the forwarder looks into the store."""
        # What is owed comes first, or the forwarder would lease these before older ones.
        if self._owed or not await self._try(message):
            self._owe(message)

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

    def _owe(self, message: ToForwarder) -> None:
        owed = self._owed.setdefault(message.endpoint_id, [])
        if not isinstance(message, Submitted | More | ExpireRequested):
            owed.append(message)  # The store does not say it again.
        elif not owed or not isinstance(owed[-1], More):
            owed.append(More(message.endpoint_id))
        if self._retry is None:
            _log.info(
                "the forwarder's topic is full; it will read from the store", extra={"endpoint_id": message.endpoint_id}
            )
            self._retry = asyncio.get_running_loop().create_task(self._pay())

    async def _pay(self) -> None:
        while self._owed:
            await asyncio.sleep(RETRY_SECONDS)
            for endpoint_id in list(self._owed):
                if not await self._pay_one(self._owed[endpoint_id]):
                    break
                del self._owed[endpoint_id]
        self._retry = None

    async def _pay_one(self, owed: list[ToForwarder]) -> bool:
        while owed:
            if not await self._try(owed[0]):
                return False
            del owed[0]
        return True
