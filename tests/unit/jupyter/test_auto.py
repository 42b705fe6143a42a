"""`%funcx auto on`: cells without a magic run elsewhere."""

from __future__ import annotations

import ast
import os

import pytest

from funcx_jupyter.auto_cells import changed_names, why_it_stays
from funcx_jupyter.errors import MagicArgumentError, UnknownEndpoint


@pytest.fixture
def auto(magics, run):
    assert "Every cell that follows runs as `%%funcx local`" in repr(run("%funcx auto on local").value)
    yield magics.auto
    magics.auto.off()


@pytest.mark.usefixtures("auto")
def test_cells_run_elsewhere_and_what_they_assign_comes_back(run, shell):
    ran = run("import os\nhere = os.getpid()\nhere")
    assert ran.value == shell.user_ns["here"] != os.getpid()
    assert "local · ✓" in ran.out
    assert shell.user_ns["os"] is os
    ran = run("there = here + 1;")
    assert shell.user_ns["there"] == shell.user_ns["here"] + 1
    assert run("if there < 0:\n  never = 1\nthere * 0").value == 0
    assert "never" not in shell.user_ns
    assert run("undefined_name").error is not None


@pytest.mark.usefixtures("auto")
def test_changes_in_place_come_back(run, shell):
    shell.user_ns["found"], shell.user_ns["table"] = [1], {"a": 1}
    run("found.append(2)\ntable['b'] = 2")
    assert (shell.user_ns["found"], shell.user_ns["table"]) == ([1, 2], {"a": 1, "b": 2})


@pytest.mark.usefixtures("auto")
def test_what_cannot_be_sent_is_left_and_said(run, shell):
    ran = run("handle = open('/dev/null')\nplain = 3")
    assert ran.error is None
    assert shell.user_ns["plain"] == 3
    assert "handle" not in shell.user_ns
    assert "`handle` (_io.TextIOWrapper) cannot be sent back" in ran.out
    assert "It was left there." in ran.out


@pytest.mark.usefixtures("auto")
def test_a_cell_that_raises_shows_its_own_lines(run):
    ran = run("x = 0\n\n1 / x")
    assert isinstance(ran.error, ZeroDivisionError)
    assert "line 3" in ran.out
    assert "----> 3 1 / x" in ran.out


@pytest.mark.usefixtures("auto")
@pytest.mark.parametrize(
    "cell",
    [
        "# local\nimport os\npid = os.getpid()",
        "%time pid = __import__('os').getpid()",
        "%%time\nimport os\npid = os.getpid()",
        "import os, sys",
        "!true",
    ],
)
def test_what_stays_here(run, shell, connection, cell):
    before = len(connection.specs)
    assert run(cell).error is None
    assert len(connection.specs) == before
    assert shell.user_ns.get("pid", os.getpid()) == os.getpid()


@pytest.mark.usefixtures("auto")
def test_code_beside_a_magic_stays_and_is_told(run, shell):
    ran = run("where = __import__('os').getpid()\n%pwd")
    assert shell.user_ns["where"] == os.getpid()
    assert "Ran here, not elsewhere: it has a magic or a shell command among its lines." in ran.out


@pytest.mark.usefixtures("auto")
def test_what_a_front_end_runs_silently_stays(shell, connection):
    before = len(connection.specs)
    shell.run_cell("quiet = 1 + 1", silent=True)
    assert len(connection.specs) == before
    assert shell.user_ns["quiet"] == 2


def test_it_ends(run, shell, auto):
    assert "Every cell that follows" in repr(run("%funcx auto").value)
    assert repr(run("%funcx auto off").value) == "Cells run here again."
    run("where = __import__('os').getpid()")
    assert shell.user_ns["where"] == os.getpid()
    assert auto not in shell.ast_transformers
    assert "Cells run here." in repr(run("%funcx auto").value)


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("auto on nowhere", UnknownEndpoint, "No endpoint named 'nowhere'"),
        ("auto on local -o x", MagicArgumentError, "`output` is a matter of one cell"),
        ("auto up", MagicArgumentError, "The form is `%funcx auto on"),
        ("auto on local --retires 3", MagicArgumentError, "Did you mean `--retries`?"),
    ],
)
def test_what_is_refused(run, magics, line, kind, message):
    error = run(f"%funcx {line}").error
    assert isinstance(error, kind)
    assert message in str(error)
    assert magics.auto.line == ""


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("a = 1\nb += 2", []),
        ("d[0] = 1\ne.x.y = 2\ndel f[1]\ng.append(1)\nh().x()", ["d", "e", "f", "g", "h"]),
        ("for i in z:\n  d['k'].append(i)", ["d"]),
        ("def f():\n  inner[0] = 1\nx = y.copy()", []),
    ],
)
def test_names_that_are_changed_in_place(code, names):
    assert changed_names(ast.parse(code)) == names


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("def f(): ...\n\nclass C: ...", ""),
        ("import os\nfrom json import dumps", ""),
        ("import no_such_module_here", None),
        ("import os\nx = 1", None),
        ("# LOCAL please\nx = 1", ""),
        ("", ""),
    ],
)
def test_why_a_cell_stays(code, stays):
    assert why_it_stays(code, ast.parse(code)) == stays
