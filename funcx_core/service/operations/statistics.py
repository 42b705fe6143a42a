"""Usage statistics of users and of endpoints, renewed every few seconds if somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from funcx_core.ids import EndpointId
from funcx_core.service.operations.endpoints import Endpoints
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import User
from funcx_core.service.store.usage_catalog import Whose
from funcx_core.service.usage import Counts, Tally

FRESH_SECONDS: Final = 3.0
MOST_TALLIES: Final = 1_000
"""Whose statistics are remembered; others' tasks are counted from the start when they ask."""


@dataclass
class _Kept:
    tally: Tally = field(default_factory=Tally)
    counts: Counts = field(default_factory=Counts)
    fresh_until: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Statistics:
    """Counts tasks as far as the store has them. `now` gives seconds that never go back."""

    def __init__(self, store: Store, endpoints: Endpoints, *, now: Callable[[], float] = time.monotonic) -> None:
        self._catalog = store.usage
        self._endpoints = endpoints
        self._now = now
        self._kept: OrderedDict[Whose, _Kept] = OrderedDict()

    async def of_user(self, user: User) -> Counts:
        """Return the counts of what the user submitted."""
        return await self._counts(Whose(owner_id=user.user_id))

    async def of_endpoint(self, user: User, endpoint_id: EndpointId) -> Counts:
        """Return the counts of what anybody submitted to an endpoint of the user.

        Raises:
            EndpointNotFound: there is none.
        """
        await self._endpoints.own(user, endpoint_id)
        return await self._counts(Whose(endpoint_id=endpoint_id))

    async def _counts(self, whose: Whose) -> Counts:
        kept = self._kept.setdefault(whose, _Kept())
        self._kept.move_to_end(whose)
        while len(self._kept) > MOST_TALLIES:
            self._kept.popitem(last=False)
        async with kept.lock:
            if kept.fresh_until <= self._now():
                await self._renew(whose, kept.tally)
                kept.counts = kept.tally.counts()
                kept.fresh_until = self._now() + FRESH_SECONDS
        return kept.counts

    async def _renew(self, whose: Whose, tally: Tally) -> None:
        newest = await self._catalog.newest()
        tally.open_now([task for task in await self._catalog.open(whose) if task.position <= newest])
        while tally.position < newest:
            ended, position = await self._catalog.ended(whose, after=tally.position, up_to=newest)
            tally.ended(ended)
            tally.position = position
        tally.ended(await self._catalog.ended_at(tally.missing))
        tally.finish(newest)
