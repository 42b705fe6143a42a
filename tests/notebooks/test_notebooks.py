"""Every notebook runs from top to bottom, as a reader would run it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, fabric):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    # Cells tagged raises-exception may raise; any other stops the run, as Run All does.
    NotebookClient(book, timeout=60).execute(env=fabric.environment())
    for cell in book.cells:
        if "raises-exception" in cell.metadata.get("tags", []):
            assert any(output.output_type == "error" for output in cell.outputs), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_made_of_its_source(path):
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    built = build.notebook(path.with_suffix(".py").read_text())
    assert written_cells(json.loads(path.read_text())) == written_cells(built)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_output(path):
    # As git has it: who ran it in JupyterLab, where it is saved by itself, did nothing wrong.
    command = ["git", "show", f":./{path.name}"]
    shown = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    book = json.loads(shown.stdout if shown.returncode == 0 else path.read_text())
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    assert {cell["execution_count"] for cell in code} == {None}


def written_cells(book):
    """What people wrote of a notebook."""
    return [
        (cell["id"], cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", []))
        for cell in book["cells"]
    ]
