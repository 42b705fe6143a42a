"""Cells that change what they were given, cells that run here, and cells that run at both ends."""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import warm_kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with warm_kernel(fabric.environment()) as running:
        yield running


def notices(cell):
    return cell.blocks


def test_a_variable_that_was_changed_there_is_told_of(notebook):
    notebook.run("d = [1]\ndef grow():\n    d.append(3)")
    said = "`d` changed remotely; local copy is unchanged. Add -o d"
    assert notices(notebook.run("%%funcx\nd.append(2)\nlen(d)")) == [said]
    assert notices(notebook.run("%%funcx\ngrow()")) == [said]
    assert notices(notebook.run("%%funcx -q\nd.append(2)")) == []
    assert notices(notebook.run("%%funcx -o d\nd.append(2)")) == []
    assert notebook.run("d").result["text/plain"] == "[1, 2]"
    started = notebook.run("%%funcx -a -n late\nd.clear()")
    assert notebook.run("%funcx wait late").result["text/plain"] == "late done"
    notebook.run("1")  # What a thread shows may reach the notebook a moment after the cell that waited.
    assert said in started.outputs[-1].data["text/plain"]


def test_a_cell_runs_here_as_it_would_there(notebook):
    notebook.run("import os\nbase = [1]\nhidden = 1")
    cell = notebook.run(
        "%%funcx --local -o y,pid\nprint('seen')\nbase.append(2)\nleak = 1\ny = base * 2\npid = os.getpid()\nlen(y)"
    )
    assert cell.text() == "seen\n"
    assert cell.result["text/plain"] == "4"
    said = notices(cell)
    assert said[0].startswith("here · ✓ ")
    assert "in: base " in said[0]
    assert said[1] == "`base` changed in the cell; local copy is unchanged. Add -o base"
    assert notebook.run("base, y, pid == os.getpid(), 'leak' in globals()").result["text/plain"] == (
        "([1], [1, 2, 1, 2], True, False)"
    )


def test_what_fails_here_shows_the_lines_of_the_cell_and_assigns_nothing(notebook):
    cell = notebook.run("%%funcx --local -o never\nnever = 1\n1 / 0")
    name, text = cell.error
    assert name == "ZeroDivisionError"
    assert "----> 3 1 / 0" in text
    assert "(here, with --local)" in text
    assert "funcx_jupyter" not in text
    assert notebook.run("'never' in globals()").result["text/plain"] == "False"
    assert notebook.run("%%funcx --local -t 0.3\nwhile True: pass").error[0] == "TimeoutError"
    assert notebook.run("%%funcx --local\nimport asyncio\nawait asyncio.sleep(0.01)\n7").result["text/plain"] == "7"


def test_a_cell_of_classes_and_figures_runs_here(notebook):
    notebook.run("class Thing:\n    def __init__(self, n): self.n = n\nthing = Thing(1)")
    notebook.run("%%funcx --local -o other\nassert isinstance(thing, Thing)\nother = Thing(2)")
    assert notebook.run("isinstance(other, Thing), other.n").result["text/plain"] == "(True, 2)"


def test_both_ends_are_compared_in_one_table(notebook):
    notebook.run("import numpy as np\ndata = np.arange(10.0)")
    cell = notebook.run(
        "%%funcx --compare -o total,where\nimport os\nprint('same')\ntotal = data.sum()\nwhere = os.getpid()\ntotal"
    )
    rows = [" ".join(line.split()) for line in cell.result["text/plain"].splitlines()]
    assert rows[0] == "here local close: within 1e-06 of the value or 1e-09"
    assert [row for row in rows if row.endswith("equal")] == [rows[1], rows[2], rows[4]]
    assert rows[3].startswith("where ")
    assert "different: " in rows[3]
    assert cell.text() == "same\n"
    assert cell.kinds.count("header") == 1
    assert notebook.run("_.differences.keys(), float(total)").result["text/plain"] == "(dict_keys(['where']), 45.0)"


def test_a_failure_at_one_end_is_a_result(notebook):
    cell = notebook.run("home = os.getpid()\n%funcx use local")
    cell = notebook.run("%%funcx --compare\nimport os\nif os.getpid() != home: raise ValueError('only there')\n3")
    assert "ValueError: only there" in cell.result["text/plain"]
    assert "one of them failed" in cell.result["text/plain"]


def test_options_that_do_not_go_with_a_trial_are_refused(notebook):
    for line in ("--local -a", "--compare --map n=[1]", "--local --ref x", "--local --compare"):
        assert notebook.run(f"%%funcx {line}\nx = 1").error[0] == "MagicArgumentError"


def test_large_variables_are_there_here_and_there(notebook):
    notebook.run("large = np.arange(100_000)")
    cell = notebook.run("%%funcx --compare -o *\nlarge[0] = 5\ntotal = large.sum()\nif os: file = open('/dev/null')")
    rows = [" ".join(line.split()) for line in cell.result["text/plain"].splitlines()]
    assert any(row.startswith("total np.int64(4999950005)") and row.endswith("equal") for row in rows), rows
    assert notebook.run("large[0]").result["text/plain"] == "np.int64(0)"
    notebook.run("%%funcx --local -o here\nhere = int(large.sum())")
    assert notebook.run("here").result["text/plain"] == "4999950000"
