"""Agents die, are restarted, are started twice, and find what an earlier boot left; a ledger counts what ran."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from funcx_endpoint.folder import AgentLock
from funcx_endpoint.processes import identity
from tests.support.bounds import check_bound
from tests.support.chaos import Run
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-agent")]

WORKERS = 4


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("agents"), endpoints=(), workers=WORKERS) as fabric:
        text = ENDPOINT_CONFIG.format(workers=WORKERS, period=fabric.period, threshold=fabric.threshold)
        narrow = f"max_workers_per_node={WORKERS}, cores_per_worker=0.25,"
        fabric.configure_endpoint("local", text.replace(f"max_workers_per_node={WORKERS},", narrow))
        fabric.endpoint_names = ("local",)
        yield fabric


@pytest.fixture
def local(own):
    """The fabric with its endpoint online, whatever the test before did."""
    if not own.pids("agent"):
        own.start_endpoint("local")
    eventually(lambda: own.is_online("local") and len(own.pids("worker")) == WORKERS, "it is whole", timeout=30)
    return own


def row(fabric, name="local"):
    return next(one for one in json.loads(fabric.endpoint_cli("list", "--json").stdout) if one["name"] == name)


def test_a_killed_agent_takes_its_workers_along_and_the_next_runs_the_rest(local, tmp_path):
    """F15"""
    run = Run(local, tmp_path, "t")
    with local.executor() as executor:
        run.submit(executor, WORKERS + 6, 1.5)
        eventually(lambda: len(run.ledger.running()) == WORKERS, "all workers are busy", timeout=20)
        below = local.pids("manager") + local.pids("worker")
        local.signal("agent", signal.SIGKILL)
        killed = time.monotonic()
        eventually(lambda: not set(below) & {one.pid for one in local.processes()}, "no orphan is left", interval=0.01)
        check_bound(time.monotonic() - killed, 2, "the end of manager and workers")
        assert row(local)["detail"].startswith("stale")
        local.start_endpoint("local")
        verdict = run.judge(within=60, may_fail={"endpoint_lost", "manager_lost", "worker_lost"})
    assert (len(verdict.errors), len(verdict.values)) == (WORKERS, 6), "what ran is lost, what waited runs later"


def test_a_restart_delivers_what_has_ended_once_and_runs_the_rest(local, tmp_path):
    """F16"""
    run = Run(local, tmp_path, "t")
    with local.executor() as executor:
        run.submit(executor, 100, 0.1)
        eventually(lambda: len(run.ledger.ends()) >= 8, "some have ended", timeout=20)
        local.endpoint_cli("restart", "local")
        verdict = run.judge(within=60)
    assert (verdict.errors, len(verdict.values)) == ({}, 100)
    assert (run.ledger.starts().total(), run.ledger.ends().total()) == (100, 100)


def test_the_lock_of_a_frozen_agent_keeps_a_second_one_out(local, tmp_path):
    """F17: also from a copy of the folder, where what the lock says counts."""
    (agent,) = local.signal("agent", signal.SIGSTOP)
    try:
        for name in ("agent.lock", "status.json"):  # However old they look.
            os.utime(local.home / "local" / name, (0, 0))
        copied = shutil.copytree(local.home / "local", tmp_path / "local", ignore=shutil.ignore_patterns("*.sock"))
        for folder in (local.home / "local", copied):
            command = [sys.executable, "-m", "funcx_endpoint.interchange", "--folder", str(folder)]
            second = subprocess.run(command, env=local.environment(), capture_output=True, timeout=60, check=False)
            assert second.returncode == 1, folder
        assert local.endpoint_cli("start", "local").stdout == "Endpoint 'local' is running already.\n"
        assert local.pids("agent") == [agent]
    finally:
        os.kill(agent, signal.SIGCONT)


def test_where_locks_do_not_work_the_newer_agent_is_in_charge_and_no_task_runs_twice(local, tmp_path):
    """F17"""
    run = Run(local, tmp_path, "t")
    with local.executor() as executor:
        run.submit(executor, WORKERS + 8, 1.0)
        eventually(lambda: len(run.ledger.running()) == WORKERS, "all workers are busy", timeout=20)
        (old,) = local.signal("agent", signal.SIGSTOP)
        (local.home / "local" / "agent.lock").unlink()  # as on a file system without locks
        local.start_endpoint("local")
        with suppress(ProcessLookupError):
            os.kill(old, signal.SIGCONT)
        eventually(lambda: old not in local.pids("agent"), "the older agent is gone", timeout=20)
        verdict = run.judge(within=60, may_fail={"endpoint_lost", "manager_lost", "worker_lost"})
    assert len(verdict.errors) <= WORKERS, "those that ran"
    assert len(local.pids("agent")) == len(local.pids("manager")) == 1


def test_what_an_earlier_boot_left_is_stale_and_its_pid_is_nobodys(local):
    """F18"""
    local.stop_endpoint("local")
    lock = local.home / "local" / "agent.lock"
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        for pid in (1, bystander.pid):
            found = identity(pid)
            assert found is not None
            lock.write_text(
                json.dumps(
                    {
                        "pid": pid,
                        "start_time": found.start_time,
                        "boot_id": "00000000-0000-0000-0000-000000000000",
                        "hostname": found.hostname,
                    }
                )
            )
            assert AgentLock(lock).last_holder() is not None
            assert row(local)["state"] == "stopped"
            assert row(local)["detail"].startswith("stale")
            assert local.endpoint_cli("stop", "local").stdout == "Endpoint 'local' was not running.\n"
        assert bystander.poll() is None, "nobody signalled it"
    finally:
        bystander.kill()
        bystander.wait()
    local.start_endpoint("local")
    assert row(local)["state"] == "running"
