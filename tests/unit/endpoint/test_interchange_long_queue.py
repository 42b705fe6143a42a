"""A hundred thousand waiting tasks cost the same for each dispatch as a hundred, and little memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from funcx_core.protocol.endpoint import Results, TaskBatch
from funcx_core.protocol.manager import ManagerRegister
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import Function, Lease, Task, TaskOptions, TaskResult, TaskState, TaskTimes
from funcx_endpoint.interchange.state import Interchange

F = Function("f", "f", b"body")
WIDE = TaskOptions(resources=Resources(cores=3), priority=1)


def filled(number: int, owners: int) -> Interchange:
    """One with two managers of four workers, which are busy, and `number` tasks that wait; every tenth one is large."""
    made = Interchange(heartbeat_period=1, heartbeat_threshold=1e9)
    for name in ("m", "n"):
        register = ManagerRegister(
            manager_id=name, block_id="0", epoch=1, capacity=4, hostname="h", pid=1, python_version="", version="",
            cores=4, memory_bytes=4,
        )  # fmt: skip
        made.receive(name, register, now=0, stamp=1)
    tasks = [Task(f"t{n}", 1, "f", b"p", WIDE if n % 10 == 9 else None, f"o{n % owners}") for n in range(number)]
    for start in range(0, number, 500):
        made.tasks(TaskBatch(tasks[start : start + 500], [F] if not start else []), now=0, stamp=start)
    return made


def work_off(made: Interchange, rounds: int) -> float:
    """Let one task after the other end, and return the seconds of processor time that a round took, at best."""
    best = 1.0
    for _ in range(rounds):
        held = next(held for held in made.open_leases() if held.manager is not None)
        result = TaskResult(held.task.task_id, 1, TaskState.SUCCESS, b"", None, TaskTimes(0, 1, 1, 1 + 10**9))
        manager_id = held.manager.manager_id
        began = time.process_time()
        made.receive(manager_id, Results([result]), now=0, stamp=9)
        made.settled(manager_id, 1)
        best = min(best, time.process_time() - began)
        made.acknowledged([Lease(result.task_id, 1)])
    return best


@pytest.mark.parametrize("owners", [1, 20])
def test_a_dispatch_costs_the_same_however_many_wait(owners):
    few = work_off(filled(500, owners), 100)
    many = work_off(filled(100_000, owners), 100)
    assert many < 5 * few + 0.0005


def test_a_waiting_task_needs_little_memory_besides_itself():
    tracemalloc.start()
    made = filled(20_000, 3)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.waiting > 19_000
    assert used / 20_000 < 1_500
