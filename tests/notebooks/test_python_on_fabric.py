"""What Python and IPython offer, in a cell that runs on its endpoint: it works, or says in one line that it does not."""

from __future__ import annotations

import time

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")

PRESS = """
import os, signal, threading, time
def press(begun, *moments):
    def go():
        while not os.path.exists(begun):
            time.sleep(0.02)
        start = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, start + moment - time.monotonic()))
            os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=go, daemon=True).start()
"""


def since(begun):
    """Return how many seconds ago that was made."""
    return time.time() - begun.stat().st_mtime


@pytest.fixture
def begun(tmp_path):
    """What the cell that is to be interrupted makes when it has begun."""
    return tmp_path / "begun"


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")
        running.run(PRESS)
        yield running


def test_magics_that_would_want_a_kernel(notebook):
    cell = notebook.run("%%funcx\n%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1]);")
    assert cell.kinds == ["header", "image"]
    cell = notebook.run("%%funcx\n%matplotlib widget\nimport matplotlib.pyplot as plt\nplt.plot([1]);")
    assert cell.kinds == ["header", "stderr", "image"]
    assert cell.text("stderr") == (
        "`%matplotlib widget` has no meaning where this cell runs: its figures are shown as pictures.\n"
    )
    assert notebook.run("%%funcx\n%cd /\n%env OWN=1\n%time x = 3\nx").result["text/plain"] == "3"
    assert notebook.run("%%funcx\nx = !echo hi\nx").result["text/plain"] == "['hi']"


def test_a_widget_becomes_its_text_and_says_so(notebook):
    cell = notebook.run("%%funcx\nimport ipywidgets\nw = ipywidgets.IntSlider(3)\ndisplay(w)\nw")
    assert cell.kinds == ["header", "display", "result"]
    for shown in (cell.outputs[1].data, cell.result):
        assert shown["text/plain"].startswith("IntSlider(value=3)\n(IntSlider is a widget of the place where the cell")
        assert "<pre>IntSlider(value=3)</pre>" in shown["text/html"]
        assert not any("widget" in mime for mime in shown)


def test_nothing_of_a_cell_stays_for_the_next(notebook):
    notebook.run(
        "%%funcx\nimport os, sys\nos.chdir('/'); os.environ['LEAK'] = '1'; sys.setrecursionlimit(5000)\nsys.path.append('/leak')"
    )
    cell = notebook.run(
        "%%funcx\nimport os, sys\nos.getcwd() == '/', 'LEAK' in os.environ, sys.getrecursionlimit(), '/leak' in sys.path"
    )
    assert cell.result["text/plain"] == "(False, False, 1000, False)"


@pytest.mark.parametrize("body", ["# only a comment", "x = 1\n\n\n# the end", '"""text"""'])
def test_cells_that_hardly_do_anything(notebook, body):
    assert "✓" in notebook.run(f"%%funcx\n{body}").header


def test_annotations_that_are_put_off_by_an_earlier_cell(notebook):
    notebook.run("from __future__ import annotations")
    cell = notebook.run("%%funcx\ndef f(x: Undefined) -> int: return 1\nf(2), f.__annotations__")
    assert cell.result["text/plain"] == "(1, {'x': 'Undefined', 'return': 'int'})"


def test_what_was_shown_before_an_interrupt_stays(notebook, begun):
    notebook.run("%%funcx\nimport matplotlib.pyplot")
    notebook.run(f"press({str(begun)!r}, 0.5)")
    cell = notebook.run(
        "%%funcx\nimport time, matplotlib.pyplot as plt\nprint('so far', flush=True)\nplt.plot([1, 2])\n"
        f"open({str(begun)!r}, 'w').close()\ntime.sleep(60)"
    )
    assert cell.error == (
        "CellInterrupted",
        "CellInterrupted: Interrupted. The task was stopped; its output so far is above.",
    )
    assert (cell.text(), "image" in cell.kinds, "■ stopped after" in cell.header) == ("so far\n", True, True)


def test_threads_and_children_do_not_keep_a_cell_from_being_stopped(notebook, begun):
    notebook.run(f"press({str(begun)!r}, 0.5)")
    cell = notebook.run(
        "%%funcx\nimport subprocess, threading, time\nchild = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\n"
        "waits = threading.Thread(target=time.sleep, args=(60,), daemon=True)\nwaits.start()\n"
        f"open({str(begun)!r}, 'w').close()\nwaits.join()"
    )
    assert cell.error[0] == "CellInterrupted"
    assert since(begun) < 8
    gone = notebook.run(f"%%funcx\nimport os\nos.path.exists('/proc/{cell.text().strip()}')")
    assert gone.result["text/plain"] == "False"


def test_what_ignores_every_signal_is_killed_and_a_second_interrupt_does_not_wait_for_that(notebook, begun):
    stubborn = (
        "%%funcx -n stubborn\nimport signal, time\nfor one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, signal.SIG_IGN)\n"
        f"print('begun', flush=True)\nopen({str(begun)!r}, 'w').close()\nwhile True: time.sleep(1)"
    )
    notebook.run(f"press({str(begun)!r}, 0.5, 1.5)")
    cell = notebook.run(stubborn)
    assert cell.text() == "begun\n"
    assert cell.error[1].startswith("CellInterrupted: Detached from ")
    assert cell.error[1].endswith("stops it.")
    assert "local · detached after" in cell.header
    assert since(begun) < 8
    name, _ = notebook.run("%funcx attach stubborn").error
    assert name == "TaskCancelled"
    assert 9 < since(begun) < 60


def test_the_cell_may_say_that_an_interrupt_leaves_it_running(notebook, begun, tmp_path):
    go_on = tmp_path / "go-on"
    notebook.run(f"press({str(begun)!r}, 0.5)")
    cell = notebook.run(
        f"%%funcx --on-interrupt detach -n let_go\nimport os, time\nopen({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(go_on)!r}): time.sleep(0.02)\nprint('after')\n7"
    )
    assert "which goes on. `%funcx attach" in cell.error[1]
    go_on.touch()
    everything = notebook.run("%funcx attach")
    assert everything.text() == "after\n"
    assert "let_go done" in everything.result["text/plain"]
    assert "let_go" not in notebook.run("%funcx attach").result["text/plain"]
    again = notebook.run("%funcx attach let_go")
    assert (again.text(), again.result["text/plain"]) == ("after\n", "7")
