"""Programs that run notebooks unattended: what goes wrong in a cell must be seen in their exit code."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture
def ran(fabric, tmp_path):
    """Run a notebook of these cells with a program; return its exit code, what it wrote, and the notebook it left."""

    def run(program, *cells, options=()):
        book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in ("%load_ext funcx_jupyter", *cells)])
        book.cells[1].metadata["tags"] = ["parameters"]
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(book, tmp_path / "in.ipynb")
        last = {"papermill": ["out.ipynb"], "nbconvert": ["--to=notebook", "--execute", "--output=out.ipynb"]}[program]
        done = subprocess.run(
            [sys.executable, "-m", program, "in.ipynb", *last, *options],
            env=fabric.environment(),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        out = tmp_path / "out.ipynb"
        return done.returncode, done.stderr, nbformat.read(out, as_version=4).cells if out.exists() else []

    return run


def shown(cell):
    return [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]


def test_parameters_go_along_and_what_changes_later_is_kept(ran):
    cells = ["n = 1", "%%funcx -a -n later\nprint('printed')\nn", "%%funcx -o y\ny = n + 1\ny", "%funcx wait later"]
    code, said, book = ran("papermill", *cells, options=["-p", "n", "41"])
    assert code == 0, said
    assert [cell.source for cell in book[2:4]] == ["# Parameters\nn = 41\n", cells[1]]
    header, block = shown(book[3])[:2]
    assert header.startswith("local · ✓ ")
    assert block == "printed\n41"
    assert shown(book[4])[-1] == "42"


def test_a_cell_that_fails_fails_the_run(ran):
    code, said, book = ran("papermill", "n = 0", "%%funcx\n1 / n", "print('never')")
    assert code != 0
    assert "ZeroDivisionError" in said
    assert book[-1].outputs == []
    errors = [output for cell in book if cell.cell_type == "code" for output in cell.outputs if "ename" in output]
    assert [error.ename for error in errors] == ["ZeroDivisionError"]


def test_a_mistake_in_an_option_fails_the_run(ran):
    code, said, _ = ran("papermill", "n = 0", "%%funcx --retires 3\nn")
    assert code != 0
    assert "`--retires` is not an option of %%funcx. Did you mean `--retries`?" in said


def test_nbconvert_executes_too(ran):
    code, said, book = ran("nbconvert", "n = 3", "%%funcx\nprint('printed')\nn")
    assert code == 0, said
    assert shown(book[2])[1:] == ["printed\n", "3"]
