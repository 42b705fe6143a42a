"""How many open tasks a user may have, checked without counting rows for every submit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from funcx_core.errors import BatchTooLarge, QueueFull
from funcx_core.ids import UserId
from funcx_core.service.store.base import Store


class Quota:
    """Keeps an upper estimate per user: the last count plus what was submitted since. Only near the limit it counts."""

    def __init__(self, store: Store, limit: int, monotonic: Callable[[], float], recount_seconds: float = 1.0) -> None:
        self._store = store
        self._limit = limit
        self._monotonic = monotonic
        self._recount_seconds = recount_seconds
        self._estimate: dict[UserId, int] = {}
        self._counted_at: dict[UserId, float] = {}
        self._counting = asyncio.Lock()

    def change(self, limit: int) -> None:
        """Take another limit."""
        self._limit = limit

    def check_size(self, calls: int) -> None:
        """Refuse a request that never fits, however few tasks are open.

        Raises:
            BatchTooLarge: it has more calls than may be open.
        """
        if calls > self._limit:
            raise BatchTooLarge(calls, self._limit)

    async def take(self, user_id: UserId, calls: int) -> None:
        """Add `calls` open tasks to the user's estimate.

        Raises:
            QueueFull: the user would have more than the limit.
        """
        if user_id not in self._estimate or self._estimate[user_id] + calls > self._limit:
            await self._recount(user_id)
        if self._estimate[user_id] + calls > self._limit:
            raise QueueFull(
                f"You have {self._estimate[user_id]:,} open tasks; this service takes at most {self._limit:,}. "
                "Wait for some to end, or cancel them.",
                retry_after=self._recount_seconds,
            )
        self._estimate[user_id] += calls

    async def _recount(self, user_id: UserId) -> None:
        async with self._counting:  # submits that come while the first one counts wait for its answer
            now = self._monotonic()
            if now - self._counted_at.get(user_id, -self._recount_seconds) < self._recount_seconds:
                return
            self._estimate[user_id] = await self._store.count_open(user_id)
            self._counted_at[user_id] = now
