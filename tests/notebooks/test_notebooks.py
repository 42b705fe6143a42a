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
def test_it_is_made_of_its_source_and_holds_no_output(path):
    spec = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert json.loads(_committed(path)) == build.notebook(path.with_suffix(".py").read_text())


def _committed(path: Path) -> str:
    """Return the notebook as git has it: who has saved it with outputs in JupyterLab did nothing wrong."""
    shown = subprocess.run(
        ["git", "show", f":./{path.name}"], cwd=path.parent, capture_output=True, text=True, check=False
    )
    return shown.stdout if shown.returncode == 0 else path.read_text()
