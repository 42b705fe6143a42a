"""What is remembered of who is in which group."""

from __future__ import annotations

import pytest

from funcx_core.errors import FunctionNotFound, ServiceUnavailable
from funcx_core.ids import GroupRef
from funcx_core.service.auth.groups import REMEMBER_SECONDS, GroupSource, Memberships
from funcx_core.service.function_cache import FunctionCache
from funcx_core.service.store.records import StoredFunction, User
from tests.support.stored import ALICE, BOB, a_function


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Source(GroupSource):
    def __init__(self, *groups: str) -> None:
        self.groups = groups
        self.asked = 0
        self.broken = False
        self.meanwhile = lambda: None

    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        self.asked += 1
        if self.broken:
            raise ServiceUnavailable("away")
        found = frozenset(GroupRef(f"{group} of {user.name}") for group in self.groups)
        self.meanwhile()
        return found


async def test_all_sources_are_asked_and_the_answer_is_kept_for_a_while() -> None:
    ours, theirs, clock = Source("a"), Source("b"), Clock()
    memberships = Memberships([ours, theirs], now=clock)
    for _ in range(3):
        assert await memberships.groups_of(ALICE) == {"a of alice", "b of alice"}
    assert await memberships.groups_of(BOB) == {"a of bob", "b of bob"}
    assert ours.asked == 2
    clock.now += REMEMBER_SECONDS + 0.1
    ours.groups = ()
    assert await memberships.groups_of(ALICE) == {"b of alice"}


async def test_a_change_holds_at_once() -> None:
    source = Source("a")
    memberships = Memberships([source])
    assert await memberships.groups_of(ALICE)
    source.groups, before = (), memberships.changes
    memberships.forget()
    assert memberships.changes > before
    assert not await memberships.groups_of(ALICE)


async def test_what_changes_while_it_is_read_is_not_remembered() -> None:
    source = Source("a")
    memberships = Memberships([source])
    source.meanwhile = memberships.forget
    await memberships.groups_of(ALICE)
    source.groups, source.meanwhile = (), lambda: None
    assert not await memberships.groups_of(ALICE)


async def test_a_source_that_is_away_adds_no_groups() -> None:
    ours, theirs = Source("a"), Source("b")
    theirs.broken = True
    assert await Memberships([ours, theirs]).groups_of(ALICE) == {"a of alice"}


class Functions:
    """Of a store, only what the cache reads."""

    def __init__(self, stored: StoredFunction) -> None:
        self.stored: StoredFunction | None = stored
        self.reads = 0

    async def function(self, _: str) -> StoredFunction | None:
        self.reads += 1
        return self.stored


async def test_a_function_is_read_again_after_a_while_and_after_a_change() -> None:
    store, clock = Functions(a_function()), Clock()
    cache = FunctionCache(store, now=clock)  # type: ignore[arg-type]
    function_id = store.stored.function.function_id
    for _ in range(3):
        assert await cache.get(function_id) == store.stored
    assert store.reads == 1
    clock.now += 31
    await cache.get(function_id)
    assert store.reads == 2
    store.stored = None
    cache.drop(function_id)
    with pytest.raises(FunctionNotFound):
        await cache.get(function_id)


async def test_bodies_are_kept_up_to_a_limit() -> None:
    cache = FunctionCache(Functions(a_function()), max_bytes=25)  # type: ignore[arg-type]
    functions = [a_function(b"12345678%d" % number) for number in range(4)]
    for stored in functions:
        cache.add(stored)
        cache.add(stored)
    kept = [stored.function.function_id in cache._functions for stored in functions]
    assert kept == [False, False, True, True]
    assert cache._size == 18
