"""Tasks that have more of their node than a worker's share."""

from __future__ import annotations

import pytest

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.manager import ManagerRegistered
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import Function, Task, TaskOptions, TaskResult, TaskState
from funcx_endpoint.manager.machine.effects import DealChunk, Effect
from funcx_endpoint.manager.machine.room import Room
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.workers.death import Death
from funcx_endpoint.manager.workers.limits import Limits
from funcx_endpoint.shapes import Node

F = Function(FunctionId("f"), "f", b"body")
ROOM = Room(
    node=Node(4, 8, 8 * 10**9, 4), accelerators=4, cpu_affinity="block", available=range(8), inherited={}
)  # fmt: skip


def a_manager(room: Room = ROOM) -> Manager:
    manager = Manager(Rules(workers=room.node.workers, heartbeat_period=5, heartbeat_threshold=30, room=room))
    manager.start(0)
    manager.registered(ManagerRegistered(5, 30, manager.registration()[0]), 0)
    for index in range(room.node.workers):
        manager.ready(index, 0)
    return manager


def a_task(name: str, **resources: float) -> Task:
    options = TaskOptions(resources=Resources(**resources)) if resources else None  # type: ignore[arg-type]
    return Task(TaskId(name), 1, F.function_id, b"payload", options)


def arrive(manager: Manager, *tasks: Task) -> list[DealChunk]:
    session = manager.registration()[0]
    return dealt(manager.task_batch(TaskBatch(list(tasks), [F], session), 0, 1))


def dealt(effects: list[Effect]) -> list[DealChunk]:
    return [effect for effect in effects if isinstance(effect, DealChunk)]


def names(chunks: list[DealChunk]) -> list[str]:
    return [one.task.task_id for chunk in chunks for one in chunk.chunk.tasks]


def finish(manager: Manager, worker: int, name: str) -> list[DealChunk]:
    return dealt(manager.finished(worker, [TaskResult(TaskId(name), 1, TaskState.SUCCESS)], 1))


def test_a_large_task_has_the_places_of_other_workers() -> None:
    manager = a_manager()
    (large,) = arrive(manager, a_task("large", cores=6))
    assert large.places == 3
    assert large.chunk.processors == [0, 1, 2, 3, 4, 5]
    assert large.chunk.variables["OMP_NUM_THREADS"] == "6"
    small = arrive(manager, a_task("a"), a_task("b"))
    assert names(small) == ["a"]
    assert small[0].worker == 3
    assert small[0].chunk.processors == []
    assert names(finish(manager, 0, "large")) == ["b"]


def test_a_large_task_waits_for_places_that_idle_and_is_not_overtaken() -> None:
    manager = a_manager()
    assert names(arrive(manager, a_task("a"), a_task("b"))) == ["a", "b"]
    assert arrive(manager, a_task("large", cores=6), a_task("c")) == []
    assert names(finish(manager, 0, "a")) == ["large"]
    assert names(finish(manager, 1, "b")) == ["c"]


def test_places_of_a_worker_that_died_are_free_again() -> None:
    manager = a_manager()
    arrive(manager, a_task("large", cores=8))
    assert arrive(manager, a_task("a")) == []
    assert names(dealt(manager.died(0, Death(started=1), 1))) == ["a"]


@pytest.mark.parametrize(
    ("wanted", "workers", "visible"),
    [(2, 4, "0,1"), (1, 4, None), (2, 2, "0,2"), (4, 2, "0,1,2,3"), (3, 2, "0,1,2")],
)
def test_a_task_sees_the_accelerators_that_it_asked_for(wanted: int, workers: int, visible: str | None) -> None:
    manager = a_manager(Room(node=Node(workers, 8, 8 * 10**9, 4), accelerators=4))
    (chunk,) = arrive(manager, a_task("gpu", accelerators=wanted))
    assert chunk.chunk.variables.get("CUDA_VISIBLE_DEVICES") == visible
    if visible is not None:
        assert chunk.chunk.variables["HIP_VISIBLE_DEVICES"] == ",".join(map(str, range(wanted)))


def test_accelerators_have_the_names_that_the_batch_system_gave() -> None:
    room = Room(node=Node(4, 8, 8, 4), accelerators=4, inherited={"CUDA_VISIBLE_DEVICES": "4,5,6,7"})
    options = TaskOptions(resources=Resources(accelerators=2))
    assert room.variables({1, 3}, options)["CUDA_VISIBLE_DEVICES"] == "5,7"


def test_limits_are_those_of_all_its_places() -> None:
    assert Limits(10**9, 100).of(3) == Limits(3 * 10**9, 300)
    assert Limits(None, 100).of(1) == Limits(None, 100)
    assert Limits(None, None).of(2) == Limits()
