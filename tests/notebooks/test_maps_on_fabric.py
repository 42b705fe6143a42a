"""`%%funcx --map` in a real kernel against a real fabric."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.notebooks.kernels import warm_kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with warm_kernel(fabric.environment()) as running:
        yield running


def shown(cell):
    """Return the text of the block below the header: bar and output."""
    return cell.blocks[0]


def test_values_come_in_order_and_outputs_are_lists(notebook):
    notebook.run("base = 10\ndef helper(x):\n    return x + base")
    cell = notebook.run("%%funcx --map seed=range(20) -o y,z\ny = helper(seed)\nz = str(seed)\ny * 2")
    assert cell.result["text/plain"].replace("\n", "").startswith("[20, 22, 24")
    assert notebook.run("y == [10 + n for n in range(20)], z[3], len(_)").result["text/plain"] == "(True, '3', 20)"
    assert "local · ✓ " in cell.header
    assert "20 elements of seed · in: base 5 B, helper() · out: y 0.1 kB" in cell.header
    assert "100%|" in shown(cell)
    assert "20/20" in shown(cell)


def test_what_elements_print_is_grouped_under_their_names(notebook):
    cell = notebook.run(
        "%%funcx --map n=[1,2,3]\nimport sys\nprint('a', n)\nprint('b', n)\nif n == 2: print('!', file=sys.stderr)"
    )
    assert "[n=1] a 1\n[n=1] b 1\n[n=2] a 2\n[n=2] b 2\n[n=2] !\n[n=3] a 3\n[n=3] b 3" in shown(cell)
    assert "result" not in cell.kinds


def test_figures_of_elements_are_kept(notebook):
    cell = notebook.run("%%funcx --map n=range(2)\nimport matplotlib.pyplot as plt\nplt.plot([n])\nplt.show()")
    block = next(o for o in cell.outputs if "funcx-output" in o.get("data", {}).get("text/html", ""))
    assert block.data["text/html"].count("data:image/png;base64") == 2


def test_failures_are_told_together_and_can_be_run_again(notebook):
    notebook.run("import os, tempfile\nflag = tempfile.mktemp()")
    cell = notebook.run(
        "%%funcx --map k=[1,2,3,4] -o got -n runs\nimport os\nprint('try', k)\n"
        "if k % 2 == 0 and not os.path.exists(flag):\n    {}[k] if k == 4 else int('x')\ngot = k"
    )
    name, text = cell.error
    assert name == "CellMapFailed"
    assert "2 of 4 elements failed: 1 ValueError, 1 KeyError. The first is k=2: ValueError: invalid literal" in text
    assert "----> 5     {}[k] if k == 4 else int('x')" in text
    assert "It had printed:\ntry 2" in text
    assert "`%funcx logs " in text
    assert "[k=2] try 2\n[k=2] ValueError: invalid" in shown(cell)
    assert "[k=2] try 2" in notebook.run("%funcx logs runs").result["text/plain"]
    assert "[k=4] KeyError: 4" in shown(cell)
    assert notebook.run("'got' in globals()").result["text/plain"] == "False"
    assert notebook.run("import sys\n[(e, type(x).__name__) for e, x in sys.last_value.failed]").result[
        "text/plain"
    ] == ("[(2, 'ValueError'), (4, 'KeyError')]")
    assert (
        notebook.run("sys.last_value.outputs, runs.results").result["text/plain"]
        == "({'got': [1, None, 3, None]}, None)"
    )
    notebook.run("open(flag, 'w').close()")
    again = notebook.run("%funcx rerun runs --failed")
    assert again.kinds == ["header", "display"], again.outputs
    assert notebook.run("got").result["text/plain"] == "[1, 2, 3, 4]"


def test_classes_of_the_notebook_are_elements_and_values(notebook):
    notebook.run(
        "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\n    def twice(self):\n        return Point(2 * self.x)"
    )
    cell = notebook.run("%%funcx --map p=[Point(1),Point(2)]\nassert isinstance(p, Point)\np.twice()")
    assert cell.result["text/plain"] == "[Point(x=2), Point(x=4)]"
    assert notebook.run("isinstance(_[0], Point)").result["text/plain"] == "True"
    rows = notebook.run("import pandas as pd\ndf = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})")
    assert not rows.outputs
    cell = notebook.run('%%funcx --map "row=df.itertuples()"\nrow.a + row.b')
    assert cell.result["text/plain"] == "[4, 6]"


def test_a_time_limit_is_that_of_an_element(notebook):
    cell = notebook.run("%%funcx --map s=[0,30] -t 1 --chunk 2\nimport time\ntime.sleep(s)\ns")
    assert (
        "1 of 2 elements failed: 1 TimeoutError. The first is s=30: TimeoutError: Stopped after 1 s (-t 1)."
        in cell.error[1]
    )


def test_what_would_be_sent_and_what_cannot_be_said(notebook):
    notebook.run("base = 10")
    cell = notebook.run("%%funcx --explain --map n=range(1000)\nbase + n")
    assert "once for each of 1,000 elements of `n`" in cell.result["text/plain"]
    assert "elements 5.0 kB" in cell.result["text/plain"]
    cell = notebook.run("%%funcx --map \"n=__import__('itertools').count()\"\nn")
    assert "has more than 1,000,000 elements, and may have no end" in cell.error[1]
    assert (
        notebook.run("%%funcx --map n=nosuch\nn").error[1]
        == "CaptureError: `--map n=nosuch`: NameError: name 'nosuch' is not defined"
    )
    assert notebook.run("%%funcx --map n=[]\nn").kinds == ["header", "display"]


def test_bars_of_elements_that_run_are_rows_under_that_of_the_map(notebook):
    started = notebook.run(
        "%%funcx -a -n slow --map n=range(3) --chunk 1\nfrom tqdm import tqdm\nimport time\n"
        "for _ in tqdm(range(600), desc='steps'):\n    time.sleep(0.1)"
    )
    assert started.kinds == ["header", "display"]
    seen = notebook.run(
        "import time\nfor _ in range(300):\n    if slow.grid.bars().bars: break\n    time.sleep(0.1)\n"
        "sorted(bar.description for bar in slow.grid.bars().bars)[0]"
    )
    assert seen.result["text/plain"] in {"'[n=0] steps'", "'[n=1] steps'"}
    assert notebook.run("slow.cancel()").result["text/plain"] == "True"
    assert notebook.run("%funcx wait slow").error[0] == "CellMapFailed"
    notebook.run("1")
    assert "steps" not in shown(started)
    assert "cancelled" in shown(started)


def test_an_interrupt_keeps_what_is_complete(notebook, tmp_path):
    pid = int(notebook.run("import os; os.getpid()").result["text/plain"])

    def press():
        eventually(lambda: len(list(tmp_path.iterdir())) == 2, "both workers are busy with long elements", timeout=60)
        time.sleep(0.5)  # What they did before is here.
        os.kill(pid, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    cell = notebook.run(
        "%%funcx --map n=[0,0,60,60,60] --chunk 1\nimport os, time\n"
        f"if n: open(f'{tmp_path}/{{os.getpid()}}', 'w').close()\ntime.sleep(n)\nn"
    )
    name, text = cell.error
    assert name == "CellMapInterrupted"
    assert "Interrupted. 2 of 5 elements are done, and kept." in text
    assert cell.number is not None
    assert notebook.run("import sys; sys.last_value.results").result["text/plain"] == "[0, 0, None, None, None]"


def test_without_waiting_and_after_a_restart(notebook):
    started = notebook.run("%%funcx -a -n pilot --map n=range(4) -o q\nprint('hello', n)\nq = n * n")
    assert started.kinds == ["header", "display"]
    assert notebook.run("%funcx wait pilot").result["text/plain"] == "pilot done"
    assert notebook.run("q").result["text/plain"] == "[0, 1, 4, 9]"
    assert (
        notebook.run("pilot.result() is None, pilot")
        .result["text/plain"]
        .startswith("(True, Map(pilot, n: 4 of 4 done")
    )
    assert "[n=3] hello 3" in notebook.run("%funcx logs pilot").result["text/plain"]
    notebook.run("del q\n%reset -f\n%unload_ext funcx_jupyter\n%load_ext funcx_jupyter")
    cell = notebook.run("%funcx attach pilot")
    assert "[n=0] hello 0" in shown(cell)
    assert notebook.run("q").result["text/plain"] == "[0, 1, 4, 9]"


def test_all_that_elements_assign_and_large_variables(notebook):
    notebook.run("import numpy as np\nlarge = np.arange(100_000)")
    cell = notebook.run(
        "%%funcx --map n=range(3) -o *\nif n != 1: odd = n\nfile = open('/dev/null')\ntotal = int(large.sum()) + n\nlarge[0] = 1"
    )
    assert "error" not in cell.kinds, cell.outputs
    assert notebook.run("odd, file, total").result["text/plain"] == (
        "([0, None, 2], [None, None, None], [4999950000, 4999950001, 4999950002])"
    )


def test_large_variables_are_staged_once_for_all_elements_and_all_maps(notebook):
    notebook.run("import numpy as np\nwide = np.random.default_rng(7).random(2_000_000)")
    cell = notebook.run("%%funcx --map n=range(4) --chunk 1 -t 60\nfloat(wide[n])")
    assert "in: wide 16 MB · " in cell.header, cell.outputs
    assert notebook.run("_ == list(wide[:4])").result["text/plain"] == "True"
    assert "in: wide 16 MB (cached) · " in notebook.run("%%funcx --map n=range(2)\nwide[n] = n").header


def test_a_map_waits_for_what_it_uses_and_for_what_it_is_told(notebook):
    notebook.run("%%funcx -a -n base --ref offset\nimport time\ntime.sleep(1)\noffset = 100")
    cell = notebook.run("%%funcx --map n=range(3) --after base\nn + offset")
    assert cell.result["text/plain"] == "[100, 101, 102]"
    assert "in: offset (on local)" in cell.header
    notebook.run("%%funcx -a -n elements --map n=range(2)\nimport time\ntime.sleep(n)\nn")
    assert notebook.run("%%funcx --after elements\n1").result["text/plain"] == "1"
    assert notebook.run("elements.done()").result["text/plain"] == "True"


def test_a_map_is_not_run_if_what_it_waits_for_fails(notebook):
    notebook.run("import os, tempfile\nmarks = tempfile.mkdtemp()")
    notebook.run("%%funcx -a -n broken\n1 / 0")
    cell = notebook.run("%%funcx --map n=range(3) --after broken -n never\nopen(f'{marks}/{n}', 'w').close()")
    name, text = cell.error
    assert name == "DependencyError"
    assert text.startswith("DependencyError: Not run: broken (")
    assert text.endswith("`1 / 0`), which it waited for, failed.")
    assert "[n=0]" not in shown(cell)
    assert notebook.run("os.listdir(marks)").result["text/plain"] == "[]"
    assert notebook.run("%funcx rerun never --failed -a").kinds[0] == "header"
    assert notebook.run("%funcx wait never").result["text/plain"] == "never done"


def test_what_elements_make_stays_where_it_is_and_is_used_there(notebook):
    cell = notebook.run("%%funcx -n made --map n=range(4) --chunk 2 --ref square -o n2\nsquare = [n] * n\nn2 = n * n")
    assert "out: n2 " in cell.header
    assert ", square " in cell.header
    assert "(on local)" in cell.header
    assert notebook.run("square").result["text/plain"].startswith("MapRef(square: 4 of list, ")
    assert notebook.run("len(square), len(square[3]), n2").result["text/plain"] == "(4, 3, [0, 1, 4, 9])"
    assert notebook.run("%%funcx\n[len(one) for one in square]").result["text/plain"] == "[0, 1, 2, 3]"
    cell = notebook.run("%%funcx --map one=square[2:]\nprint('here')\nsum(one)")
    assert cell.result["text/plain"] == "[4, 9]"
    assert "[one=square[2]] here" in shown(cell)
    assert notebook.run("square.head(3), square[3].get()").result["text/plain"] == "([[], [1], [2, 2]], [3, 3, 3])"
    assert notebook.run("square.get() == [[n] * n for n in range(4)]").result["text/plain"] == "True"
    notebook.run("fetched = %funcx fetch made.square")
    assert notebook.run("fetched == square.get()").result["text/plain"] == "True"
    assert (
        "has left no `nosuch`; its variables are: `n2`, `square`." in notebook.run("%funcx fetch made.nosuch").error[1]
    )
    notebook.run("square[3].delete()")
    name, text = notebook.run("square.get()").error
    assert (name, "`square` of an element of a map is not on local any more" in text) == ("ValueNotKept", True)
    notebook.run("%reset -f\n%unload_ext funcx_jupyter\n%load_ext funcx_jupyter\n%funcx attach made")
    assert notebook.run("square.head(2)").result["text/plain"] == "[[], [1]]"


def test_an_element_that_kills_its_worker_fails_alone(notebook):
    cell = notebook.run(
        "%%funcx --map n=range(3) --chunk 1\nimport os, signal\nif n == 1: os.kill(os.getpid(), signal.SIGKILL)\nn"
    )
    assert "1 of 3 elements failed: 1 WorkerLost. The first is n=1: WorkerLost: " in cell.error[1]
    assert notebook.run("import sys; sys.last_value.results").result["text/plain"] == "[0, None, 2]"


def test_a_detached_map_goes_on(notebook, tmp_path):
    pid = int(notebook.run("import os; os.getpid()").result["text/plain"])
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"

    def press():
        eventually(begun.exists, "an element runs", timeout=60)
        os.kill(pid, signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    cell = notebook.run(
        "%%funcx -n far --map n=range(2) --chunk 1 --on-interrupt detach -o r\nimport os, time\n"
        f"open({str(begun)!r}, 'w').close()\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.02)\nr = n"
    )
    go_on.touch()
    name, text = cell.error
    assert (name, "Detached. 0 of 2 elements are done, and kept. The map goes on" in text) == (
        "CellMapInterrupted",
        True,
    )
    assert "100%|" in shown(notebook.run("%funcx attach far"))
    assert notebook.run("r").result["text/plain"] == "[0, 1]"
    assert notebook.run("%funcx status").result["text/plain"].splitlines()[1].split()[1] == "done"


def test_under_capture_all_is_said_at_the_end(notebook):
    cell = notebook.run("%%capture kept\n%%funcx --map n=range(2)\nprint('hi', n)\nn")
    assert cell.outputs == []
    assert "[n=0] hi 0\n[n=1] hi 1\n" in notebook.run("kept.stdout + str(kept.outputs)").result["text/plain"].replace(
        "\\n", "\n"
    )


def test_the_monitor_shows_the_tasks_of_a_map(notebook):
    notebook.run("%%funcx -n some --map n=range(4) --chunk 2\nn")
    cell = notebook.run(
        "from funcx_jupyter import TaskMonitor\nm = TaskMonitor()\nids = [str(i) for i in some.grid.task_ids()]\nm.model.add([])\nlen(ids), set(ids) <= set(map(str, get_ipython().find_line_magic('funcx').__self__.session.tasks_at_service()))"
    )
    assert cell.result["text/plain"] == "(2, True)"
