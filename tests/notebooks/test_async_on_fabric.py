"""Asynchronous cells in a real kernel against a real fabric."""

from __future__ import annotations

import os
import signal
import time

import pytest

from funcx_jupyter.display.header import TASK_MIME
from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")

UNTIL = "import time, pathlib\nwhile not pathlib.Path({path!r}).exists():\n    time.sleep(0.02)\n"


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")
        running.run("%%funcx\n1")
        yield running


def until(path):
    return UNTIL.format(path=str(path))


def settle(notebook, condition, *, within=30.0):
    """Run cells until `condition` holds in the kernel: nbclient hears of changes while a cell runs."""
    give_up = time.monotonic() + within
    while (found := notebook.run(condition).result["text/plain"]) != "True":
        assert time.monotonic() < give_up, f"{condition} is {found}"


def block(cell):
    return next(output.data for output in cell.outputs if "funcx-output" in output.get("data", {}).get("text/html", ""))


def test_it_returns_at_once_and_is_updated_in_place(notebook, tmp_path):
    go_on = tmp_path / "go-on"
    cell = notebook.run(
        f"%%funcx -a -n sim -o y\nprint('begun', flush=True)\n{until(go_on)}print('over')\ny = 41\ny + 1"
    )
    assert cell.kinds == ["header", "display"]
    assert "· sim ·" in cell.header
    assert notebook.run("type(sim).__name__, sim is _, sim.done()").result["text/plain"] == "('CellTask', True, False)"
    assert notebook.run("repr(sim)").result["text/plain"].startswith("'Task(sim, ")
    settle(notebook, "import time; time.sleep(0.2); sim.running()")
    shown = notebook.run("sim")
    assert shown.kinds == ["header"]
    go_on.touch()
    waited = notebook.run("%funcx wait sim")
    assert waited.result["text/plain"] == "sim done"
    assert notebook.run("y, sim.result()").result["text/plain"] == "(41, 42)"
    for place in (cell, shown):
        assert "local · ✓ " in place.header
        assert "out: y 5 B" in place.header
    assert block(cell)["text/plain"] == "begun\nover\n42"
    assert cell.outputs[0].data[TASK_MIME]["state"] == "success"
    assert waited.kinds == ["result"]


def test_two_that_print_at_once_keep_their_outputs_apart(notebook):
    source = (
        "%%funcx -a -n {0}\nimport time\nfor n in range(40):\n    print('{0}', n, flush=True)\n    time.sleep(0.02)"
    )
    cells = {name: notebook.run(source.format(name)) for name in ("left", "right")}
    other = notebook.run("import time\nfor n in range(5):\n    print('here', n)\n    time.sleep(0.05)")
    notebook.run("%funcx wait left right")
    for name, cell in cells.items():
        assert block(cell)["text/plain"].splitlines() == [f"{name} {n}" for n in range(40)]
        assert "stdout" not in cell.kinds
    assert other.text() == "".join(f"here {n}\n" for n in range(5))


def test_a_flood_leaves_the_kernel_responsive(notebook):
    notebook.run("%%funcx -a -n flood\nfor n in range(100_000):\n    print('x' * 100)\nprint('the last line')")
    times = []
    while not times or notebook.run("flood.done()").result["text/plain"] == "False":
        start = time.monotonic()
        notebook.run("1 + 1")
        times.append(time.monotonic() - start)
    notebook.run("%funcx wait flood")
    times.sort()
    print(f"{len(times)} cells meanwhile: median {times[len(times) // 2]:.3f} s, longest {times[-1]:.3f} s")
    assert times[-1] < 1.0


def test_an_error_is_shown_and_raised_to_whoever_waits(notebook):
    cell = notebook.run("%%funcx -a -n bad\nx = 0\n1 / x")
    waited = notebook.run("%funcx wait bad")
    name, text = waited.error
    assert name == "ZeroDivisionError"
    assert f"Cell In[{cell.number}], line 3" in text
    assert "✗ failed after" in cell.header
    settle(notebook, "import time; time.sleep(0.05); True")  # What its thread shows may come after the answer.
    assert "ZeroDivisionError" in block(cell)["text/plain"]
    assert notebook.run("type(bad.exception()).__name__").result["text/plain"] == "'ZeroDivisionError'"
    assert notebook.run("try:\n    bad.result()\nexcept ZeroDivisionError as e:\n    got = 'caught'\ngot").result
    notebook.run("%%funcx -a -n good -o z\nz = 3")
    assert notebook.run("%funcx wait").error[0] == "ZeroDivisionError"
    assert notebook.run("z").result["text/plain"] == "3"


def test_it_can_be_awaited_and_gathered(notebook):
    for name in ("a1", "a2"):
        notebook.run(f"%%funcx -a -n {name}\n'{name}'")
    cell = notebook.run("import asyncio\nawait asyncio.gather(a1, a2), await a1")
    assert cell.result["text/plain"] == "(['a1', 'a2'], 'a1')"


def test_it_can_be_stopped_and_waiting_can_be_left(notebook, tmp_path):
    cell = notebook.run(f"%%funcx -a -n long\n{until(tmp_path / 'never')}")
    settle(notebook, "import time; time.sleep(0.2); long.running()")
    pid = int(notebook.run("import os\nos.getpid()").result["text/plain"])
    notebook.run(f"import threading\nthreading.Timer(1.0, os.kill, ({pid}, {signal.SIGINT:d})).start()")
    name, text = notebook.run("%funcx wait long").error
    assert name == "CellInterrupted"
    assert "Stopped waiting. Task " in text
    assert notebook.run("long.cancel()").result["text/plain"] == "True"
    assert notebook.run("%funcx wait long").error[0] == "TaskCancelled"
    assert "■ stopped after" in cell.header
    assert notebook.run("long.cancelled(), long.cancel()").result["text/plain"] == "(True, False)"


def test_once_more_while_it_runs_is_the_same_task(notebook, tmp_path):
    go_on = tmp_path / "go-on"
    source = f"%%funcx -a -n again\n{until(go_on)}print('once')\n5"
    cell = notebook.run(source, cell_id="cell-again")
    notebook.run("known = again")
    twice = notebook.run(source, cell_id="cell-again")
    assert twice.outputs[0].data["text/plain"].startswith("This cell is already running as ")
    assert notebook.run("again is known").result["text/plain"] == "True"
    notebook.run(f"import threading, pathlib\nthreading.Timer(1, pathlib.Path({str(go_on)!r}).touch).start()")
    blocking = notebook.run(source.replace(" -a", ""), cell_id="cell-again")
    assert blocking.outputs[0].data["text/plain"].startswith("This cell is already running as ")
    assert blocking.text() == "once\n"
    assert blocking.result["text/plain"] == "5"
    assert notebook.run("known.result(5)").result["text/plain"] == "5"
    notebook.run("%funcx wait again")
    assert block(cell)["text/plain"] == "once\n5"
    assert notebook.run("%funcx attach again").text() == "once\n"


def test_what_came_between_two_cells_is_there_after_wait(notebook):
    cell = notebook.run("%%funcx -a -n between\nimport time\ntime.sleep(0.3)\nprint('printed')")
    time.sleep(2)  # This front end passes over what arrives now.
    notebook.run("%funcx wait between")
    assert block(cell)["text/plain"] == "printed"
    assert cell.header.startswith("local · ✓ ")


def test_under_capture_nothing_is_changed_later(notebook):
    cell = notebook.run("%%capture taken\n%%funcx -a -n held\nprint('inside')")
    assert cell.kinds == []
    notebook.run("held.result()")
    assert notebook.run("held").text().startswith("Task(held, done on local, ")


def test_it_is_attached_by_its_name_after_a_restart(fabric, tmp_path):
    go_on = tmp_path / "go-on"
    env = {**fabric.environment(), "JPY_SESSION_NAME": str(tmp_path / "book.ipynb")}
    with kernel(env) as first:
        first.run("%load_ext funcx_jupyter")
        first.run(f"%%funcx -a -n big -o v\nprint('begun', flush=True)\n{until(go_on)}v = 7\nprint('over')")
        pid = int(first.run("import os\nos.getpid()").result["text/plain"])
        os.kill(pid, signal.SIGKILL)
    with kernel(env) as second:
        second.run("%load_ext funcx_jupyter")
        cell = second.run("%funcx attach")
        assert cell.kinds == ["header", "display", "result"]
        assert "1 task of this notebook: big " in cell.result["text/plain"]
        assert cell.result["text/plain"].endswith("). big attached as `big`.")
        go_on.touch()
        second.run("%funcx wait big")
        assert second.run("v").result["text/plain"] == "7"
        assert block(cell)["text/plain"] == "begun\nover"


def test_a_cell_after_others_starts_when_they_have_succeeded(notebook, tmp_path):
    go_on = tmp_path / "go-on"
    notebook.run(f"%%funcx -a -n early\n{until(go_on)}import time\nended = time.time()\nended")
    notebook.run("%%funcx -a -n late --after early\nimport time\ntime.time()")
    assert notebook.run("late.done()").result["text/plain"] == "False"
    go_on.touch()
    cell = notebook.run("%%funcx --after early,late\n'both'")
    assert cell.result["text/plain"] == "'both'"
    assert notebook.run("early.result() < late.result()").result["text/plain"] == "True"


def test_a_cell_after_one_that_fails_names_it(notebook):
    notebook.run("%%funcx -a -n broken\n1 / 0")
    name, text = notebook.run("%%funcx --after broken\n1").error
    assert name == "DependencyError"
    assert "Not run: broken (" in text
    assert "which it waited for, failed." in text
    notebook.run("%%funcx -a -n next_one --after broken\n1")
    assert notebook.run("%funcx wait next_one").error[0] == "DependencyError"
    assert notebook.run("%%funcx --after nowhere\n1").error[0] == "TaskNotFound"
