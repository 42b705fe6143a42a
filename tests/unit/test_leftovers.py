"""How the processes, ports and locks of a fabric are found."""

import fcntl
import os
import signal
import socket
import subprocess
import sys

from funcx_core.fabric import leftovers
from tests.support.fabric import eventually


def test_a_process_is_found_by_its_home_even_when_its_parent_is_gone(tmp_path):
    grandchild = "import subprocess, sys; print(subprocess.Popen(['sleep', '30'], stdout=-3, stderr=-3).pid)"
    environment = {**os.environ, "FUNCX_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", grandchild], env=environment, capture_output=True, check=True)
    [found] = leftovers.processes(tmp_path)
    assert (found.pid, found.role, found.command) == (int(done.stdout), "other", "sleep 30")
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: leftovers.processes(tmp_path) == [], "the process is gone")


def test_the_process_that_asks_and_its_parents_are_left_out(tmp_path):
    ask = (
        "from pathlib import Path; from funcx_core.fabric import leftovers; import os;"
        "print(leftovers.processes(Path(os.environ['FUNCX_HOME'])))"
    )
    environment = {**os.environ, "FUNCX_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_listening_ports_are_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in leftovers.listening_ports({os.getpid()})
        assert leftovers.is_listening(port)
    assert not leftovers.is_listening(port)


def test_a_lock_file_counts_only_while_it_is_held(tmp_path):
    path = tmp_path / "local" / "agent.lock"
    path.parent.mkdir()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert leftovers.held_locks(tmp_path) == [path]
    assert leftovers.held_locks(tmp_path) == []
