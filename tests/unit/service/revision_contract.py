"""What every `Store` must do to say without a look at its tasks that they are as they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import EventKind, Lease, TaskEvent, TaskOptions, TaskState, Transition, event_seq
from funcx_core.service.store.base import Store
from tests.support.stored import (
    ALICE,
    ENDPOINT,
    KEY,
    OTHER_ENDPOINT,
    a_call,
    a_function,
    a_result,
    a_submission,
    an_endpoint,
)

HERE = frozenset({ENDPOINT})
THERE = frozenset({OTHER_ENDPOINT})

Change = Callable[[Store, TaskId], Awaitable[object]]


async def submit(store: Store, _: TaskId) -> None:
    await store.submit(a_submission(a_call()))


async def end(store: Store, task_id: TaskId) -> None:
    await store.complete(ENDPOINT, [a_result(task_id)])


async def run(store: Store, task_id: TaskId) -> None:
    await store.transition(ENDPOINT, [Transition(task_id, 1, TaskState.RUNNING, 1)])


async def lease_again(store: Store, task_id: TaskId) -> None:
    await store.begin_attempts([Lease(task_id, 2)])


async def cancel(store: Store, task_id: TaskId) -> None:
    await store.request_cancel(ALICE.user_id, [task_id])


async def fall_silent(store: Store, _: TaskId) -> None:
    await store.endpoint_seen(ENDPOINT, None, online=False, epoch=1)


async def come_back(store: Store, _: TaskId) -> None:
    await store.endpoint_seen(ENDPOINT, None, online=True, epoch=2)


async def start_anew(store: Store, _: TaskId) -> None:
    await store.all_offline()


async def delete_endpoint(store: Store, _: TaskId) -> None:
    assert await store.delete_endpoint(ALICE.user_id, ENDPOINT)


async def release_what_waits(store: Store, task_id: TaskId) -> None:
    """The task that is waited for is elsewhere, so its end alone says nothing of what waits here."""
    await store.complete(OTHER_ENDPOINT, [a_result(TaskId("upstream"))])
    await store.dependencies.settle([TaskId("upstream")])
    assert not (await store.tasks(ALICE.user_id, [TaskId("held")]))[TaskId("held")].waits_for


async def grow_old(store: Store, task_id: TaskId) -> None:
    assert (await store.delete_tasks(1 << 62, after=0, at_most=10))[0] == 1


class RevisionContract:
    @pytest.fixture
    async def task_id(self, store: Store) -> TaskId:
        """One open task, one that waits for `upstream` elsewhere, and one that has ended."""
        await store.ensure_user(ALICE)
        await store.save_endpoint(an_endpoint(key=KEY))
        await store.endpoint_seen(ENDPOINT, None, online=True, epoch=1)
        await store.submit(a_submission(a_call(task_id=TaskId("upstream")), endpoint_id=OTHER_ENDPOINT))
        held = a_submission(a_call(task_id=TaskId("held")), options=TaskOptions(after=(TaskId("upstream"),)))
        await store.submit(held)
        call, old = a_call(), a_call()
        await store.submit(a_submission(call, old))
        await store.complete(ENDPOINT, [a_result(old.task_id)])
        return call.task_id

    @pytest.mark.parametrize(
        "change",
        [
            submit,
            end,
            run,
            lease_again,
            cancel,
            fall_silent,
            come_back,
            start_anew,
            delete_endpoint,
            release_what_waits,
            grow_old,
        ],
    )
    async def test_what_is_told_of_tasks_has_changed_after(self, store: Store, task_id: TaskId, change: Change) -> None:
        before = store.revision
        assert not store.has_changed(before, HERE)
        assert not store.has_changed(before, None)
        await change(store, task_id)
        assert store.has_changed(before, HERE)
        assert store.has_changed(before, None)
        assert not store.has_changed(store.revision, None)

    async def test_what_happens_elsewhere_is_no_change_here(self, store: Store, task_id: TaskId) -> None:
        before = store.revision
        await store.submit(a_submission(a_call(), endpoint_id=OTHER_ENDPOINT))
        await store.endpoint_seen(OTHER_ENDPOINT, None, online=True, epoch=1)
        assert not store.has_changed(before, HERE)
        assert store.has_changed(before, THERE)
        assert store.has_changed(before, HERE | THERE)

    async def test_heartbeats_logs_and_functions_are_no_change(self, store: Store, task_id: TaskId) -> None:
        before = store.revision
        await store.endpoint_seen(ENDPOINT, EndpointStatus(), online=True, epoch=1)
        await store.append_events(ENDPOINT, [TaskEvent(task_id, event_seq(1, 1), EventKind.STDOUT, 1, b"text")])
        await store.add_function(a_function())
        assert not store.has_changed(before, None)

    async def test_of_a_connection_that_was_replaced_one_hears_both(self, store: Store, task_id: TaskId) -> None:
        """What the older agent says does not count; what the newer one says is a change, though it be the same."""
        await store.endpoint_seen(ENDPOINT, None, online=True, epoch=2)
        await store.endpoint_seen(ENDPOINT, None, online=False, epoch=1)
        before = store.revision
        await store.endpoint_seen(ENDPOINT, None, online=False, epoch=2)
        assert store.has_changed(before, HERE)

    async def test_a_result_that_was_not_committed_is_no_change(self, store: Store, task_id: TaskId) -> None:
        before = store.revision
        with pytest.raises(AttributeError):
            await store.complete(ENDPOINT, [a_result(task_id), None])  # type: ignore[list-item]
        assert not store.has_changed(before, None)
        assert await store.tasks(ALICE.user_id, [task_id])
