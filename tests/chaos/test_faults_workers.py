"""Workers and managers of a real fabric are killed and frozen, and what becomes of their tasks is counted by a ledger."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from concurrent.futures import CancelledError

import pytest

from funcx_core.errors import ManagerLost, TaskCancelled, WorkerLost
from tests.support.bounds import check_bound
from tests.support.chaos import ROUNDS, SEED, Run
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-workers")]

IDLE_KILLS = 20 if ROUNDS > 1 else 5
BUSY_KILLS = 100 if ROUNDS > 1 else 10
"""What the rows of the table state, in `make chaos`; fewer in each run of the tests."""


@pytest.fixture(scope="module")
def wounded(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("workers")) as fabric:
        yield fabric


@pytest.fixture(scope="module")
def executor(wounded):
    with wounded.executor() as executor:
        yield executor


@pytest.fixture
def run(wounded, tmp_path):
    yield Run(wounded, tmp_path, "t")
    eventually(lambda: len(wounded.pids("worker")) == wounded.workers, "all workers are back", timeout=20)


def started(run, count=1):
    """Wait until so many tasks run; return the process of each."""
    return eventually(
        lambda: running if len(running := run.ledger.running()) >= count else None, f"{count} run", interval=0.002
    )


def test_killing_idle_workers_never_wedges_their_manager(wounded, executor, tmp_path):
    """F21"""
    for step in range(IDLE_KILLS):
        eventually(lambda: len(wounded.pids("worker")) == wounded.workers, "there are workers", interval=0.01)
        victim = wounded.pids("worker")[step % wounded.workers]
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        run = Run(wounded, tmp_path, f"after{step}")
        run.submit(executor, 8, 0.0)
        verdict = run.judge(within=30)
        assert verdict.errors == {}
        check_bound(verdict.seconds, 5, f"8 tasks after kill {step}")
        eventually(
            lambda gone=victim: len(set(wounded.pids("worker")) - {gone}) == wounded.workers,
            "it is replaced",
            interval=0.01,
        )
        check_bound(time.monotonic() - killed, 1, f"the worker after kill {step}")


def test_killing_a_worker_around_the_end_of_its_task_gives_one_end(wounded, executor, run):
    """F22"""
    chance = random.Random(SEED)
    for step in range(BUSY_KILLS):
        run.submit(executor, 1, 0.025)
        (task, future) = list(run.futures.items())[-1]
        victim = eventually(lambda task=task: pid_of(run, task), "it starts", interval=0.002)
        time.sleep(chance.uniform(0, 0.05))
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        error = future.exception(20)
        check_bound(time.monotonic() - killed, 1, f"the end of task {step}")
        assert error is None or (type(error), error.details["signal"]) == (WorkerLost, signal.SIGKILL)
        eventually(lambda victim=victim: victim not in wounded.pids("worker"), "it is dead", interval=0.01)
        eventually(lambda: len(wounded.pids("worker")) == wounded.workers, "it is replaced", interval=0.01)
    verdict = run.judge(within=30, may_fail={"worker_lost"})
    assert len(verdict.values) + len(verdict.errors) == BUSY_KILLS
    assert run.ledger.ends().total() <= BUSY_KILLS


def pid_of(run, task):
    return next((entry.pid for entry in run.ledger.entries() if entry.task == task), None)


def test_a_frozen_worker_is_cancelled_and_its_slot_is_free_again(wounded, executor, run):
    """F23"""
    run.submit(executor, 1, 60)
    ((task, victim),) = started(run).items()
    os.kill(victim, signal.SIGSTOP)
    asked = time.monotonic()
    run.futures[task].cancel()
    with pytest.raises((TaskCancelled, CancelledError)):
        run.futures[task].result(20)
    eventually(lambda: victim not in wounded.pids("worker"), "the frozen worker is gone", interval=0.01)
    check_bound(time.monotonic() - asked, 2, "the cancelled task")
    after = Run(wounded, run.ledger.path.parent, "after")
    after.submit(executor, wounded.workers, 2.0)
    started(after, wounded.workers)
    assert after.judge(within=20).errors == {}


def test_a_killed_manager_fails_what_it_ran_and_is_replaced(wounded, executor, run):
    """F19"""
    warm = Run(wounded, run.ledger.path.parent, "warm")
    warm.submit(executor, 2, 0.0)
    warm.judge(within=20)
    run.submit(executor, 6, 1.0)
    started(run, 2)
    (victim,) = wounded.signal("manager", signal.SIGKILL)
    killed = time.monotonic()
    eventually(lambda: sum(future.done() for future in run.futures.values()) >= 2, "the two are lost", interval=0.01)
    check_bound(time.monotonic() - killed, 1, "the loss of the manager")
    eventually(
        lambda: set(wounded.pids("manager")) - {victim} and len(wounded.pids("worker")) == 2, "there is another block"
    )
    check_bound(time.monotonic() - killed, 5, "another block")
    verdict = run.judge(within=40, may_fail={"manager_lost"})
    assert (len(verdict.errors), len(verdict.values)) == (2, 4)


MANAGER_ELSEWHERE = """\
import socket, sys
socket.gethostname = lambda: "another-node"
from funcx_endpoint.manager.command import main
main(["--settings", sys.argv[1], "--block-id", sys.argv[2]])
"""


def test_a_thawed_manager_of_another_node_hears_that_it_was_replaced_and_ends_nothing_twice(new_fabric, tmp_path):
    """F20: of a node that the agent cannot reach into; a frozen manager on its own machine is killed instead.

    Whether it says what its workers brought before it hears that it was replaced, or ends without a word, is for the kernel to
    choose; neither may change how a task ended. That late results are counted is tested with the machine.
    """
    script = tmp_path / "funcx_endpoint.manager.elsewhere.py"
    script.write_text(MANAGER_ELSEWHERE)
    fabric: Fabric = new_fabric(endpoints=())
    launch = f'launch_cmd="{sys.executable} {script} {{settings}} {{block_id}}",'
    # Ten thresholds after its last word a manager is not even remembered, which a busy machine needs for a test.
    text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=2.0)
    text = text.replace("HighThroughputExecutor(\n", f"HighThroughputExecutor(\n            {launch}\n", 1)
    fabric.configure_endpoint("local", text)
    fabric.endpoint_names = ("local",)
    fabric.start_endpoint("local")
    run = Run(fabric, tmp_path, "t")

    with fabric.executor() as executor:
        run.submit(executor, 2, 0.5)
        run.submit(executor, 4, 0.0)
        started(run, 2)
        (frozen,) = fabric.signal("manager", signal.SIGSTOP)
        eventually(lambda: len(run.ledger.ends()) >= 2, "its workers end what they run")
        lost = [future.exception(20) for future in list(run.futures.values())[:2]]
        assert [type(error) for error in lost] == [ManagerLost] * 2
        os.kill(frozen, signal.SIGCONT)
        eventually(lambda: frozen not in fabric.pids("manager"), "it hears that it was replaced", timeout=20)
        verdict = run.judge(within=30, may_fail={"manager_lost"})
    assert len(verdict.errors) <= 4, "those that it had dealt to workers"
    client = fabric.client()
    states = [client.get_task(future.task_id)["status"] for future in run.futures.values()]
    assert states.count("failed") == len(verdict.errors), "no end was replaced by another"
