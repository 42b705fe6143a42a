"""`%%funcx` in a real kernel against a real fabric: service, forwarder, endpoint, manager and workers as processes."""

from __future__ import annotations

import ast
import itertools
import os
import re
import signal
import statistics
import threading
import time

import pytest

from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        greeting = running.run("%load_ext funcx_jupyter").text()
        assert "1 endpoint online (local) · default: local" in greeting
        # Workers import IPython with their first cell.
        running.run("%%funcx\n1")
        running.run("%%funcx\n1")
        yield running


def test_loading_again_says_nothing_of_ours(notebook):
    assert "funcX" not in notebook.run("%load_ext funcx_jupyter").text()


def test_captured_variables_and_the_result(notebook):
    notebook.run("import math as m\nbase = 20\ndef helper(a):\n    return a + base")
    cell = notebook.run("%%funcx local -o y\ny = helper(1)\nm.floor(y + 0.5)")
    assert cell.result["text/plain"] == "21"
    assert cell.header.startswith("local · ✓ ")
    assert "in: base 5 B, helper() · out: y 5 B · task" in cell.header
    assert notebook.run("y, _").result["text/plain"] == "(21, 21)"
    assert notebook.run("%%funcx\n_[0] + 1").result["text/plain"] == "22"


def test_prints_figures_and_tables_come_in_order(notebook):
    cell = notebook.run(
        "%%funcx\nimport matplotlib.pyplot as plt, pandas as pd\nprint('before')\nplt.plot([1, 2])\nplt.show()\n"
        "print('between')\nplt.plot([2, 1]);\nprint('after')\npd.DataFrame({'a': [1]})"
    )
    assert cell.kinds == ["header", "stdout", "image", "stdout", "image", "result"]
    assert cell.text() == "before\nbetween\nafter\n"
    assert "<table" in cell.result["text/html"]


def test_a_cell_of_shell_commands(notebook):
    notebook.run("name = 'a b'; n = 3")
    cell = notebook.run(
        '%%funcx --shell -i name,n\nfor i in $(seq $n); do\n  echo "$i ${name} {n}"; done\necho oops >&2'
    )
    assert cell.text() == "1 a b {n}\n2 a b {n}\n3 a b {n}\n"
    assert cell.text("stderr") == "oops\n"
    assert "in: name 18 B, n 5 B" in cell.header


def test_a_shell_function_of_the_notebook_goes_along(notebook):
    notebook.run("from funcx import ShellFunction\nsay = ShellFunction('echo {x:q}; exit 3')")
    cell = notebook.run("%%funcx -o result\nresult = say(x='a  b')\nresult.stdout")
    assert (cell.result["text/plain"], cell.text()) == ("'a  b\\n'", "a  b\n")
    failed = notebook.run("%%funcx\nsay(x=1).check_returncode()")
    assert failed.error == ("CommandFailed", "CommandFailed: `echo 1; exit 3` ended with exit code 3.")
    assert notebook.run("result.returncode").result["text/plain"] == "3"


def test_a_shell_cell_that_fails_says_so_in_one_line(notebook):
    cell = notebook.run("%%funcx --shell\necho begun\nls /no/such/folder")
    name, text = cell.error
    assert cell.text().startswith("begun\n")
    assert name == "CommandFailed"
    assert text.startswith("CommandFailed: `echo begun …` ended with exit code 2: ls: cannot access")
    assert notebook.run("%%funcx --shell -o x\ntrue").error[0] == "MagicArgumentError"


def test_output_arrives_while_the_cell_runs(notebook):
    cell = notebook.run(
        "%%capture --no-stdout --no-display\n%%funcx -o sent\nimport time\nsent = []\nfor n in range(4):\n"
        "    sent.append(time.time()); print(n, flush=True); time.sleep(0.3)"
    )
    assert cell.text() == "0\n1\n2\n3\n"
    watch = notebook.run(
        "import sys, time\nclass Watch:\n    at = []\n    def write(self, text): self.at.append(time.time())\n"
        "    def flush(self): pass\nreal, sys.stdout = sys.stdout, Watch()\n"
        "get_ipython().run_cell_magic('funcx', '-q -o sent', 'import time\\nsent = []\\nfor n in range(4):\\n"
        "    sent.append(time.time()); print(n, flush=True); time.sleep(0.3)')\n"
        "sys.stdout = real\nsorted(a - b for a, b in zip(Watch.at, sent))"
    )
    delays = ast.literal_eval(watch.result["text/plain"])
    assert statistics.median(delays) < 0.25, delays  # one of them may meet a busy moment of the machine


def test_the_traceback_is_that_of_the_visible_cells(notebook):
    first = notebook.run("def boom(n):\n    m = n\n    return 1 / m")
    cell = notebook.run("%%time\n%%funcx local\n\nx = 0\nboom(x)")
    name, text = cell.error
    assert name == "ZeroDivisionError"
    assert f"Cell In[{cell.number}], line 5" in text
    assert "----> 5 boom(x)" in text
    assert f"Cell In[{first.number}], line 3, in boom" in text
    assert "----> 3     return 1 / m" in text
    assert "run_cell" not in text
    plain = notebook.run("%%time\n1 / 0")  # IPython 8 tells no time of a cell that raised
    assert ("Wall time" in cell.text()) == ("Wall time" in plain.text())


def test_exceptions_can_be_caught_by_their_class(notebook):
    notebook.run("class Mine(KeyError):\n    pass")
    cell = notebook.run(
        "caught = []\nfor source in ('int(\"x\")', 'raise Mine(1)'):\n    try:\n"
        "        get_ipython().run_cell_magic('funcx', '-q', source)\n    except (ValueError, Mine) as error:\n"
        "        caught.append(type(error))\ncaught == [ValueError, Mine]"
    )
    assert cell.result["text/plain"] == "True"


def test_one_interrupt_stops_the_cell_on_its_worker(notebook, fabric, tmp_path):
    ledger, begun = tmp_path / "ledger", tmp_path / "begun"
    pid = int(notebook.run("import os\nos.getpid()").result["text/plain"])

    def press():
        eventually(begun.exists, "the cell has begun", timeout=60)
        os.kill(pid, signal.SIGINT)

    threading.Thread(target=press).start()
    cell = notebook.run(
        f"%%funcx\nimport time\nprint('begun', flush=True)\ntry:\n    open({str(begun)!r}, 'w').close()\n    time.sleep(30)\n"
        f"finally:\n    open({str(ledger)!r}, 'w').write('stopped')"
    )
    assert time.time() - begun.stat().st_mtime < 5  # when the next signal would come
    assert cell.error == (
        "CellInterrupted",
        "CellInterrupted: Interrupted. The task was stopped; its output so far is above.",
    )
    assert cell.text() == "begun\n"
    assert "■ stopped after" in cell.header
    assert ledger.read_text() == "stopped"
    assert notebook.run("%%funcx\n'goes on'").result["text/plain"] == "'goes on'"


def test_the_walltime_ends_a_cell(notebook):
    name, text = notebook.run("%%funcx -t 0.5\nimport time\ntime.sleep(20)").error
    assert (name, text) == ("TaskTimeout", "TaskTimeout: Stopped after 0.5 s (-t 0.5). Partial output kept.")


def test_a_dead_worker_is_an_error_and_the_next_cell_works(notebook):
    assert notebook.run("%%funcx\nimport os\nos._exit(3)").error[0] == "WorkerLost"
    assert notebook.run("%%funcx\n'alive'").result["text/plain"] == "'alive'"


def test_capture_takes_everything(notebook):
    cell = notebook.run("%%capture taken\n%%funcx\nprint('inside')\n5")
    assert cell.kinds == []
    shown = notebook.run("taken.stdout, len(taken.outputs)").result["text/plain"]
    assert shown == "('inside\\n', 2)"


def test_braces_and_dollars_stay(notebook):
    notebook.run("name = 'wrong'")
    assert notebook.run("%%funcx\na = 1\n'{name} $name {{a}}'").result["text/plain"] == "'{name} $name {{a}}'"


def test_a_progress_bar_is_redrawn_in_place(notebook):
    cell = notebook.run("%%funcx --progress text\nfrom tqdm.auto import tqdm\nfor n in tqdm(range(3)):\n    pass")
    assert "\r100%" in cell.text("stderr")


def test_a_flood_is_cut_and_said(notebook):
    start = time.monotonic()
    cell = notebook.run("%%funcx\nfor n in range(100_000):\n    print('x' * 100)")
    assert time.monotonic() - start < 20
    assert len(cell.text()) < 1_100_000
    assert [kind for kind, _ in itertools.groupby(cell.kinds)] == ["header", "stdout", "display", "stdout"]
    line = cell.outputs[cell.kinds.index("display")].data["text/plain"]
    hidden = re.fullmatch(r"… (\d\d \d{3}) lines hidden — `%funcx logs (\w{4})`", line)
    assert hidden, line
    assert int(hidden[1].replace(" ", "")) + cell.text().count("\n") == 100_000
    kept = notebook.run(f"logged = %funcx logs {hidden[2]}\nlen(str(logged)), str(logged).count('\\n')")
    size, lines = eval(kept.result["text/plain"])
    assert 2_500_000 < size < 3_500_000
    assert lines > 25_000


def test_completion(notebook):
    assert "local" in notebook.complete("%%funcx lo")
    assert "--retries" in notebook.complete("%%funcx local --re")
    notebook.run("completed_name = 1")
    notebook.run("%%funcx -n finished_task\n1")
    assert notebook.complete("%%funcx local -o completed_") == ["completed_name"]
    assert notebook.complete("%funcx rerun finished_") == ["finished_task"]
    assert notebook.complete("%funcx rerun finished_task -e lo") == ["local"]
    assert "attach" in notebook.complete("%funcx att")


def test_the_body_of_a_with_runs_there(notebook):
    notebook.run("import os\nbase = 20\nhere = os.getpid()")
    cell = notebook.run(
        "%time 1\nfrom funcx_jupyter import remotely\nwith remotely('local', outputs=['pid']) as there:\n"
        "    pid = os.getpid()\n    base * 2\nthere.value, pid != here"
    )
    assert cell.result["text/plain"] == "(40, True)"
    failed = notebook.run("with remotely('local'):\n    x = 1\n    1 / (x - 1)")
    assert failed.error[0] == "ZeroDivisionError"
    assert "----> 3     1 / (x - 1)" in failed.error[1]


def test_an_unknown_endpoint(notebook):
    assert notebook.run("%%funcx loca\n1").error == (
        "UnknownEndpoint",
        "UnknownEndpoint: No endpoint named 'loca'. Did you mean 'local'?",
    )


def test_verbs(notebook):
    notebook.run("%%funcx\nprint('logged')\n41 + 1")
    task = (
        notebook.run("import re\nlist(get_ipython()._funcx_magics.session.tasks)[-1]").result["text/plain"].strip("'")
    )
    assert notebook.run(f"%funcx result {task}").result["text/plain"] == "42"
    assert "logged" in notebook.run(f"%funcx logs {task}").result["text/plain"]
    assert "● online" in notebook.run("%funcx endpoints").result["text/plain"]
    assert "done" in notebook.run("%funcx").result["text/plain"]


def test_a_round_trip_is_short(notebook):
    cell = notebook.run(
        "import time\ntimes = []\nfor n in range(20):\n    t = time.perf_counter()\n"
        "    get_ipython().run_cell_magic('funcx', '-q', '1;')\n    times.append(time.perf_counter() - t)\nsorted(times)[10]"
    )
    assert float(cell.result["text/plain"]) < 0.25


def test_unloading(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%unload_ext funcx_jupyter")
        assert "not found" in running.run("%%funcx\n1").text("stderr")
        assert "default: local" in running.run("%reload_ext funcx_jupyter").text()


def test_without_a_service_the_greeting_says_what_to_do(tmp_path):
    with kernel({**os.environ, "FUNCX_HOME": str(tmp_path / "empty")}) as running:
        assert (
            "No funcX service is configured. Start one here with `%funcx start local`, or connect with"
            in running.run("%load_ext funcx_jupyter").text()
        )
        name, text = running.run("%%funcx\n1").error
        assert name == "NotConnectedError"
        assert text.count("\n") == 0
