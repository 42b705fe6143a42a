"""Tasks that wait for others: what follows from an end, step by step and against a model."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcx_core.errors import TaskNotFound
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskError, TaskOptions, TaskResult, TaskState
from funcx_core.service.store import SqliteStore
from funcx_core.service.store.dependencies import Edge, judge
from funcx_core.service.store.records import Receipt
from tests.support.stored import (
    ALICE,
    BOB,
    ENDPOINT,
    NOW,
    OTHER_ENDPOINT,
    a_call,
    a_result,
    a_submission,
    an_endpoint,
    calls,
)

MUCH = 1 << 20
OK = TaskState.SUCCESS.value
A, B = TaskId("a"), TaskId("b")


def a_failure(task_id: TaskId, state: TaskState = TaskState.FAILED) -> TaskResult:
    return TaskResult(task_id, 1, state, error=TaskError(code="task_failed", message="no"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path) as store:
        yield store


async def a_task(store: SqliteStore, *after: TaskId) -> TaskId:
    call = a_call()
    await store.submit(a_submission(call, options=TaskOptions(after=after)))
    return call.task_id


async def settled(store: SqliteStore) -> list[TaskId]:
    """Do what the service does until nothing follows any more; return what was ended by that."""
    ended: list[TaskId] = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                upstreams = await store.dependencies.noted()
        except TimeoutError:
            return ended
        found = await store.dependencies.settle(upstreams)
        if not found.is_whole:
            store.dependencies.note(upstreams)
        ended += [end.result.task_id for end in found.ended]


async def runnable(store: SqliteStore) -> list[TaskId]:
    return await store.open_tasks(ENDPOINT, at_most=MUCH)


# --- what follows from ends ------------------------------------------------------------------------------------


def test_success_satisfies_and_the_first_other_end_is_the_reason() -> None:
    edges = [Edge(1, A, OK, 1), Edge(2, A, "failed", 1), Edge(2, B, "cancelled", 1), Edge(3, B, OK, 1)]
    assert judge(edges) == ([edges[0], edges[3]], {2: edges[1]}, 4)


def test_one_decision_is_about_so_many_tasks_but_about_one_submit_at_least() -> None:
    edges = [Edge(1, A, OK, 50), Edge(1, B, OK, 50), Edge(2, A, OK, 50), Edge(3, A, OK, 1)]
    assert judge(edges, 60).looked_at == 2
    assert judge(edges, 10).looked_at == 2
    assert judge(edges, 100).looked_at == 3


# --- in the store ----------------------------------------------------------------------------------------------


async def test_a_task_is_offered_when_all_that_it_waits_for_have_succeeded(store: SqliteStore) -> None:
    first, second = await a_task(store), await a_task(store)
    waiting = await a_task(store, first, second)
    later = await a_task(store)
    assert await runnable(store) == [first, second, later]
    assert await store.offers([waiting]) == []
    row = (await store.tasks(ALICE.user_id, [waiting]))[waiting]
    assert (row.state, set(row.waits_for)) == (TaskState.RECEIVED, {first, second})
    await store.complete(ENDPOINT, [a_result(first)])
    await settled(store)
    assert (await store.tasks(ALICE.user_id, [waiting]))[waiting].waits_for == (second,)
    assert await runnable(store) == [second, later]
    await store.complete(ENDPOINT, [a_result(second)])
    await settled(store)
    assert await runnable(store) == [waiting, later]  # in the order of submits
    (offer,) = await store.offers([waiting])
    assert offer.task.options is not None
    assert offer.task.options.after == ()


async def test_a_failure_goes_down_the_chain_and_each_names_the_one_before(store: SqliteStore) -> None:
    first = await a_task(store)
    second = await a_task(store, first)
    third = await a_task(store, second)
    await store.complete(ENDPOINT, [a_failure(first, TaskState.CANCELLED)])
    assert await settled(store) == [second, third]
    rows = await store.tasks(ALICE.user_id, [second, third])
    errors = [rows[task_id].error for task_id in (second, third)]
    assert [error and (error.code, error.details) for error in errors] == [
        ("dependency_error", {"upstream": first, "upstream_state": "cancelled"}),
        ("dependency_error", {"upstream": second, "upstream_state": "failed"}),
    ]
    assert await runnable(store) == []
    assert await store.count_open(ALICE.user_id) == 0


async def test_what_has_ended_before_the_submit_counts_too(store: SqliteStore) -> None:
    good, bad = await a_task(store), await a_task(store)
    await store.complete(ENDPOINT, [a_result(good), a_failure(bad)])
    free, doomed = a_call(), a_call()
    receipt = await store.submit(a_submission(free, options=TaskOptions(after=(good,))))
    assert not receipt.is_held
    assert await runnable(store) == [free.task_id]
    receipt = await store.submit(a_submission(doomed, options=TaskOptions(after=(good, bad))))
    assert receipt.is_held
    assert await settled(store) == [doomed.task_id]


async def test_unknown_tasks_and_those_of_others_cannot_be_waited_for(store: SqliteStore) -> None:
    theirs = a_call()
    await store.submit(a_submission(theirs, owner=BOB))
    for upstream in (theirs.task_id, a_call().task_id):
        call = a_call()
        with pytest.raises(TaskNotFound, match=upstream):
            await store.submit(a_submission(call, options=TaskOptions(after=(upstream,))))
        assert await store.tasks(ALICE.user_id, [call.task_id]) == {}


async def test_a_repeated_submit_changes_nothing_whatever_became_of_what_it_waits_for(store: SqliteStore) -> None:
    first = await a_task(store)
    again = a_submission(a_call(), options=TaskOptions(after=(first,)))
    await store.submit(again)
    await store.complete(ENDPOINT, [a_result(first)])
    await settled(store)
    await store.delete_tasks(NOW * 2, after=0, at_most=10)
    assert await store.tasks(ALICE.user_id, [first]) == {}
    assert (await store.submit(again)).repeated == {again.calls[0].task_id}
    assert await runnable(store) == [again.calls[0].task_id]


async def test_waiting_tasks_can_be_cancelled_by_their_owner_only(store: SqliteStore) -> None:
    first = await a_task(store)
    waiting = await a_task(store, first)
    assert await store.dependencies.cancel(BOB.user_id, [waiting]) == []
    (end,) = await store.dependencies.cancel(ALICE.user_id, [first, waiting])
    assert (end.result.task_id, end.result.state) == (waiting, TaskState.CANCELLED)
    await store.complete(ENDPOINT, [a_result(first)])
    assert await settled(store) == []
    assert (await store.tasks(ALICE.user_id, [waiting]))[waiting].state is TaskState.CANCELLED
    assert await runnable(store) == []


async def test_what_waits_for_a_deleted_endpoint_can_be_found(store: SqliteStore) -> None:
    await store.save_endpoint(an_endpoint())
    first, call = await a_task(store), a_call()
    await store.submit(a_submission(call, endpoint_id=OTHER_ENDPOINT, options=TaskOptions(after=(first,))))
    assert await store.dependencies.cancel_at(ENDPOINT) == []
    (end,) = await store.dependencies.cancel_at(OTHER_ENDPOINT)
    assert end.result.task_id == call.task_id


async def test_an_ended_task_is_kept_until_those_that_wait_for_it_know(store: SqliteStore) -> None:
    first = await a_task(store)
    waiting = await a_task(store, first)
    await store.complete(ENDPOINT, [a_result(first)])
    deleted, _ = await store.delete_tasks(NOW * 2, after=0, at_most=10)
    assert deleted == 0
    await settled(store)
    deleted, _ = await store.delete_tasks(NOW * 2, after=0, at_most=10)
    assert deleted == 1
    assert await runnable(store) == [waiting]


async def test_tasks_that_wait_for_others_do_not_expire_meanwhile(store: SqliteStore) -> None:
    first = await a_task(store)
    await a_task(store, first)
    found, _ = await store.waiting_since(NOW * 2, after=0, at_most=10)
    assert [task.task_id for task in found] == [first]


async def test_large_fans_are_released_whole(store: SqliteStore) -> None:
    first, many = await a_task(store), calls(600)
    for call in many:
        await store.submit(a_submission(call, options=TaskOptions(after=(first,))))
    await store.complete(ENDPOINT, [a_result(first)])
    await settled(store)
    assert await runnable(store) == [call.task_id for call in many]


async def test_a_submit_in_the_transaction_that_forgets_what_it_waits_for(store: SqliteStore) -> None:
    first = await a_task(store)
    gone = await a_task(store, first)
    await store.dependencies.cancel(ALICE.user_id, [gone])
    await store.delete_tasks(NOW * 2, after=0, at_most=10)  # Nobody waits for the first one any more.
    _, waiting = await asyncio.gather(store.dependencies.settle([first]), a_task(store, first))
    await settled(store)
    await store.complete(ENDPOINT, [a_result(first)])
    await settled(store)
    assert await runnable(store) == [waiting]


async def test_submits_that_wait_for_nothing_look_nothing_up(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(store.dependencies, "note", looked.append)
    call = a_call()
    assert await store.submit(a_submission(call)) == Receipt()
    await store.complete(ENDPOINT, [a_result(call.task_id)])
    assert looked == []


# --- against a model -------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 32))
def test_whatever_happens_every_task_ends_once_and_none_starts_early(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Life(Path(folder), random.Random(seed)).live())


class Life:
    """A store in which things happen at random, and what must have become of its tasks."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.store = SqliteStore(folder)
        self.graph: dict[TaskId, tuple[TaskId, ...]] = {}
        self.ends: dict[TaskId, TaskState] = {}

    async def live(self) -> None:
        await self.store.open()
        steps = [self.submit, self.submit, self.end_one, self.end_one, self.end_one]
        steps += [self.cancel_one, self.settle_once, self.settle_once, self.restart]
        for _ in range(30):
            await self.chance.choice(steps)()
        while len(self.ends) < len(self.graph):
            before = len(self.ends)
            while await self.settle_once():
                pass
            await self.end_one()
            assert len(self.ends) > before, "something waits for ever"
        await self.check()
        await self.store.close()

    def reached(self, result: TaskResult) -> None:
        assert result.task_id not in self.ends, "a task ended twice"
        self.ends[result.task_id] = result.state

    async def submit(self) -> None:
        most = min(len(self.graph), self.chance.choice((0, 1, 1, 2, 3)))
        upstreams = tuple(self.chance.sample(list(self.graph), most))
        many = calls(self.chance.choice((1, 1, 3)))
        await self.store.submit(a_submission(*many, options=TaskOptions(after=upstreams)))
        self.graph.update((call.task_id, upstreams) for call in many)

    async def end_one(self) -> None:
        if not (found := await runnable(self.store)):
            return
        task_id = self.chance.choice(found)
        early = [upstream for upstream in self.graph[task_id] if self.ends[upstream] is not TaskState.SUCCESS]
        assert not early, "a task started early"
        result = self.chance.choice((a_result(task_id), a_result(task_id), a_failure(task_id)))
        await self.store.complete(ENDPOINT, [result])
        self.reached(result)

    async def cancel_one(self) -> None:
        named = [self.chance.choice(list(self.graph))] if self.graph else []
        for end in await self.store.dependencies.cancel(ALICE.user_id, named):
            self.reached(end.result)

    async def settle_once(self) -> bool:
        try:
            async with asyncio.timeout(0.001):
                upstreams = await self.store.dependencies.noted()
        except TimeoutError:
            return False
        found = await self.store.dependencies.settle(upstreams)
        if not found.is_whole:
            self.store.dependencies.note(upstreams)
        for end in found.ended:
            self.reached(end.result)
        return True

    async def restart(self) -> None:
        await self.store.close()
        self.store = SqliteStore(self.folder)
        await self.store.open()

    async def check(self) -> None:
        rows = await self.store.tasks(ALICE.user_id, list(self.graph))
        assert {task_id: row.state for task_id, row in rows.items()} == self.ends
        for task_id, upstreams in self.graph.items():
            error = rows[task_id].error
            if error is not None and error.code == "dependency_error":
                assert error.details["upstream"] in upstreams
                assert self.ends[error.details["upstream"]] is not TaskState.SUCCESS
