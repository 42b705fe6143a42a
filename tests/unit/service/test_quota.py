"""How many open tasks a user may have."""

import asyncio

import pytest

from funcx_core.errors import BatchTooLarge, QueueFull
from funcx_core.ids import UserId
from funcx_core.service.quota import Quota

USER = UserId("u")


class CountingStore:
    """A store that takes its time to count."""

    def __init__(self, open_tasks: int) -> None:
        self.open_tasks = open_tasks
        self.counted = 0

    async def count_open(self, user_id: UserId) -> int:
        self.counted += 1
        await asyncio.sleep(0)
        return self.open_tasks


async def test_submits_that_arrive_together_are_all_counted():
    store = CountingStore(open_tasks=5)
    quota = Quota(store, limit=100, monotonic=lambda: 0.0)
    await asyncio.gather(*(quota.take(USER, 10) for _ in range(9)))
    assert store.counted == 1
    with pytest.raises(QueueFull, match="95 open tasks"):
        await quota.take(USER, 10)


async def test_tasks_that_ended_make_room_when_it_is_counted_again():
    now = 0.0
    store = CountingStore(open_tasks=100)
    quota = Quota(store, limit=100, monotonic=lambda: now)
    with pytest.raises(QueueFull):
        await quota.take(USER, 1)
    store.open_tasks = 0
    now = 2.0
    await quota.take(USER, 1)


def test_what_never_fits_is_not_told_to_come_back():
    quota = Quota(CountingStore(open_tasks=0), limit=100, monotonic=lambda: 0.0)
    quota.check_size(100)
    with pytest.raises(BatchTooLarge, match="101 tasks in one request; this service takes at most 100"):
        quota.check_size(101)
