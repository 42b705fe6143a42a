"""Threads of the fabric's processes die, and a process has no file descriptors left: it says so, and all goes on."""

from __future__ import annotations

import contextlib
import ctypes
import json
import socket
import subprocess
import threading
import time

import pytest

from funcx_core.errors import FuncxError
from funcx_core.fabric import leftovers
from funcx_core.fail_fast import CRASH_EXIT
from tests.support.bounds import check_bound
from tests.support.fabric import Fabric, eventually
from tests.support.seams import Seams

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-threads")]

RECOVERS_WITHIN = 5.0
"""Seconds from the death of a thread until a task has its result, the start of a new process by a supervisor included."""

CROWD = 200
KNOWN_THREADS = {
    "service": {"store-writer", "store-reader_"},
    "agent": {"spool", "blocks_"},
}
"""That these are there shows that all are looked at; each that is found is killed. A manager has none but its main one."""


@pytest.fixture(scope="module")
def seams(tmp_path_factory):
    return Seams(tmp_path_factory.mktemp("seams"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, seams):
    with Fabric(tmp_path_factory.mktemp("threads"), seams=seams.folder) as fabric:
        yield fabric


def double(number):
    return 2 * number


def has_result(executor) -> bool:
    """Whether the fabric runs a task. What it says instead is an error of ours."""
    with contextlib.suppress(FuncxError, TimeoutError):
        return executor.submit(double, 4).result(1) == 8
    return False


def supervise(fabric, agent: int) -> str:
    """Start again what has ended, as a supervisor does; return which it was."""
    if fabric.service.poll() is not None:
        assert fabric.service.returncode == CRASH_EXIT
        fabric.start_service()
        return "service"
    if agent not in fabric.pids("agent"):
        last_error = json.loads((fabric.home / "local" / "last-error.json").read_bytes())
        assert last_error["message"].startswith("internal error: the thread")
        fabric.start_endpoint("local")
        return "agent"
    return ""


def test_the_process_says_which_thread_died_and_how(watched, seams):
    """F37: what its owner sees of an agent that nobody starts again."""
    seams.kill_threads(watched.pids("agent")[0], "blocks_")
    eventually(lambda: not watched.pids("agent"), "the agent ends", timeout=10)
    row = json.loads(watched.endpoint_cli("list", "--json").stdout)[0]
    assert (row["state"], "stale" in row["detail"]) == ("stopped", True)
    shown = watched.endpoint_cli("status", "local").stdout
    assert "internal error: the thread blocks_0 died of InjectedFault" in shown
    watched.start_endpoint("local")


def test_a_service_without_file_descriptors_lets_nobody_in_and_goes_on(watched):
    """F36"""
    pid = watched.service.pid
    ports = sorted(leftovers.listening_ports({pid}))
    assert len(ports) == 4, "HTTP and the forwarder's three channels"
    log = watched.home / "service" / "service.log"
    before = log.stat().st_size
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=64:"], check=True)
    with contextlib.ExitStack() as crowd, watched.executor() as executor:
        assert executor.submit(double, 1).result(10) == 2
        for number in range(CROWD):
            one = crowd.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", ports[number % len(ports)]))
        eventually(lambda: "Too many open files" in log.read_text()[before:], "it says so")
        assert executor.submit(double, 2).result(10) == 4, "who is in is served"
        assert watched.service.poll() is None
    began = time.monotonic()
    with watched.executor() as executor:
        eventually(lambda: has_result(executor), "it lets new clients in", timeout=4 * RECOVERS_WITHIN)
    check_bound(time.monotonic() - began, RECOVERS_WITHIN, "the first new client")
    assert log.stat().st_size - before < 10_000, "one line, not one for each turn of the loop"
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=1024:"], check=True)


def test_futures_hear_of_the_end_of_their_streams_thread(watched):
    """F37"""
    with watched.executor() as executor:
        assert executor.submit(double, 1).result(10) == 2
        future = executor.submit(time.sleep, 30)
        (stream,) = [thread for thread in threading.enumerate() if thread.name == "funcx-stream"]
        fault = ctypes.py_object(MemoryError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(stream.ident), fault)
        assert executor.submit(double, 2).result(4 * RECOVERS_WITHIN) == 4, "the stream goes on, or says that it ended"
        future.cancel()


@pytest.mark.parametrize("role", ["service", "agent"])
def test_a_process_whose_thread_dies_ends_and_is_started_again(watched, seams, role):
    """F37"""
    names = {name.rstrip("0123456789") for name in seams.threads(watched.pids(role)[0])}
    assert names >= KNOWN_THREADS[role], names
    for name in sorted(names):
        with watched.executor() as executor:
            assert executor.submit(double, 3).result(20) == 6
            took = seconds_to_recover(watched, seams, executor, role, name)
        check_bound(took, RECOVERS_WITHIN, f"{name} of the {role}")


def seconds_to_recover(fabric, seams, executor, role, name) -> float:
    (victim,), (agent,) = fabric.pids(role), fabric.pids("agent")
    began = time.monotonic()
    assert seams.kill_threads(victim, name)
    ended, works = "", False
    while not (ended and works):
        assert time.monotonic() - began < 8 * RECOVERS_WITHIN, f"{name} of the {role}: {ended or 'still there'}"
        works = has_result(executor)
        ended = ended or supervise(fabric, agent)
    assert ended == role, name
    return time.monotonic() - began
