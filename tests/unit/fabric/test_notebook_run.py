"""How the demo judges the cells of a notebook, in a real kernel."""

import io

import nbformat
import pytest

from funcx_core.fabric.notebook import run_notebook
from funcx_core.fabric.terminal import Terminal

pytestmark = [
    pytest.mark.filterwarnings("default"),  # what Jupyter's packages warn of is not ours to judge
    pytest.mark.xdist_group("kernel"),
]


async def run(tmp_path, *cells):
    """Run (source, *tags) cells; return the outcomes and what was shown."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)}) for source, *tags in cells]
    path = tmp_path / "book.ipynb"
    nbformat.write(book, path)
    shown = io.StringIO()
    terminal = Terminal(shown, colour=False)
    outcomes = await run_notebook(path, terminal=terminal, log_file=tmp_path / "kernel.log")
    return outcomes, shown.getvalue()


async def test_expected_exceptions_and_interrupts_count_as_good(tmp_path):
    outcomes, shown = await run(
        tmp_path,
        ("print('hello'); 6 * 7",),
        ("1 / 0", "raises-exception"),
        ("import time; time.sleep(30)", "raises-exception", "interrupt-after-0.3"),
    )
    assert [outcome.problem for outcome in outcomes] == ["", "", ""]
    assert "hello" in shown
    assert "Out[1]: 42" in shown
    assert "KeyboardInterrupt" in shown


async def test_an_unexpected_exception_is_a_problem_and_ends_the_run(tmp_path):
    outcomes, _ = await run(tmp_path, ("int('x')",), ("print('never')",))
    [outcome] = outcomes
    assert outcome.problem.startswith("raised ValueError")


async def test_an_expected_exception_that_does_not_come_is_a_problem(tmp_path):
    [outcome], _ = await run(tmp_path, ("1", "raises-exception"))
    assert outcome.problem == "should have raised and did not"


async def test_a_kernel_that_dies_is_a_problem(tmp_path):
    [outcome], _ = await run(tmp_path, ("import os; os._exit(3)",))
    assert outcome.problem == "the kernel died"
