"""Networks that break: between the agent and its managers, and between the agent and the service."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.chaosproxy import ChaosProxy
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually
from tests.support.partition import agent_behind_proxies

TASKS = 300

MANAGER_BEHIND_PROXY = """\
import json, os, sys
from funcx_endpoint.manager.command import main

settings, block_id, folder = sys.argv[1:]
content = json.loads(open(settings).read())
with open(os.path.join(folder, "target"), "w") as file:
    file.write(content["addresses"][0])
content["addresses"] = ["tcp://127.0.0.1:" + open(os.path.join(folder, "port")).read()]
changed = os.path.join(folder, "settings.json")
with open(os.open(changed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
    json.dump(content, file)
sys.argv = ["funcx_endpoint.manager"]
main(["--settings", changed, "--block-id", block_id])
"""


def note(number, path):
    """Leave a trace outside the system of each start."""
    import os
    import time

    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{number}\n".encode())
    os.close(handle)
    time.sleep(0.02)
    return number


def run_through(fabric: Fabric, ledger: Path, trouble) -> None:
    """Run tasks of 20 ms while there is trouble: each one has its result, and ran once."""
    with fabric.executor() as executor:
        futures = [executor.submit(note, index, str(ledger)) for index in range(TASKS)]
        eventually(lambda: sum(future.done() for future in futures) > 10, "the first results are there")
        trouble(futures)
        assert [future.result(timeout=30) for future in futures] == list(range(TASKS))
    runs = Counter(ledger.read_text().split())
    assert set(runs.values()) == {1}, "a task ran twice"


def config() -> str:
    return ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=3.0)


def test_resets_between_manager_and_agent_lose_and_repeat_nothing(new_fabric, tmp_path):
    """F26"""
    script = tmp_path / "manager_behind_proxy.py"
    script.write_text(MANAGER_BEHIND_PROXY)

    def target():
        host, _, port = (tmp_path / "target").read_text().removeprefix("tcp://").rpartition(":")
        return host, int(port)

    with ChaosProxy(target) as proxy:
        (tmp_path / "port").write_text(str(proxy.port))
        fabric: Fabric = new_fabric(endpoints=())
        launch = f'launch_cmd="{sys.executable} {script} {{settings}} {{block_id}} {tmp_path}",'
        text = config().replace("HighThroughputExecutor(\n", f"HighThroughputExecutor(\n            {launch}\n", 1)
        fabric.configure_endpoint("local", text)
        fabric.endpoint_names = ("local",)
        fabric.start_endpoint("local")
        workers = fabric.pids("worker")

        def trouble(futures):
            for _ in range(6):
                assert proxy.reset() == 1
                before = proxy.accepted
                time.sleep(0.25)
                eventually(lambda before=before: proxy.accepted > before, "the manager connects again")

        run_through(fabric, tmp_path / "ledger", trouble)
        assert fabric.pids("worker") == workers
        # An idle manager is told that the agent lives, and has no reason to register again.
        log = next((fabric.home / "local" / "logs").glob("manager-*.log"))
        enrolled = log.read_text().count("enrolling")
        time.sleep(4)
        assert log.read_text().count("enrolling") == enrolled


def test_a_bad_network_between_agent_and_service_loses_nothing(new_fabric, tmp_path):
    """F26: resets, and silence in both directions and in each one."""
    fabric: Fabric = new_fabric(endpoints=())
    with agent_behind_proxies(fabric, tmp_path) as proxies:

        def resets(futures):
            for _ in range(4):
                for proxy in proxies:
                    proxy.reset()
                time.sleep(0.4)

        def silence(seconds, direction):
            def trouble(futures):
                for proxy in proxies:
                    proxy.blackhole(direction)
                time.sleep(seconds)
                for proxy in proxies:
                    proxy.pass_on()

            return trouble

        workers = fabric.pids("worker")
        run_through(fabric, tmp_path / "resets", resets)
        run_through(fabric, tmp_path / "silence", silence(5, "both"))
        run_through(fabric, tmp_path / "deaf", silence(2, "back"))
        run_through(fabric, tmp_path / "dumb", silence(2, "forth"))
        assert fabric.pids("worker") == workers, "workers work on"


def test_an_endpoint_is_online_at_once_and_says_when_it_will_be_heard_of_again(new_fabric):
    fabric: Fabric = new_fabric(endpoints=(), heartbeat_period=30, heartbeat_threshold=90)
    fabric.configure_endpoint("local", ENDPOINT_CONFIG.format(workers=1, period=30, threshold=90))
    fabric.endpoint_names = ("local",)
    fabric.start_endpoint("local")
    assert fabric.is_online("local"), "not a heartbeat later"
    details = fabric.client().get_endpoint_status(fabric.endpoint_id)["details"]
    assert (details["heartbeat_period"], details["state"]) == (30.0, "ok")
    fabric.stop_endpoint("local")
    assert not fabric.is_online("local"), "nor offline a threshold later"
