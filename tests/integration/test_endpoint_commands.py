"""The command ``funcx-endpoint`` with a real service and real agents."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid

import pytest

from funcx_endpoint import processes
from tests.support.fabric import Fabric, eventually

YAML = """\
heartbeat_period: 0.3
heartbeat_threshold: 1.0
{more}
engine:
  max_workers_per_node: 2
  heartbeat_period: 0.3
  heartbeat_threshold: 1.0
  provider:
    type: LocalProvider
    init_blocks: 1
    min_blocks: 1
    max_blocks: 1
    worker_init: "{worker_init}"
"""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("fabric"), endpoints=()) as running:
        yield running


@pytest.fixture
def configured(fabric, tmp_path):
    """Make endpoints with a config.yaml; each is stopped at the end."""
    made = []

    def configure(name, *, more="", worker_init=""):
        path = tmp_path / "config.yaml"
        path.write_text(YAML.format(more=more, worker_init=worker_init))
        fabric.endpoint_cli("configure", name, "--endpoint-config", str(path))
        made.append(name)
        return name

    yield configure
    for name in made:
        if fabric.endpoint_is_known(name):
            fabric.endpoint_cli("stop", "--grace", "0", name)


@pytest.fixture
def environment(fabric, monkeypatch):
    """Set variables for the commands of one test."""
    given = {}
    without = fabric.environment
    monkeypatch.setattr(fabric, "environment", lambda **more: {**without(**more), **given})
    return given


def report(fabric, name):
    return json.loads(fabric.endpoint_cli("status", "--json", name).stdout)


def wait_for_file(path):
    import time
    from pathlib import Path

    while not Path(path).exists():
        time.sleep(0.05)
    return "went on"


def test_an_endpoint_of_a_yaml_file_with_an_id_that_was_given_lives_and_is_deleted(fabric, configured, environment):
    environment["FUNCX_ENDPOINT__ENGINE__MAX_WORKERS_PER_NODE"] = "1"
    name, wanted = configured("yaml", more=f"public: true\nallowed_functions: [sha256:{'0' * 64}]"), str(uuid.uuid4())
    said = fabric.endpoint_cli("start", name, "--endpoint-uuid", wanted).stdout
    assert said == f"Endpoint '{name}' is online: 1 worker.\n"
    assert fabric.id_of(name) == wanted
    [row] = [row for row in fabric.client().get_endpoints() if row["name"] == name]
    assert (row["public"], row["restricted"]) == (True, True)
    found = eventually(lambda: (one := report(fabric, name))["agent"]["workers"] == 1 and one, "its worker is counted")
    assert (found["id"], found["state"], found["agent"]["blocks"], found["agent"]["managers"]) == (
        wanted,
        "running",
        1,
        1,
    )
    shown = fabric.endpoint_cli("status", name).stdout
    assert "  workers   1\n" in shown
    assert "last error" not in shown
    running = fabric.endpoint_cli("delete", "--yes", name, check=False)
    assert (running.returncode, "funcx-endpoint stop yaml" in running.stderr) == (1, True)
    fabric.endpoint_cli("stop", name)
    assert "deleted here and at the service" in fabric.endpoint_cli("delete", "--yes", "--remote", name).stdout
    assert wanted not in [row["uuid"] for row in fabric.client().get_endpoints()]
    assert not (fabric.home / name).exists()


def test_stop_by_the_service_sends_the_agent_home_and_keeps_it_there(fabric, configured):
    name = configured("remote")
    fabric.endpoint_cli("start", name)
    said = fabric.endpoint_cli("stop", "--remote", name).stdout
    assert "The service sends the agent of endpoint 'remote' home" in said
    eventually(lambda: report(fabric, name)["state"] == "stopped", "the agent has ended", timeout=30)
    again = fabric.endpoint_cli("start", name, check=False)
    assert again.returncode == 1
    assert "lock" in again.stderr
    assert "Traceback" not in again.stderr
    assert "lock" in report(fabric, name)["last_error"]["message"]
    fabric.client().unlock_endpoint(fabric.id_of(name))
    fabric.endpoint_cli("start", name)
    assert report(fabric, name)["last_error"] is None


def test_a_block_that_cannot_start_is_told_on_the_screen_with_what_it_printed(fabric, configured):
    name = configured("broken", worker_init="echo no such module >&2; exit 3")
    done = fabric.endpoint_cli("start", name, check=False)
    assert done.returncode == 1
    assert "no such module" in done.stderr
    shown = fabric.endpoint_cli("status", name).stdout
    assert "unhealthy" in shown
    assert "    no such module" in shown
    assert "last error" in shown


def test_a_start_that_is_interrupted_leaves_nothing(fabric, configured):
    name = configured("hasty", worker_init="sleep 30")
    folder = fabric.home / name
    command = [sys.executable, "-m", "funcx_endpoint.cli", "start", name]
    start = subprocess.Popen(command, env=fabric.environment(), stderr=subprocess.PIPE, text=True)
    eventually(lambda: list((folder / "blocks").glob("*.sh")), "its block is there", timeout=60)
    start.send_signal(signal.SIGINT)
    assert "Interrupted." in start.communicate(timeout=60)[1]
    assert start.returncode == 130
    assert not processes.of_endpoint(folder)


def test_drain_waits_as_long_as_tasks_run(fabric, configured, tmp_path):
    name = configured("drain", more="grace: 0.1")
    fabric.endpoint_cli("start", name)
    with fabric.executor(name) as executor:
        future = executor.submit(wait_for_file, str(tmp_path / "go"))
        eventually(lambda: report(fabric, name)["agent"]["running_tasks"] == 1, "the task runs")
        stopping = subprocess.Popen(
            [sys.executable, "-m", "funcx_endpoint.cli", "stop", "--drain", name],
            env=fabric.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert stopping.stderr is not None
            assert "waiting for 1 running task;" in stopping.stderr.readline()
            (tmp_path / "go").touch()
            assert stopping.wait(30) == 0
        finally:
            stopping.kill()
            stopping.communicate()
        assert future.result(20) == "went on"


@pytest.mark.parametrize(("more", "flags"), [("", ["--log-to-console"]), ("detach_endpoint: false", [])])
def test_an_agent_in_the_terminal_logs_to_it_and_ends_with_it(fabric, configured, more, flags):
    name = configured(f"terminal{len(flags)}", more=more)
    command = [sys.executable, "-m", "funcx_endpoint.cli", "start", name, *flags]
    process = subprocess.Popen(
        command, env=fabric.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        eventually(lambda: report(fabric, name)["state"] == "running", "it is online", timeout=30)
        subprocess.run(["kill", "-INT", "--", f"-{process.pid}"], check=True)  # what a terminal does for Ctrl-C
        said = process.communicate(timeout=40)[1].decode()
    finally:
        process.kill()
    assert "registered with the service" in said
    assert "Traceback" not in said
    assert report(fabric, name)["state"] == "stopped"


def test_whoami_names_the_user_of_the_service(fabric):
    said = fabric.endpoint_cli("whoami").stdout
    found = json.loads(fabric.endpoint_cli("whoami", "--json").stdout)
    assert found["service_address"] == fabric.address
    assert said == f"{found['name']} ({found['user_id']}) at {fabric.address}\n"


def test_init_knows_the_service(fabric):
    said = fabric.endpoint_cli("init").stdout
    assert f"They register with {fabric.address}." in said
    fabric.endpoint_cli("delete", "--yes")


def test_a_start_with_a_wrong_token_says_so(fabric, configured, environment):
    name = configured("stranger")
    environment["FUNCX_TOKEN"] = "not-a-token"
    done = fabric.endpoint_cli("start", name, check=False)
    assert (done.returncode, "does not accept the token" in done.stderr) == (1, True), done.stderr
    assert "not-a-token" not in done.stderr


def test_a_dead_service_is_waited_for_and_told(fabric, configured, environment):
    name = configured("patient")
    environment["FUNCX_SERVICE_ADDRESS"] = "http://127.0.0.1:9"
    environment["FUNCX_TOKEN"] = "x"
    start = time.monotonic()
    done = fabric.endpoint_cli("start", "--timeout", "3", name, check=False)
    assert (done.returncode, "was not online in time" in done.stderr) == (1, True), done.stderr
    assert time.monotonic() - start < 40
    assert report(fabric, name)["state"] == "disconnected"
