"""An endpoint with a real service, as its owner handles it: start, stop, kill, freeze, break."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from funcx_core.errors import EndpointLost, ManagerLost
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually


def note(number, path, seconds):
    """Leave a trace outside the system of each start and end."""
    import os
    import time

    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"start {number}\n".encode())
    time.sleep(seconds)
    os.write(handle, f"end {number}\n".encode())
    os.close(handle)
    return number


def outcomes(futures):
    found = []
    for future in futures:
        error = future.exception(timeout=30)
        found.append(type(error) if error is not None else future.result())
    return found


def starts(path):
    return [line for line in path.read_text().splitlines() if line.startswith("start")] if path.exists() else []


@pytest.fixture(scope="module")
def own_fabric(tmp_path_factory):
    """One for this file: starting it costs more than most of these tests."""
    with Fabric(tmp_path_factory.mktemp("fabric")) as running:
        yield running


@pytest.fixture
def fresh_fabric(own_fabric):
    """As good as new, whatever the test before did to it."""
    if not own_fabric.pids("agent"):
        own_fabric.start_endpoint("local")
    eventually(lambda: own_fabric.is_online("local"), "the endpoint is online", timeout=20)
    eventually(lambda: len(own_fabric.pids("worker")) == 2, "its workers are there", timeout=20)
    return own_fabric


@pytest.fixture
def broken(fresh_fabric, tmp_path):
    """Submit 10 tasks to 2 workers, break something when two have started, and return what became of them."""

    def run(what, *, number=10, seconds=0.4):
        ledger = tmp_path / "ledger"
        with fresh_fabric.executor() as executor:
            futures = [executor.submit(note, index, str(ledger), seconds) for index in range(number)]
            eventually(lambda: len(starts(ledger)) >= 2, "two tasks have started")
            what(fresh_fabric)
            found = outcomes(futures)
        assert len(starts(ledger)) == len(set(starts(ledger))), "a task ran twice"
        return found

    return run


def check(found, lost, most=2):
    """Each task has its value, or is one of at most `most` that were lost with a typed error."""
    assert all(value in {index, lost} for index, value in enumerate(found)), found
    assert found.count(lost) <= most


def test_a_killed_manager_loses_only_what_it_ran(broken, fresh_fabric):
    """F19"""
    found = broken(lambda fabric: fabric.signal("manager", signal.SIGKILL))
    check(found, ManagerLost)
    assert ManagerLost in found


def test_processes_that_tasks_left_die_with_their_manager(fresh_fabric):
    def leave():
        import subprocess

        return subprocess.Popen(["setsid", "--fork", "sleep", "981"]).wait() or subprocess.call(["sleep", "60"])

    def left():
        return subprocess.run(["pgrep", "-f", "^sleep 981"], capture_output=True, text=True, check=False).stdout.split()

    def ours():
        mark = f"FUNCX_HOME={fresh_fabric.home}".encode()
        return [pid for pid in left() if mark in Path(f"/proc/{pid}/environ").read_bytes()]

    with fresh_fabric.executor() as executor:
        future = executor.submit(leave)
        eventually(ours, "the task left a process")
        fresh_fabric.signal("manager", signal.SIGSTOP)  # None of them can tidy up.
        for role in ("worker", "manager"):
            fresh_fabric.signal(role, signal.SIGKILL)
        assert outcomes([future]) == [ManagerLost]
    eventually(lambda: not ours(), "what the task left is gone", timeout=5)


def test_a_frozen_manager_is_replaced_and_nothing_runs_twice(broken):
    """F20"""

    def freeze(fabric):
        pids = fabric.signal("manager", signal.SIGSTOP)
        time.sleep(3 * fabric.threshold)
        for pid in pids:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)

    check(broken(freeze), ManagerLost)


def test_a_killed_agent_comes_back_with_its_results(broken):
    """F15"""

    def kill(fabric):
        fabric.signal("agent", signal.SIGKILL)
        eventually(lambda: not fabric.pids("worker"), "the workers end with their agent", timeout=3)
        rows = json.loads(fabric.endpoint_cli("list", "--json").stdout)
        assert rows[0]["state"] == "stopped"
        assert "stale" in rows[0]["detail"]
        fabric.start_endpoint("local")

    check(broken(kill), EndpointLost)


def test_results_that_never_reached_a_disk_are_not_made_again(broken):
    def kill(fabric):
        fabric.kill_service()
        (agent,) = fabric.pids("agent")
        subprocess.run(["prlimit", f"--pid={agent}", "--fsize=1:unlimited"], check=True)
        time.sleep(1.5)
        fabric.signal("agent", signal.SIGKILL)
        eventually(lambda: not fabric.pids("worker"), "the workers end with their agent", timeout=3)
        fabric.start_service()
        fabric.start_endpoint("local")

    found = broken(kill)
    check(found, EndpointLost, most=6)
    assert EndpointLost in found


def test_a_restart_runs_everything_once(broken):
    """F16"""

    def restart(fabric):
        fabric.endpoint_cli("restart", "local")

    assert broken(restart) == list(range(10))


def test_a_service_that_is_away_costs_nothing(broken):
    """F07, F09: the forwarder is in it"""

    def away(fabric):
        workers = fabric.pids("worker")
        fabric.kill_service()
        time.sleep(1.5 * fabric.threshold)
        fabric.start_service()
        eventually(lambda: fabric.is_online("local"), "the endpoint is back", timeout=20)
        assert fabric.pids("worker") == workers

    assert broken(away) == list(range(10))


def test_a_frozen_service_costs_nothing(broken):
    """F08, F10: the forwarder is in it"""

    def freeze(fabric):
        workers = fabric.pids("worker")
        fabric.signal("service", signal.SIGSTOP)
        time.sleep(3 * fabric.threshold)
        fabric.signal("service", signal.SIGCONT)
        eventually(lambda: fabric.is_online("local"), "the endpoint is back", timeout=20)
        assert fabric.pids("worker") == workers

    assert broken(freeze) == list(range(10))


def test_a_frozen_agent_costs_nothing(broken):
    def freeze(fabric):
        workers = fabric.pids("worker")
        fabric.signal("agent", signal.SIGSTOP)
        time.sleep(3 * fabric.threshold)
        fabric.signal("agent", signal.SIGCONT)
        time.sleep(fabric.threshold)
        assert fabric.pids("worker") == workers

    assert broken(freeze) == list(range(10))


def test_starting_and_stopping_twice(fresh_fabric):
    again = fresh_fabric.endpoint_cli("start", "local")
    assert again.stdout == "Endpoint 'local' is running already.\n"
    assert json.loads(fresh_fabric.endpoint_cli("status", "local", "--json").stdout)["agent"]["workers"] == 2
    fresh_fabric.stop_endpoint("local")
    assert not [found for found in fresh_fabric.processes() if found.role != "service"]
    assert not fresh_fabric.is_online("local")
    assert fresh_fabric.endpoint_cli("stop", "local").stdout == "Endpoint 'local' was not running.\n"
    assert not list((fresh_fabric.home / "local" / "unacked_results").iterdir())


def test_two_starts_at_once_make_one_agent(fresh_fabric):
    """F17"""
    fresh_fabric.stop_endpoint("local")
    command = [sys.executable, "-m", "funcx_endpoint.cli", "start", "local"]
    both = [
        subprocess.Popen(command, env=fresh_fabric.environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=60)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == ["Endpoint 'local' is online: 2 workers.\n", "Endpoint 'local' is running already.\n"]
    assert len(fresh_fabric.pids("agent")) == 1


def test_a_second_agent_ends_the_first_where_locks_do_not_work(fresh_fabric):
    """F17"""
    (old,) = fresh_fabric.pids("agent")
    (fresh_fabric.home / "local" / "agent.lock").unlink()  # as on a file system without locks
    fresh_fabric.start_endpoint("local")
    eventually(lambda: old not in fresh_fabric.pids("agent"), "the older agent has ended", timeout=15)
    assert len(fresh_fabric.pids("manager")) == 1


def test_workers_that_cannot_start_are_told_with_their_words(new_fabric):
    """F25"""
    fabric: Fabric = new_fabric(endpoints=())
    config = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=1.0)
    config = config.replace("max_blocks=1)", "max_blocks=1, worker_init='echo no such module >&2; exit 3')")
    fabric.configure_endpoint("sick", config)
    fabric.endpoint_names = ("sick",)
    done = fabric.endpoint_cli("start", "sick", check=False)
    assert done.returncode == 1
    assert "no worker can start" in done.stderr
    assert "no such module" in done.stderr
    assert done.stderr.count("\n") == 1
    shown = fabric.endpoint_cli("status", "sick").stdout
    assert "unhealthy" in shown
    assert "no such module" in shown


def test_a_wrong_token_is_told_and_leaves_nothing(new_fabric):
    fabric: Fabric = new_fabric(endpoints=())
    fabric.configure_endpoint("alone")
    environment = fabric.environment(FUNCX_TOKEN="wrong")
    done = subprocess.run(
        [sys.executable, "-m", "funcx_endpoint.cli", "start", "alone"],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "does not accept the token" in done.stderr
    assert "Traceback" not in done.stderr
    assert [found.role for found in fabric.processes()] == ["service"]


def test_a_full_disk_stops_the_flow_and_loses_nothing(fresh_fabric):
    """F31"""
    (agent,) = fresh_fabric.pids("agent")
    # No file of the agent may grow beyond this: what a full disk does, without one.
    subprocess.run(["prlimit", f"--pid={agent}", "--fsize=20000:unlimited"], check=True)
    with fresh_fabric.executor() as executor:
        futures = [executor.submit(bytes, 3000) for _ in range(40)]
        time.sleep(2)
        subprocess.run(["prlimit", f"--pid={agent}", "--fsize=unlimited:unlimited"], check=True)
        assert outcomes(futures) == [bytes(3000)] * 40
    log = (fresh_fabric.home / "local" / "logs" / "agent.log").read_text()
    assert "results cannot be written" in log
    assert "can be written" in log.rpartition("results cannot be written")[2]
    assert "Traceback" not in log
