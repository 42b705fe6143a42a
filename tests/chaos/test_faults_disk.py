"""Files of a process cannot grow, as on a full disk: it says so, does what needs no room, and goes on when there is some."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.support.bounds import check_bound
from tests.support.chaos import Run
from tests.support.fabric import Fabric, eventually
from tests.support.partition import RESULTS, agent_behind_proxies

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-disk")]


@pytest.fixture(scope="module")
def cramped(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("disk")) as fabric:
        yield fabric


@contextmanager
def full_disk(pid):
    """No file of the process may grow: not its database, nor its journal, nor its log."""
    subprocess.run(["prlimit", f"--pid={pid}", "--fsize=1:unlimited"], check=True)
    try:
        yield
    finally:
        subprocess.run(["prlimit", f"--pid={pid}", "--fsize=unlimited:unlimited"], check=True)


def submit_plainly(fabric, function_id):
    """Submit a task as a client does that does not try again; return status and error of the answer."""
    request = urllib.request.Request(
        f"{fabric.address}/submit",
        json.dumps({"tasks": [[function_id, fabric.endpoint_id, "01\nx"]]}).encode(),
        {"Authorization": f"Bearer {fabric.token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["name"]


def test_a_service_on_a_full_disk_refuses_and_reads_on(cramped, tmp_path):
    """F31"""
    client, log = cramped.client(), cramped.home / "service" / "service.log"
    function_id = client.register_function(len)
    run = Run(cramped, tmp_path, "t")
    with cramped.executor() as executor:
        run.submit(executor, 2, 1.0)
        eventually(lambda: len(run.ledger.running()) == 2, "two tasks run")
        with full_disk(cramped.service.pid):
            size = log.stat().st_size
            assert submit_plainly(cramped, function_id) == (507, "storage_full")
            run.submit(executor, 4, 0.0)  # This client tries again by itself.
            eventually(lambda: len(run.ledger.ends()) == 2, "what ran has ended")
            time.sleep(cramped.threshold)
            assert [row["name"] for row in client.get_endpoints()] == ["local"]
            assert client.get_task(next(iter(run.futures.values())).task_id)["pending"] is True
            assert cramped.service.poll() is None
            assert log.stat().st_size == size, "its log has lost lines"
        freed = time.monotonic()
        verdict = run.judge(within=30)
    assert (verdict.errors, len(verdict.values)) == ({}, 6)
    check_bound(time.monotonic() - freed, 5, "what waited for the disk")
    assert submit_plainly(cramped, function_id) == (200, None)


def test_an_endpoint_on_a_full_disk_takes_nothing_and_keeps_its_results(new_fabric, tmp_path):
    """F31"""
    fabric: Fabric = new_fabric(endpoints=())
    first, later = Run(fabric, tmp_path, "first"), Run(fabric, tmp_path, "later")

    def state():
        (row,) = fabric.client().get_endpoints()
        return row["status"]["state"]

    with agent_behind_proxies(fabric, tmp_path, threshold=30) as proxies, fabric.executor() as executor:
        (agent,) = fabric.pids("agent")
        first.submit(executor, 2, 0.5)
        eventually(lambda: len(first.ledger.running()) == 2, "two tasks run")
        proxies[RESULTS].blackhole()  # What nobody acknowledges has to be written.
        log = fabric.home / "local" / "logs" / "agent.log"
        with full_disk(agent):
            size = log.stat().st_size
            eventually(lambda: state() == "disk-full", "it says that its disk is full", timeout=20)
            assert json.loads(fabric.endpoint_cli("status", "local", "--json").stdout)["agent"]["state"] == "disk-full"
            later.submit(executor, 4, 0.0)
            time.sleep(1.5)
            assert later.ledger.starts() == {}, "it takes no leases"
            assert fabric.pids("agent") == [agent]
            assert log.stat().st_size == size, "its log has lost lines"
        freed = time.monotonic()
        eventually(lambda: state() == "ok", "it is well", timeout=20)
        eventually(lambda: len(later.ledger.ends()) == 4, "it takes leases again", timeout=20)
        check_bound(time.monotonic() - freed, 5, "the first leases with room on the disk")
        proxies[RESULTS].pass_on()
        for run, number in ((first, 2), (later, 4)):
            verdict = run.judge(within=30)
            assert (verdict.errors, len(verdict.values)) == ({}, number)
