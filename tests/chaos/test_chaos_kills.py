"""Processes of a real fabric are killed and frozen: nothing is lost, nothing ends twice, every error says what died.

The smoke run does each fault once, on one fabric: ``make chaos`` does many rounds with other moments (`CHAOS_ROUNDS`, `CHAOS_SEED`).
"""

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from tests.support.chaos import ROUNDS, SEED, Run
from tests.support.fabric import Fabric, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos")]


@pytest.fixture(scope="module")
def wounded(tmp_path_factory):
    """One fabric for all faults: each test must leave it working, which is part of what is tested."""
    with Fabric(tmp_path_factory.mktemp("chaos")) as fabric:
        yield fabric


@pytest.fixture(params=range(ROUNDS), ids=lambda number: f"round{number}")
def chance(request) -> random.Random:
    """The randomness of this round."""
    return random.Random(SEED + request.param)


@pytest.fixture
def run(wounded, tmp_path):
    """Tasks of one test, and afterwards: the fabric still works at its full width."""
    yield Run(wounded, tmp_path, "t")
    eventually(
        lambda: len(wounded.pids("worker")) == wounded.workers and wounded.is_online("local"),
        "all workers are back",
        timeout=20,
    )
    after = Run(wounded, tmp_path, "after")
    with wounded.executor() as executor:
        after.submit(executor, 8, 0.0)
        after.judge(within=20)


def busy_worker(run: Run, chance: random.Random) -> int:
    """Wait until tasks run, and return the process of one of them."""
    running = eventually(run.ledger.running, "a task runs", timeout=20)
    return chance.choice(sorted(running.values()))


def test_killing_idle_workers_costs_nothing(wounded, run, chance):
    """F21"""
    before = set(wounded.pids("worker"))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    with wounded.executor() as executor:
        run.submit(executor, 8, 0.01)
        verdict = run.judge(within=15)
    assert verdict.errors == {}
    assert time.monotonic() - start < 15
    assert not before & set(wounded.pids("worker"))


def test_killing_a_busy_worker_fails_its_task_and_no_other(wounded, run, chance):
    """F22"""
    with wounded.executor() as executor:
        run.submit(executor, 10, 0.4)
        time.sleep(chance.uniform(0, 0.3))
        victim = busy_worker(run, chance)
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        eventually(lambda: any(one.done() and one.exception() for one in run.futures.values()), "it is seen", timeout=5)
        seen_after = time.monotonic() - killed
        verdict = run.judge(within=20, may_fail={"worker_lost"})
    assert len(verdict.errors) == 1
    assert seen_after < 3
    [error] = [one.exception() for one in run.futures.values() if one.exception()]
    assert error.details["signal"] == signal.SIGKILL


def test_a_task_that_may_be_retried_runs_again(wounded, run, chance):
    with wounded.executor(retry_on_loss=1) as executor:
        run.submit(executor, 1, 0.6)
        os.kill(busy_worker(run, chance), signal.SIGKILL)
        assert [future.result(20) for future in run.futures.values()] == list(run.futures)
    assert run.ledger.starts() == {"t-0": 2}
    assert run.ledger.ends() == {"t-0": 1}


def test_killing_the_manager_fails_what_ran_and_requeues_the_rest(wounded, run, chance):
    """F19"""
    with wounded.executor() as executor:
        run.submit(executor, 12, 0.3)
        busy_worker(run, chance)
        time.sleep(chance.uniform(0, 0.3))
        wounded.signal("manager", signal.SIGKILL)
        verdict = run.judge(within=30, may_fail={"manager_lost", "worker_lost"})
    assert len(verdict.errors) <= wounded.workers
    assert len(verdict.values) >= 12 - wounded.workers


def test_killing_the_agent_loses_nothing_that_had_not_started(wounded, run, chance):
    """F15"""
    with wounded.executor() as executor:
        run.submit(executor, 12, 0.3)
        busy_worker(run, chance)
        time.sleep(chance.uniform(0, 0.3))
        wounded.signal("agent", signal.SIGKILL)
        eventually(lambda: not wounded.pids("worker"), "no orphan is left", timeout=5)
        wounded.start_endpoint("local")
        verdict = run.judge(within=30, may_fail={"endpoint_lost", "worker_lost", "manager_lost"})
    assert len(verdict.errors) <= wounded.workers
    assert len(verdict.values) >= 12 - wounded.workers


def test_killing_the_service_in_a_burst_of_submits_loses_nothing(wounded, run, chance):
    """F06"""
    with wounded.executor() as executor:
        burst = threading.Thread(target=run.submit, args=(executor, 300, 0.0))
        burst.start()
        time.sleep(chance.uniform(0, 0.05))
        wounded.kill_service()
        burst.join(20)
        wounded.start_service()
        verdict = run.judge(within=40)
    assert verdict.errors == {}
    assert len(verdict.values) == 300


def test_freezing_the_manager_ends_no_task_twice(wounded, run, chance):
    """F20"""
    with wounded.executor() as executor:
        run.submit(executor, 6, 0.3)
        busy_worker(run, chance)
        frozen = wounded.signal("manager", signal.SIGSTOP)
        try:
            time.sleep(3 * wounded.threshold)
        finally:
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        verdict = run.judge(within=30, may_fail={"manager_lost", "worker_lost"})
    assert len(verdict.errors) <= wounded.workers
