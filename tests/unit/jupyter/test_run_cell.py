"""The worker's half, in a process of its own, with and without IPython."""

from __future__ import annotations

import subprocess
import sys

import pytest

RUN = """
import sys
if {without}:
    sys.modules["IPython"] = None
from funcx_core.cells.spec import CellSpec, outcome_decoder
from funcx_core.protocol.codec import encode
from funcx_endpoint.worker.cell import run_cell

def run(source, **fields):
    return outcome_decoder.decode(run_cell(encode(CellSpec(source=source, filename="<cell>", **fields))))

main = sys.modules["__main__"]
"""


def check(code, *, without_ipython=False):
    script = RUN.format(without=without_ipython) + code
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("without_ipython", [False, True])
def test_a_cell_runs_with_or_without_ipython(without_ipython):
    check(
        "outcome = run('x = [1, 2]\\nx', outputs=['x'])\n"
        "assert outcome.shown.data == {'text/plain': '[1, 2]'}, outcome\n"
        "assert outcome.sizes and outcome.value and outcome.hostname\n"
        "assert run('1;', silent=True).shown is None\n"
        "assert run('y = 1').shown is None\n"
        "assert run('import asyncio\\nawait asyncio.sleep(0)\\n5').shown.data['text/plain'] == '5'\n"
        "assert run('__name__').shown.data['text/plain'] == \"'__main__'\"\n"
        "assert sys.modules['__main__'] is main\n",
        without_ipython=without_ipython,
    )


def test_cells_do_not_see_each_other():
    check("run('x = 1')\ntry:\n    run('x')\nexcept NameError:\n    pass\nelse:\n    raise SystemExit(1)")


def test_a_style_of_figures_does_not_outlive_its_cell():
    check(
        "run('import matplotlib.pyplot as plt\\nplt.style.use(\"dark_background\")\\nplt.plot([1])')\n"
        "import matplotlib\n"
        "assert matplotlib.rcParams['figure.facecolor'] == 'white'\n"
        "assert matplotlib.pyplot.get_fignums() == []\n"
    )


def test_figures_are_shown_and_not_sent():
    check(
        "outcome = run('import matplotlib.pyplot as plt\\nplt.plot([1])')\n"
        "assert outcome.value is None and 'figure' in outcome.left_behind, outcome\n"
    )


def test_a_cell_without_figures_does_not_import_matplotlib():
    check("run('1')\nassert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules")
