"""What goes with a `%%funcx` cell, in a real kernel against a real fabric."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric, tmp_path_factory):
    with kernel(fabric.environment()) as running:
        folder = tmp_path_factory.mktemp("work")
        running.run(f"%load_ext funcx_jupyter\n%cd -q {folder}")
        running.folder = folder
        yield running


def kept(fabric, notebook) -> list[Path]:
    return sorted(Path(fabric.home).glob("*/large/inputs/*"))


def test_what_has_not_changed_is_not_sent_again(notebook, fabric):
    notebook.run("import numpy as np, pandas as pd\nmodel = np.arange(1_000_000.0)\nn = 3")
    first = notebook.run("%%funcx\nint(model[n]), model.flags.writeable")
    assert first.result["text/plain"] == "(3, True)"
    assert "model 8.0 MB, n 5 B" in first.header
    second = notebook.run("%%funcx\nint(model[n + 1])")
    assert second.result["text/plain"] == "4"
    assert "model 8.0 MB (cached), n 5 B" in second.header
    notebook.run("model[4] = -1")
    third = notebook.run("%%funcx\nint(model[n + 1])")
    assert third.result["text/plain"] == "-1"
    assert "(cached)" not in third.header


def test_an_endpoint_that_loses_what_it_kept_fetches_it_again(notebook, fabric):
    notebook.run("big = list(range(100_000))")
    notebook.run("%%funcx\nbig[-1]")
    files = kept(fabric, notebook)
    assert files
    for path in files:
        path.unlink()
    assert "(cached)" in notebook.run("%%funcx\nlen(big)").header
    damaged = kept(fabric, notebook)[0]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    cell = notebook.run("%%funcx\nsum(big)")
    assert cell.result["text/plain"] == "4999950000"


def test_variables_that_share_a_list_share_it_there(notebook):
    notebook.run("shared = [0] * 100_000\na, b = {'x': shared}, [shared]\nc = {'frame': pd.DataFrame({'v': model})}")
    cell = notebook.run("%%funcx\na['x'] is b[0], bool(c['frame'].v.sum() == model.sum()), len(shared)")
    assert cell.result["text/plain"] == "(True, True, 100000)"


def test_more_than_travels_in_a_cell_is_staged_and_can_be_run_again(notebook):
    notebook.run("large = np.ones(3_000_000)")  # 24 MB; 10 MB travel
    cell = notebook.run("%%funcx -a -n again\nint(large.sum())")
    assert notebook.run("again.result()").result["text/plain"] == "3000000"
    assert notebook.run("%funcx rerun again").result["text/plain"] == "3000000"
    del cell
    said = notebook.run("%%funcx --explain\nint(large.sum())").result["text/plain"]
    assert "large 24 MB (cached)" in said
    assert "staged:  0 B to send, 24 MB there already" in said


def test_staging_that_takes_long_is_asked_for(notebook):
    notebook.run(
        "from funcx_jupyter.widgets.notebook import notebook_session\nnotebook_session().staging.rate = 1000.0\n"
        "X = np.zeros(1_000_000)"
    )
    name, text = notebook.run("%%funcx local\nint(X.sum())").error
    assert name == "LargeInputError"
    assert text == (
        "LargeInputError: `X` is 8.0 MB; staging it will take about 2 h at 1.0 kB/s. "
        "Use `--ref`-ed data on local, or pass --yes."
    )
    assert notebook.run("%%funcx local --yes\nint(X.sum())").result["text/plain"] == "0"
