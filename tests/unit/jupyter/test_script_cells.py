"""Cells of shell commands as cells of Python."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import PurePosixPath

import pytest

from funcx_core.commands import running_task
from funcx_core.commands.running_task import RunningTask
from funcx_core.errors import CommandFailed
from funcx_jupyter.capture.values import Notebook
from funcx_jupyter.errors import CaptureError, MagicArgumentError
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.script_cells import python_for

SCRIPT = "for f in {a,b}; do\n  echo $f ${n} '\\n'\ndone\n"


@pytest.fixture(autouse=True)
def _in_a_task(monkeypatch):
    monkeypatch.setattr(running_task, "_find", lambda: RunningTask("3f2a"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        yield


def test_the_script_arrives_as_it_was_written_and_its_variables_as_text():
    namespace = {"n": 7, "folder": PurePosixPath("/a b"), "other": object()}
    code, options = python_for(SCRIPT, CellOptions(inputs=("n", "folder"), exclude=("folder",)), Notebook(namespace))
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        exec(code, {"n": 7})
    assert shown.getvalue() == "a 7 \\n\nb 7 \\n\n"
    assert (options.inputs, options.exclude) == (("n",), ())


def test_nothing_of_the_notebook_goes_along_unless_it_is_named():
    code, options = python_for("echo $n", CellOptions(), Notebook({"n": 7}))
    assert options.inputs == ()
    assert code.endswith(".run_script('echo $n', {})\n")


def test_a_failure_is_told_with_its_last_line():
    code, _ = python_for("echo one >&2; echo two >&2; exit 3", CellOptions(), Notebook({}))
    with contextlib.redirect_stderr(io.StringIO()), pytest.raises(CommandFailed, match="exit code 3: two") as caught:
        exec(code, {})
    assert caught.value.details == {"returncode": 3}


def test_what_comes_back_is_output_only():
    with pytest.raises(MagicArgumentError, match="-o/--output: a shell cell has no variables"):
        python_for("", CellOptions(outputs=("x",)), Notebook({}))


def test_variables_are_named_one_by_one():
    with pytest.raises(MagicArgumentError, match="one by one"):
        python_for("", CellOptions(inputs=("*",)), Notebook({}))


def test_a_variable_that_is_no_text_is_refused_here():
    with pytest.raises(CaptureError, match=r"`d` \(dict\) cannot be a variable of a shell"):
        python_for("", CellOptions(inputs=("d",)), Notebook({"d": {}}))
