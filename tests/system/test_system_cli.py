"""The command ``funcx``, as a newcomer and as a script uses it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tests.support.fabric import Fabric, eventually

pytestmark = pytest.mark.xdist_group("cli")
SUBMITS = """
from funcx import FuncXExecutor

def slow():
    import time
    open({marker!r}, "w").close()
    time.sleep(3)

executor = FuncXExecutor("local")
executor.submit(slow)
executor.shutdown(wait=False)
"""
QUICKSTART = Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


@pytest.fixture
def stopped(tmp_path):
    """A home in which nothing runs, for `funcx up`; taken down afterwards."""
    fabric = Fabric(tmp_path / "home")
    fabric.home.mkdir(mode=0o700)
    yield fabric
    fabric.cli("down", check=False)
    left = fabric.processes()
    fabric.kill_all()
    assert left == []


def status(fabric: Fabric) -> dict:
    return json.loads(fabric.cli("status", "--json").stdout)


def test_up_status_token_and_down_may_be_repeated(stopped):
    assert status(stopped) == {"service_address": None, "state": "stopped", "endpoints": []}
    assert "Nothing was running" in stopped.cli("down").stdout
    first = stopped.cli("up", "--port", "0").stdout
    assert "Started the web service at http://127.0.0.1:" in first
    found = status(stopped)
    assert found["state"] == "running"
    [endpoint] = found["endpoints"]
    assert (endpoint["name"], endpoint["state"]) == ("local", "online")
    pids = {found.pid for found in stopped.processes()}
    second = stopped.cli("up").stdout
    assert "runs already" in second
    assert {found.pid for found in stopped.processes()} == pids
    assert status(stopped) == found
    assert stopped.cli("token").stdout.strip() == stopped.token
    assert endpoint["id"] in stopped.cli("status").stdout
    listed = json.loads(stopped.endpoint_cli("list", "--json").stdout)
    assert [row["name"] for row in listed] == ["local"]
    doctor = stopped.cli("doctor", check=False)
    assert doctor.returncode == 0, doctor.stdout
    done = stopped.script("from funcx import FuncXExecutor\nprint(FuncXExecutor('local').submit(pow, 2, 5).result())")
    assert (done.stdout.strip(), done.stderr) == ("32", "")
    stopped.close_ports = stopped._remember_ports()
    assert "Stopped the web service" in stopped.cli("down").stdout
    stopped.assert_clean()
    assert status(stopped)["state"] == "stopped"
    assert "funcx up" in stopped.cli("doctor", check=False).stdout


def test_three_at_the_same_time_make_one_fabric(stopped):
    command = [sys.executable, "-m", "funcx_core.fabric.cli", "up", "--port", "0"]
    running = [
        subprocess.Popen(command, env=stopped.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=90) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert len(stopped.pids("service")) == 1
    assert len(stopped.pids("agent")) == 1
    assert len(status(stopped)["endpoints"]) == 1


def test_an_interrupted_up_leaves_nothing(stopped):
    command = [sys.executable, "-u", "-m", "funcx_core.fabric.cli", "up"]
    process = subprocess.Popen(command, env=stopped.environment(), stdout=subprocess.PIPE, text=True)
    assert "Started the web service" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert stopped.processes() == []


def test_down_says_what_it_waits_for(stopped, tmp_path):
    marker = tmp_path / "marker"
    stopped.cli("up", "--port", "0")
    stopped.script(SUBMITS.format(marker=str(marker)))
    eventually(marker.exists, "the task runs")
    assert "waiting for 1 running task" in stopped.cli("down").stdout


def test_up_repairs_what_was_killed(stopped):
    stopped.cli("up", "--port", "0")
    before = status(stopped)
    stopped.signal("service", signal.SIGKILL)
    eventually(lambda: not stopped.pids("service"), "the service is dead")
    assert status(stopped)["state"] == "stopped"
    stopped.cli("up")
    eventually(lambda: status(stopped)["endpoints"][0]["state"] == "online", "the endpoint is back", timeout=30)
    assert status(stopped)["endpoints"][0]["id"] == before["endpoints"][0]["id"]


def test_down_also_stops_what_does_not_answer(stopped):
    stopped.cli("up", "--port", "0")
    stopped.signal("agent", signal.SIGSTOP)
    stopped.signal("service", signal.SIGSTOP)
    stopped.cli("down", timeout=110)
    stopped.assert_clean()


def test_unknown_commands_and_options_are_one_clear_message(stopped):
    for arguments in (["upp"], ["up", "--port", "x"], ["status", "--yaml"]):
        done = stopped.cli(*arguments, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def demo(fabric: Fabric, notebook: Path, **options) -> subprocess.CompletedProcess:
    return fabric.run("funcx_core.fabric.cli", "demo", str(notebook), check=False, timeout=110, **options)


def notebook(path: Path, *sources: str) -> Path:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(book, path)
    return path


RUN = "from funcx import FuncXExecutor\nwith FuncXExecutor('local') as e:\n    total = e.submit(sum, [1, 2, 3]).result()\ntotal"


@pytest.mark.filterwarnings("default")
def test_the_demo_shows_values_and_tasks_and_leaves_nothing(stopped, tmp_path):
    done = demo(stopped, notebook(tmp_path / "n.ipynb", RUN))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Out[1]: 6" in done.stdout
    assert "queue" in done.stdout
    assert "success" in done.stdout
    assert "No process, port or lock is left behind." in done.stdout
    assert "make lab" in done.stdout
    assert not list(Path("/tmp").glob(f"funcx-demo-*/{stopped.home.name}"))


@pytest.mark.filterwarnings("default")
def test_a_demo_that_fails_says_so_and_still_leaves_nothing(stopped, tmp_path):
    done = demo(stopped, notebook(tmp_path / "n.ipynb", "1 / 0", RUN))
    assert done.returncode == 1
    assert "Problem: cell 1 raised ZeroDivisionError" in done.stdout
    assert "No process, port or lock is left behind." in done.stdout


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(stopped, tmp_path, number):
    marker = tmp_path / "marker"
    path = notebook(tmp_path / "n.ipynb", f"open({str(marker)!r}, 'w').close()\nimport time; time.sleep(60)")
    command = [sys.executable, "-m", "funcx_core.fabric.cli", "demo", str(path)]
    process = subprocess.Popen(command, env=stopped.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    eventually(marker.exists, "the cell runs", timeout=60)
    start = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, said
    assert time.monotonic() - start < 30
    assert "No process, port or lock is left behind." in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not QUICKSTART.exists(), reason="notebooks/quickstart.ipynb is not there")
def test_the_quickstart_does_what_it_should(stopped):
    done = demo(stopped, QUICKSTART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert shutil.which("funcx") is None or "All" in done.stdout
