"""How workers are shared out among containers, and how a manager's machine follows."""

from __future__ import annotations

import logging
import queue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import Results, TaskBatch
from funcx_core.protocol.manager import ManagerHeartbeat, ManagerRegistered
from funcx_core.protocol.task import ContainerImage, Function, Task, TaskOptions, TaskResult, TaskState, TaskTimes
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.machine.effects import DealChunk, Dismiss, Effect, Send, Spawn
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.slots import Life, Slot
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.machine.worker_map import TURN_SECONDS, moves, naive_scheduler, share_out
from funcx_endpoint.manager.workers.death import Death

F = Function(FunctionId("f"), "f", b"body")
A = ContainerImage("1", "docker", "docker://a")
B = ContainerImage("2", "podman", "docker://b")
HERE = ContainerSettings(kind="podman")


def image(location: str) -> ContainerImage:
    return ContainerImage("", "podman", location)


# --- shares ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "workers", "shares"),
    [
        ({"a": 5}, 4, {"a": 4}),
        ({"a": 90, "b": 10}, 10, {"a": 8, "b": 2}),
        ({"a": 1000, "b": 1, "c": 0}, 4, {"a": 3, "b": 1}),
        ({"a": 1, "b": 1, "c": 1}, 2, {"a": 1, "b": 1}),
        ({}, 4, {}),
    ],
)
def test_each_kind_gets_one_worker_and_the_rest_in_proportion(
    tasks: dict[str, int], workers: int, shares: dict[str, int]
) -> None:
    assert share_out(tasks, workers) == shares


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 1000)), st.integers(1, 64))
def test_all_workers_are_shared_out_and_nobody_with_tasks_is_left_out(tasks: dict[str, int], workers: int) -> None:
    shares = share_out(tasks, workers)
    with_tasks = [kind for kind, count in tasks.items() if count]
    assert sum(shares.values()) == (workers if with_tasks else 0)
    assert len(shares) == min(workers, len(with_tasks))
    assert all(count >= 1 for count in shares.values())


def test_the_documented_scheduler_says_what_to_end_and_what_to_start() -> None:
    queues = {"RAW": queue.Queue(), "a": queue.Queue()}
    for _ in range(3):
        queues["a"].put(None)
    log = logging.getLogger("naive")
    assert naive_scheduler(queues, {"RAW": 0, "a": 3}, 4, {"RAW": 4}, [], log) == ({"RAW": 4}, {"a": 4})
    # Two are ending already.
    assert naive_scheduler(queues, {"a": 3}, 4, {"RAW": 3, "a": 1}, ["RAW", "RAW"], log) == ({"RAW": 1}, {"a": 3})
    assert naive_scheduler({}, {}, 4, {}, {}, None) == ({}, {})


def slots(*kinds: str) -> list[Slot]:
    return [Slot(index, Life.READY, kind=kind) for index, kind in enumerate(kinds)]


def moved(found: list[Slot], waiting: dict[str, int], now: float = 100.0) -> list[tuple[int, str]]:
    return [(slot.index, kind) for slot, kind in moves(found, waiting, now)]


def test_idle_workers_go_where_tasks_wait() -> None:
    assert moved(slots("", "", ""), {"a": 2}) == [(0, "a"), (1, "a")]
    assert moved(slots("", "a", ""), {"a": 1}) == []


def test_a_worker_is_not_taken_from_waiting_tasks_before_its_turn_is_over() -> None:
    workers = slots("", "")
    for slot in workers:
        slot.kind_since = 95.0
    assert moved(workers, {"": 9, "a": 9}, now=100.0) == []
    assert moved(workers, {"": 9, "a": 9}, now=95.0 + TURN_SECONDS) == [(0, "a")]


def test_a_difference_of_one_moves_nobody() -> None:
    assert moved(slots("a", "a", "b"), {"a": 10, "b": 11}) == []


# --- the machine -----------------------------------------------------------------------------------------------


def a_manager(workers: int = 2, containers: ContainerSettings | None = HERE) -> Manager:
    manager = Manager(Rules(workers=workers, heartbeat_period=5, heartbeat_threshold=30, containers=containers))
    manager.start(0.0)
    manager.registered(ManagerRegistered(5, 30), 0.0)
    for index in range(workers):
        manager.ready(index, 0.0)
    return manager


def give(manager: Manager, *names: str, container: ContainerImage | None = None, now: float = 0.0) -> list[Effect]:
    options = TaskOptions(container=container) if container is not None else None
    return manager.task_batch(
        TaskBatch([Task(TaskId(each), 1, F.function_id, b"", options) for each in names], [F]), now, 7
    )


def result(name: str) -> TaskResult:
    return TaskResult(TaskId(name), 1, TaskState.SUCCESS, b"v", None, TaskTimes(started=1, ended=2_000_000_000))


def dealt(effects: list[Effect]) -> list[tuple[int, list[str]]]:
    return [(e.worker, [d.task.task_id for d in e.chunk.tasks]) for e in effects if isinstance(e, DealChunk)]


def results(effects: list[Effect]) -> list[TaskResult]:
    sent = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, Results)]
    return [each for message in sent for each in message.results]


def test_a_task_that_wants_a_container_gets_a_worker_in_it() -> None:
    manager = a_manager()
    assert give(manager, "a", container=A) == [Dismiss(0)]
    assert manager.died(0, Death(started=0), 0.1) == [Spawn(0, image("docker://a"))]
    assert dealt(manager.ready(0, 0.2)) == [(0, ["a"])]
    assert dealt(give(manager, "plain", now=0.3)) == [(1, ["plain"])]


def test_a_function_registered_with_a_container_runs_in_it_unless_its_task_says_otherwise() -> None:
    manager = a_manager()
    function = Function(FunctionId("g"), "g", b"body", B)
    own = TaskOptions(container=A)
    batch = [Task(TaskId("b"), 1, function.function_id, b""), Task(TaskId("a"), 1, function.function_id, b"", own)]
    manager.task_batch(TaskBatch(batch, [function]), 0.0, 7)
    spawned = {e for worker in (0, 1) for e in manager.died(worker, Death(started=0), 0.1) if isinstance(e, Spawn)}
    assert {spawn.image for spawn in spawned} == {image("docker://a"), image("docker://b")}


def test_a_busy_worker_changes_its_container_when_its_task_has_ended() -> None:
    manager = a_manager(1)
    give(manager, "plain", "later", "latest")
    assert give(manager, "a", container=A) == []
    assert dealt(manager.finished(0, [result("plain")], 2.0)) == [(0, ["later"])]
    effects = manager.finished(0, [result("later")], TURN_SECONDS)
    assert (dealt(effects), Dismiss(0) in effects) == ([], True)
    assert manager.died(0, Death(started=2), TURN_SECONDS) == [Spawn(0, image("docker://a"))]


def test_a_worker_that_idles_in_a_container_gives_way_to_an_ordinary_one() -> None:
    manager = a_manager(1, ContainerSettings(kind="podman", idle_seconds=60))
    give(manager, "a", container=A)
    manager.died(0, Death(started=0), 0.0)
    manager.ready(0, 0.0)
    manager.finished(0, [result("a")], 2.0)
    assert [e for e in manager.tick(61.9, 0, [1]) if isinstance(e, Dismiss)] == []
    assert [e for e in manager.tick(62.0, 0, [1]) if isinstance(e, Dismiss)] == [Dismiss(0)]
    assert manager.died(0, Death(started=1), 62.1) == [Spawn(0, None)]


def test_heartbeats_say_how_many_workers_run_in_which_container() -> None:
    manager = a_manager()
    give(manager, "a", container=A)
    (beat,) = [e.message for e in manager.tick(5.0, 0, [0, 0]) if isinstance(e, Send)]
    assert isinstance(beat, ManagerHeartbeat)
    assert beat.containers == {"docker://a": 1, "": 1}


def test_workers_in_the_endpoints_own_container_stay() -> None:
    manager = Manager(
        Rules(
            workers=1,
            heartbeat_period=5,
            heartbeat_threshold=30,
            containers=ContainerSettings(kind="podman", image="/images/x", idle_seconds=1),
        )
    )
    assert manager.start(0.0)[0] == Spawn(0, image("/images/x"))
    manager.registered(ManagerRegistered(5, 30), 0.0)
    manager.ready(0, 0.0)
    assert dealt(give(manager, "a")) == [(0, ["a"])]
    manager.finished(0, [result("a")], 2.0)
    assert [e for e in manager.tick(60.0, 0, [1]) if isinstance(e, Dismiss)] == []


def test_a_container_that_cannot_be_started_three_times_fails_its_tasks_and_no_others() -> None:
    manager = a_manager()
    give(manager, "a", container=A)
    now, effects = 0.0, manager.died(0, Death(started=0), 0.0)
    assert effects == [Spawn(0, image("docker://a"))]
    death = Death(started=0, exitcode=127, stderr="warning\nexec: python3: not found\n")
    for _ in range(2):
        assert results(manager.died(0, death, now)) == []
        now += 1
        assert Spawn(0, image("docker://a")) in manager.tick(now, 0, [0, 0])
    effects = manager.died(0, death, now)
    (failed,) = results(effects)
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (TaskState.FAILED, "container_failed")
    assert "docker://a" in failed.error.message
    assert failed.error.message.endswith("exec: python3: not found")
    assert Spawn(0, None) in effects
    assert dealt(give(manager, "plain", now=now)) == [(1, ["plain"])]


@pytest.mark.parametrize(
    ("containers", "wanted", "says"),
    [
        (None, A, "this endpoint runs none"),
        (ContainerSettings(kind="singularity"), A, "runs those of singularity"),
        (HERE, ContainerImage("1", "", ""), "was deleted"),
    ],
)
def test_a_task_whose_container_cannot_be_had_fails_at_once_and_says_why(
    containers: ContainerSettings | None, wanted: ContainerImage, says: str
) -> None:
    manager = a_manager(containers=containers)
    (failed,) = results(give(manager, "a", container=wanted))
    assert failed.error is not None
    assert failed.error.code == "container_unavailable"
    assert says in failed.error.message
    assert manager.leases() == []


def test_a_container_for_each_task_gets_one_task() -> None:
    manager = a_manager(1, ContainerSettings(kind="podman", image="/images/x", is_single_use=True))
    give(manager, "known")
    manager.finished(
        0, [TaskResult(TaskId("known"), 1, TaskState.SUCCESS, b"", None, TaskTimes(started=1, ended=2))], 0.1
    )
    manager.died(0, Death(started=1), 0.1)
    manager.ready(0, 0.1)
    assert dealt(give(manager, "a", "b", "c", now=0.2)) == [(0, ["a"])]
