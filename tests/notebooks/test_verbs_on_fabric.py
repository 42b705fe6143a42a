"""Verbs, lines and settings in a real kernel against a real fabric; the magics are there without `%load_ext`."""

from __future__ import annotations

import json

import pytest

from funcx_core.fabric.autoload import startup
from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ipython")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder))
        startup.enable("default")
    with kernel({**fabric.environment(), "IPYTHONDIR": str(folder)}) as running:
        running.run("%%funcx -q\n1")
        yield running


def test_the_magics_are_there_and_greet_when_they_are_loaded(notebook, fabric):
    assert notebook.run("[name for name in dir() if 'load_funcx' in name]").result["text/plain"] == "[]"
    greeting = notebook.run("%load_ext funcx_jupyter").text()
    address = fabric.address.removesuffix("/v2")
    assert greeting == f"funcX 0.1 · service {address} · 1 endpoint online (local) · default: local\n"


def test_a_line_is_a_value(notebook):
    notebook.run("def double(n):\n  print('there')\n  return 2 * n")
    cell = notebook.run("value = %funcx local double(21)\nvalue")
    assert cell.result["text/plain"] == "42"
    assert "there" in cell.text()
    assert notebook.run("%funcx -q double(1)").result["text/plain"] == "2"
    assert notebook.run("_ * 10").result["text/plain"] == "20"
    assert notebook.run("%funcx -q double(1);").kinds == ["stdout"]
    name, shown = notebook.run("\n\nvalue = %funcx double()").error
    assert name == "TypeError"
    assert "line 3" in shown
    name, shown = notebook.run("%funcx staus").error
    assert (name, "Did you mean `status`?" in shown) == ("MagicArgumentError", True)


def test_a_setting_of_the_kernel_and_one_of_the_cell(notebook):
    notebook.run("%config FuncxMagics.quiet = True")
    assert notebook.run("%%funcx\n1").kinds == ["result"]
    notebook.run("%funcx config quiet --unset")
    assert "header" in notebook.run("%%funcx\n1").kinds
    notebook.client.kc.session.metadata = {}
    assert "quiet" in notebook.run("%funcx config").result["text/plain"]


def test_cells_that_follow_run_there(notebook):
    notebook.run("%funcx auto on local -q")
    cell = notebook.run(
        "import os\nprint('from', os.getpid() != here) if 'here' in globals() else None\nthere = os.getpid()\nthere"
    )
    assert cell.kinds[-1] == "result"
    notebook.run("# local\nimport os\nhere = os.getpid()")
    notebook.run("%funcx auto off")
    assert notebook.run("there != here").result["text/plain"] == "True"


def test_nobody_can_be_asked_for_a_token(notebook, fabric):
    name, shown = notebook.run("%funcx login --token").error
    assert name == "AuthError"
    assert "Nobody can be asked here: this front end takes no input." in shown
    who = notebook.run("%funcx whoami").result["text/plain"]
    assert who.endswith(f" at {fabric.address.removesuffix('/v2')}, by the saved token.")


def test_the_doctor_finds_nothing(notebook):
    table = notebook.run("%funcx doctor").result["text/plain"]
    assert "✗" not in table
    assert {line.split()[1] for line in table.splitlines()[1:]} >= {"address", "sign-in", "clock", "endpoints", "local"}


def test_what_is_completed(notebook):
    notebook.run("%funcx magic quick -e local -t 60")
    assert "local" in notebook.complete("%funcx lo")
    assert "local" in notebook.complete("value = %funcx lo")
    assert "--retries" in notebook.complete("%%quick --re")
    assert notebook.complete("%funcx config tim") == ["timeout"]
    assert notebook.complete("%funcx tasks --state fa") == ["failed"]
    assert set(notebook.complete("%funcx config env warn --save ")) == {"user", "project"}
    assert notebook.complete("%funcx fix") == ["fix-env"]


def test_a_magic_of_ones_own(notebook):
    assert notebook.run("%%quick -q\n6 * 7").result["text/plain"] == "42"
    rows = notebook.run("import json\nrows = %funcx endpoints --json\nprint(json.dumps(rows))").text()
    assert [row["name"] for row in json.loads(rows)] == ["local"]
