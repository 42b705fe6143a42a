"""A kernel dies while its cell runs; the next one finds the task and shows it again, from its first line."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from nbclient.exceptions import DeadKernelError

from funcx_jupyter.display.header import TASK_MIME
from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")

SLOW = """%%funcx -o x,y
import time, pathlib
print('one', flush=True)
pathlib.Path({started!r}).write_text('')
while not pathlib.Path({release!r}).exists():
    time.sleep(0.02)
display({{'text/plain': 'shown'}}, raw=True)
print('two')
x, y = base + 1, 0
x * 2"""


@pytest.fixture
def files(tmp_path):
    return tmp_path / "started", tmp_path / "release"


@pytest.fixture
def killed(fabric, tmp_path, files):
    """The environment of a notebook whose kernel was killed while its cell ran."""
    started, _ = files
    env = {**fabric.environment(), "JPY_SESSION_NAME": str(tmp_path / "book.ipynb")}
    running = kernel(env)
    try:
        book = running.__enter__()
        book.run("%load_ext funcx_jupyter\nbase = 20")
        pid = int(book.run("import os\nos.getpid()").result["text/plain"])

        def kill():
            eventually(started.exists, "the cell runs", timeout=60)
            os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(DeadKernelError):
            book.run(slow(files), cell_id="cell-1")
        killer.join()
    finally:
        running.__exit__(None, None, None)
    return env


def slow(files):
    started, release = files
    return SLOW.format(started=str(started), release=str(release))


def test_attach_replays_from_the_first_line_and_follows_to_the_end(killed, files):
    with kernel(killed) as book:
        book.run("%load_ext funcx_jupyter")
        threading.Timer(1.0, files[1].touch).start()
        cell = book.run("%funcx attach")
        assert cell.kinds[:4] == ["header", "stdout", "display", "stdout"]
        assert cell.text() == "one\ntwo\n"
        assert "local · ✓ " in cell.header
        assert cell.outputs[0].data[TASK_MIME]["state"] == "success"
        assert "1 task of this notebook:" in cell.result["text/plain"]
        assert cell.result["text/plain"].endswith(" done. x restored. y restored.")
        assert book.run("x").result["text/plain"] == "21"
        assert "wait to be attached" in book.run("%funcx attach").result["text/plain"]
        # named, any task is shown again, with its value
        task = cell.outputs[0].data[TASK_MIME]["task_id"]
        again = book.run(f"%funcx attach {task.split('-')[3]}")
        assert again.text() == "one\ntwo\n"
        assert again.result["text/plain"] == "42"
        assert book.run(f"%funcx attach {task[:-4]}beef").error[0] == "TaskNotFound"
    with kernel(
        killed
    ) as book:  # Its end has been shown: the output is in the notebook, the variable is not in the kernel.
        book.run("%load_ext funcx_jupyter\ny = 'mine'")
        cell = book.run("%funcx attach")
        assert cell.kinds == ["result"]
        assert cell.result["text/plain"].endswith(" done. x restored. `y` stays as it is here.")
        assert book.run("x, y").result["text/plain"] == "(21, 'mine')"


def test_an_unchanged_cell_that_still_runs_is_not_sent_twice(killed, files):
    with kernel(killed) as book:
        book.run("%load_ext funcx_jupyter\nbase = 20")
        threading.Timer(1.0, files[1].touch).start()
        cell = book.run(slow(files), cell_id="cell-1")
        notice = cell.outputs[0].data["text/plain"]
        assert notice.startswith("This cell is already running as ")
        assert notice.endswith("). Attached to it. Use --no-cache to submit again.")
        assert cell.text() == "one\ntwo\n"
        assert cell.result["text/plain"] == "42"
        assert book.run("x").result["text/plain"] == "21"
        # it has ended: once more is a new task
        assert book.run(slow(files), cell_id="cell-1").kinds[0] == "header"


def test_another_input_or_no_cache_makes_a_task_of_its_own(killed, files):
    with kernel(killed) as book:
        book.run("%load_ext funcx_jupyter\nbase = 21")
        threading.Timer(1.0, files[1].touch).start()
        cell = book.run(slow(files), cell_id="cell-1")
        assert cell.kinds[0] == "header"
        assert cell.result["text/plain"] == "44"
        again = book.run(slow(files).replace("-o", "--no-cache -o"), cell_id="cell-1")
        assert again.kinds[0] == "header"
        assert again.outputs[0].data[TASK_MIME]["task_id"] != cell.outputs[0].data[TASK_MIME]["task_id"]
