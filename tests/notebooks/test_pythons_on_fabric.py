"""A kernel of another Python than the endpoint's: what it defines travels as source, and it is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")

ROOT = Path(__file__).parents[2]
DEFINITIONS = """%config InlineBackend.figure_format = 'png'
import dataclasses, enum
import numpy as np, pandas as pd

base = 3

class Shape:
    def area(self, a):
        return a * a + base

@dataclasses.dataclass
class Point:
    x: int

class Colour(enum.Enum):
    RED = 1

def areas(n):
    return [Shape().area(i) for i in range(n)]

square = lambda v: v**2
table = pd.DataFrame({'a': [1, 2]})"""
NEEDED = "import sys, ipykernel, pandas, funcx_jupyter.extension; assert '%d.%d' % sys.version_info[:2] == {!r}"


@pytest.fixture(params=["3.12", "3.13"])
def notebook(fabric, request):
    python = str(ROOT / f".venv-{request.param}" / "bin" / "python")
    if (
        not Path(python).exists()
        or subprocess.run([python, "-c", NEEDED.format(request.param)], check=False, cwd="/").returncode
    ):
        pytest.skip(f"no Python {request.param} with what notebooks need: `make test-pythons`")
    with kernel(fabric.environment(PYTHONPATH=os.environ.get("PYTHONPATH", "")), python=python) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx -q\n1")  # Afterwards it is known what the endpoint has.
        assert running.run("'%d.%d' % __import__('sys').version_info[:2]").result["text/plain"] == repr(request.param)
        running.name = request.param
        yield running


def test_definitions_and_values_travel_both_ways(notebook):
    definitions = notebook.run(DEFINITIONS)
    assert "error" not in definitions.kinds, definitions.error
    cell = notebook.run(
        "%%funcx -o y\nimport sys\ny = areas(3), square(4), int(table.a.sum()), Point(3), Colour.RED\nsys.version_info[:2]"
    )
    assert cell.result["text/plain"] == "(3, 11)"
    back = notebook.run("y[:3], y[3] == Point(3), y[4] is Colour.RED").result["text/plain"]
    assert back == "(([3, 4, 7], 16, 3), True, True)"
    notebook.run("%unload_ext funcx_jupyter\n%load_ext funcx_jupyter")
    notice = notebook.run("%%funcx\nsquare(2)").outputs[0].data["text/plain"]
    assert notice == f"local has Python 3.11, this kernel {notebook.name}: functions and classes travel as source."
    first = notebook.run("def boom(n):\n    return 1 / n")
    name, text = notebook.run("%%funcx\nboom(0)").error
    assert name == "ZeroDivisionError"
    assert f"Cell In[{first.number}], line 2, in boom" in text
    assert notebook.run("%%funcx -a -n later\nareas(2)").kinds == ["header", "display"]
    assert notebook.run("later.result()").result["text/plain"] == "[3, 4]"
