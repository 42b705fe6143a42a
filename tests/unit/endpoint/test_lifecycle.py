from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import msgspec
import pytest
from click.testing import CliRunner

from funcx_core.errors import ConfigError, Conflict, EndpointStateError
from funcx_endpoint import lifecycle, processes
from funcx_endpoint.cli import main
from funcx_endpoint.folder import AgentLock, endpoint_folder
from funcx_endpoint.processes import Identity, boot_id, identity


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def folder():
    folder = endpoint_folder("theta")
    lifecycle.configure(folder)
    return folder


@pytest.fixture
def stranger():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def cli(*arguments):
    return CliRunner().invoke(main, list(arguments))


def write_lock(folder, **changes):
    found = msgspec.structs.replace(identity(), **changes)
    folder.lock.write_bytes(msgspec.json.encode(found))
    return found


@pytest.mark.parametrize("name", ["../x", "a b", "", "-rf", "x" * 65, "a/b", "service", "a\n"])
def test_impossible_names_are_refused(name):
    with pytest.raises(ConfigError):
        endpoint_folder(name)


def test_configure_makes_a_private_folder(folder, home):
    assert (home / "theta").stat().st_mode & 0o777 == 0o700
    assert folder.config.stat().st_mode & 0o777 == 0o600


def test_configure_twice_is_refused_in_one_line(folder):
    done = cli("configure", "theta")
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "configured already" in done.output


def test_list_shows_id_first_and_name_last(folder):
    folder.ensure_endpoint_id()
    lines = cli("list").output.splitlines()
    assert lines[0].startswith("Endpoint ID")
    assert lines[1].split() == [folder.endpoint_id(), "Stopped", "theta"]
    (row,) = msgspec.json.decode(cli("list", "--json").stdout)
    assert list(row) == ["id", "state", "detail", "name"]


def test_states_before_a_start(folder):
    assert lifecycle.summary(folder).state == "Initialized"
    assert cli("status", "theta").output.startswith("theta: Initialized")


@pytest.mark.parametrize("command", ["start", "stop", "restart", "status"])
def test_commands_on_unknown_endpoints_say_what_to_type(command):
    done = cli(command, "nobody")
    assert done.exit_code == 1
    assert done.output == "Error: There is no endpoint 'nobody'. Run: funcx-endpoint configure nobody\n"


def test_a_misspelt_endpoint_is_named(folder):
    said = (
        "Error: There is no endpoint 'thetta'. Did you mean 'theta'? To make it, run: funcx-endpoint configure thetta\n"
    )
    assert cli("stop", "thetta").output == said


def test_wrong_usage_is_exit_code_2():
    assert cli("start", "--wrong").exit_code == 2
    assert cli("frobnicate").exit_code == 2


def test_help_has_a_short_form_and_version_is_a_command():
    assert cli("-h").exit_code == 0
    assert cli("version").output.strip()


def test_the_lock_is_exclusive_and_names_its_holder(folder):
    lock = AgentLock(folder.lock)
    lock.acquire()
    with pytest.raises(Conflict):
        AgentLock(folder.lock).acquire()
    assert AgentLock(folder.lock).holder() == identity()
    lock.release()
    assert AgentLock(folder.lock).holder() is None
    assert AgentLock(folder.lock).last_holder() is None


def test_the_lock_of_another_boot_is_stale(folder):
    """F18"""
    write_lock(folder, boot_id="another", pid=1)
    assert AgentLock(folder.lock).holder() is None
    assert lifecycle.summary(folder).detail.startswith("stale")
    assert lifecycle.stop(folder) is False  # and nobody signalled pid 1


def test_a_dead_or_reused_pid_is_stale_and_never_signalled(folder, stranger):
    """F18"""
    write_lock(folder, pid=stranger.pid, start_time=1)
    assert AgentLock(folder.lock).holder() is None
    assert lifecycle.stop(folder) is False
    assert stranger.poll() is None
    assert AgentLock(folder.lock).last_holder() is None


def test_a_living_agent_keeps_others_out_where_locks_do_not_work(folder, stranger):
    """F17"""
    found = identity(stranger.pid)
    write_lock(folder, pid=stranger.pid, start_time=found.start_time)
    with pytest.raises(Conflict, match=f"as process {stranger.pid}; is this folder a copy"):
        AgentLock(folder.lock).acquire()
    stranger.kill()
    stranger.wait()
    AgentLock(folder.lock).acquire()
    assert AgentLock(folder.lock).holder() == identity()


def test_garbage_in_the_lock_file_is_stale(folder):
    folder.lock.write_bytes(b"\xff\x00garbage")
    assert AgentLock(folder.lock).holder() is None
    assert lifecycle.stop(folder) is False


def test_an_agent_on_another_machine_is_not_stopped_from_here(folder):
    lock = AgentLock(folder.lock)
    lock.acquire()
    write_lock(folder, hostname="elsewhere")
    with pytest.raises(EndpointStateError, match="runs on elsewhere"):
        lifecycle.stop(folder)
    lock.release()


def test_an_identity_is_not_only_a_pid(stranger):
    found = identity(stranger.pid)
    assert found.is_alive
    assert not msgspec.structs.replace(found, start_time=found.start_time + 1).is_alive
    assert not msgspec.structs.replace(found, start_time=1).signal(signal.SIGKILL)
    assert stranger.poll() is None
    assert found.signal(signal.SIGKILL)
    stranger.wait()
    assert found.wait(1)
    assert not found.signal(signal.SIGKILL)


def test_processes_of_an_endpoint_are_found_and_ended(folder):
    environment = {**os.environ, processes.ENDPOINT_DIR_VARIABLE: str(folder.path)}
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", deaf], env=environment, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    assert [one.pid for one in processes.of_endpoint(folder.path)] == [child.pid]
    assert lifecycle.stop(folder) is False
    assert child.wait(1) == -signal.SIGKILL
    assert processes.of_endpoint(folder.path) == []
    child.stdout.close()


def test_a_process_tree_is_found_from_its_root():
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); import time; time.sleep(60)'])"
    root = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    root.stdout.readline()
    (child,) = processes.tree(root.pid)
    child.signal(signal.SIGKILL)
    root.wait(5)
    root.stdout.close()


def test_this_boot():
    assert Identity(1, 1, boot_id(), socket.gethostname()).is_here


def test_a_wrong_config_is_one_clear_line(folder):
    folder.config.write_text("from funcx_endpoint.config import Config\nconfig = Config(heartbeat_perod=1)\n")
    done = cli("start", "theta")
    assert done.exit_code == 1
    assert "config.py, line 2: Config has no setting 'heartbeat_perod'. Did you mean 'heartbeat_period'?" in done.output
    assert "Traceback" not in done.output
    assert lifecycle.summary(folder).state == "Initialized"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "config.yaml",
            "engin: {}",
            "config.yaml, line 1: Config has no setting 'engin'. Did you mean 'engine'?",
        ),
        ("config.py", "x = 'YOUR_PARTITION'", "config.py, line 1: YOUR_PARTITION is to be filled in."),
        ("config.py", "import sys\nsys.exit(3)", "config.py, line 2: SystemExit: 3"),
        ("../config.py", "x = 1", "config.py must set `global_options = {...}`."),
    ],
)
def test_a_start_tells_what_is_wrong_with_any_source_of_settings(folder, name, text, said):
    if name == "config.yaml":
        folder.config.unlink()
    (folder.path / name).write_text(text)
    done = cli("start", "theta")
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output
    assert said in cli("status", "theta").output


def test_a_start_names_a_wrong_variable(folder, monkeypatch):
    monkeypatch.setenv("FUNCX_ENDPOINT__HEARTBEAT_PEROID", "3")
    assert (
        "$FUNCX_ENDPOINT__HEARTBEAT_PEROID: Config has no setting 'heartbeat_peroid'." in cli("start", "theta").output
    )


def test_no_service_is_one_clear_line(folder, monkeypatch):
    for name in ("FUNCX_SERVICE_ADDRESS", "FUNCX_SDK_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    folder.config.write_text(
        "from funcx_endpoint.config import Config, HighThroughputExecutor as H\n"
        "class P:\n    label='local'; init_blocks=min_blocks=0; max_blocks=1; parallelism=1; status_polling_interval=1\n"
        "    def submit(self, *a): ...\n    def status(self, j): ...\n    def cancel(self, j): ...\n"
        "config = Config(executors=[H(provider=P())])\n"
    )
    done = cli("start", "theta")
    assert done.exit_code == 1
    assert "No funcX service is configured." in done.output
    assert processes.of_endpoint(folder.path) == []


def test_results_that_an_earlier_release_kept_are_found(folder):
    (folder.path / "results").mkdir()
    (folder.path / "results" / "segment").write_text("kept")
    folder.create()
    assert [path.name for path in folder.path.glob("*results")] == ["unacked_results"]
    assert (folder.results / "segment").read_text() == "kept"
    folder.create()
    assert (folder.results / "segment").exists()
