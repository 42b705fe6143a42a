"""Cells that change what they were given, cells that run here, and cells that run at both ends."""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")  # Workers import IPython with their first cell.
        yield running


def notices(cell):
    return [
        output.data["text/plain"]
        for output in cell.outputs
        if output.output_type == "display_data" and "funcx-header" not in output.data.get("text/html", "")
    ]


def test_a_variable_that_was_changed_there_is_told_of(notebook):
    notebook.run("d = [1]\ndef grow():\n    d.append(3)")
    said = "`d` changed remotely; local copy is unchanged. Add -o d"
    assert notices(notebook.run("%%funcx\nd.append(2)\nlen(d)")) == [said]
    assert notices(notebook.run("%%funcx\ngrow()")) == [said]
    assert notices(notebook.run("%%funcx -q\nd.append(2)")) == []
    assert notices(notebook.run("%%funcx -o d\nd.append(2)")) == []
    assert notebook.run("d").result["text/plain"] == "[1, 2]"
    started = notebook.run("%%funcx -a -n late\nd.clear()")
    notebook.run("%funcx wait late")
    assert said in started.outputs[-1].data["text/plain"]
