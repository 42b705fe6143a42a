"""Who gets which nodes of a block."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import ResourcesUnavailable
from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import Results, TaskBatch
from funcx_core.protocol.manager import ManagerRegistered
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import Function, Task, TaskOptions, TaskResult, TaskState
from funcx_endpoint.manager.machine.effects import DealChunk, Effect, Send
from funcx_endpoint.manager.machine.held import Held
from funcx_endpoint.manager.machine.nodes import NodePool, pick
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.workers.death import Death

F = Function(FunctionId("f"), "f", b"body")
FOUR = ("a", "b", "c", "d")


def a_task(name: str, nodes: int | None) -> Task:
    options = None if nodes is None else TaskOptions(resources=Resources(nodes=nodes, ranks_per_node=2))
    return Task(TaskId(name), 1, F.function_id, b"", options)


def held(name: str, nodes: int | None) -> Held:
    return Held(a_task(name, nodes), F, 0)


@pytest.mark.parametrize(
    ("free", "number", "chosen"),
    [
        ([0, 1, 2, 3], 2, [0, 1]),
        ([0, 1, 2, 4, 5], 2, [4, 5]),  # the smallest gap
        ([0, 2, 3, 5], 2, [2, 3]),
        ([0, 2, 4], 2, [0, 2]),  # no neighbours are free
        ([0], 2, None),
        ([], 1, None),
    ],
)
def test_neighbours_are_chosen_if_there_are(free, number, chosen):
    assert pick(free, number) == chosen


def test_the_first_comes_first():
    choice = NodePool(FOUR, "srun").choose([held("one", 3), held("two", 1)], [])
    assert (choice.place, choice.nodes) == (0, ("a", "b", "c"))


def test_one_that_fits_overtakes_one_that_does_not():
    running = held("long", 2)
    running.nodes = ("a", "b")
    waiting = [held("large", 4), held("small", 2)]
    choice = NodePool(FOUR, "srun").choose(waiting, [running])
    assert (choice.place, choice.nodes) == (1, ("c", "d"))
    assert [one.overtaken for one in waiting] == [1, 0]


def test_a_large_one_is_not_overtaken_for_ever():
    pool, large, running = NodePool(FOUR, "srun"), held("large", 4), deque([held("s", 1)])
    running[0].nodes = ("a",)
    overtakes = 0
    while (choice := pool.choose([large, held("small", 1)], running)) is not None and choice.place == 1:
        overtakes += 1
        running.popleft()
        running.append(held("small", 1))
        running[0].nodes = choice.nodes
    assert overtakes == 8
    assert pool.choose([large, held("small", 1)], []).nodes == FOUR


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 8)), max_size=60), st.integers(5, 9))
def test_every_task_runs_and_no_node_is_given_twice(tasks, total):
    pool = NodePool([f"n{index}" for index in range(total)], "srun")
    waiting = [held(str(number), nodes) for number, (nodes, _) in enumerate(tasks)]
    seconds = {str(number): length for number, (_, length) in enumerate(tasks)}
    running: list[tuple[int, Held]] = []
    for now in range(60 * 9):
        running = [(end, one) for end, one in running if end > now]
        while (choice := pool.choose(waiting, (one for _, one in running))) is not None:
            one = waiting.pop(choice.place)
            one.nodes = choice.nodes
            running.append((now + seconds[one.task.task_id], one))
            assert one.overtaken <= 2 * total
        busy = [node for _, one in running for node in one.nodes]
        assert len(busy) == len(set(busy)) <= total
    assert not waiting


def a_manager(nodes: tuple[str, ...] = FOUR, workers: int = 4) -> Manager:
    manager = Manager(Rules(workers, 5, 30, nodes=nodes, launcher="srun"))
    manager.start(0.0)
    manager.registered(ManagerRegistered(5, 30), 0.0)
    for index in range(workers):
        manager.ready(index, 0.0)
    return manager


def give(manager: Manager, *given: Task) -> list[Effect]:
    return manager.task_batch(TaskBatch(list(given), [F]), 0.0, 7)


def nodes_of(effects: list[Effect]) -> dict[str, str]:
    chunks = [effect.chunk for effect in effects if isinstance(effect, DealChunk)]
    assert all(len(chunk.tasks) == 1 for chunk in chunks)
    return {chunk.tasks[0].task.task_id: chunk.variables["PARSL_MPI_NODELIST"] for chunk in chunks}


def done(manager: Manager, worker: int, name: str) -> list[Effect]:
    return manager.finished(worker, [TaskResult(TaskId(name), 1, TaskState.SUCCESS, b"v")], 1.0)


def test_a_manager_deals_each_task_with_its_nodes_and_the_next_when_they_are_free():
    manager = a_manager()
    assert nodes_of(give(manager, a_task("1", 2), a_task("2", None), a_task("3", 2))) == {"1": "a,b", "2": "c"}
    assert nodes_of(done(manager, 1, "2")) == {"3": "c,d"}


def test_the_nodes_of_a_worker_that_died_are_free_again():
    manager = a_manager()
    give(manager, a_task("1", 4), a_task("2", 4))
    assert nodes_of(manager.died(0, Death(started=1), 1.0)) == {"2": "a,b,c,d"}


def test_the_variables_say_how_to_start_ranks_there():
    effects = give(a_manager(), a_task("1", 2))
    assert (
        effects[-1].chunk.variables["PARSL_MPI_PREFIX"]
        == "srun --ntasks 4 --ntasks-per-node 2 --nodelist a,b --nodes 2"
    )


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [(FOUR, "a block of this endpoint has 4"), ((), "gives each task one (in MPI mode it would give more)")],
)
def test_more_nodes_than_there_are_is_a_typed_error_at_once(nodes, reason):
    [effect] = give(a_manager(nodes), a_task("1", 5))
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Results)
    [result] = effect.message.results
    assert (result.state, result.error.code) == (TaskState.FAILED, ResourcesUnavailable.code)
    assert reason in result.error.message


def test_where_tasks_run_on_one_node_nothing_is_set():
    manager = a_manager(())
    [effect] = give(manager, a_task("1", 1))
    assert effect.chunk.variables == {}
