"""Studies, provenance and timelines in a real kernel, on a whole fabric."""

import json

import nbformat
import pytest
from nbclient import NotebookClient
from rocrate.rocrate import ROCrate

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def notebook(fabric):
    with kernel(fabric.environment()) as running:
        running.run("%load_ext funcx_jupyter")
        yield running


def test_a_study_shows_a_bar_and_a_plot_that_are_kept(fabric):
    study = """import funcx
def loss(x, seed):
    if (x, seed) == (2, 1):
        raise ValueError("diverged")
    return {"loss": x * x + seed}
study = funcx.grid(loss, {"x": [1, 2, 3], "seed": range(4)}, name="kept")
study.plot("x", "loss")"""
    cells = [study, "study.wait()", "study.table().groupby('x')['loss'].agg(['mean', 'count'])"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(book, timeout=60).execute(env=fabric.environment())
    plot, bar, table = (cell.outputs for cell in book.cells)
    assert [output.output_type for output in plot] == ["display_data"]
    assert plot[0].data["image/png"]
    assert "▁" in plot[0].data["text/plain"]  # the last one, although its cell had ended long before
    assert "1 failed" in bar[0].data["text/html"]
    assert "100%" in bar[0].data["text/plain"]
    assert "2.5" in table[0].data["text/plain"]


def test_the_provenance_of_a_cell_is_whole(notebook, tmp_path):
    notebook.run("import numpy as np\nscale = 3")
    ran = notebook.run("%%funcx local -o y\nimport numpy as np\ny = np.arange(4) * scale\ny.sum()")
    assert "error" not in ran.kinds, ran.error
    shown = notebook.run("p = %funcx provenance " + ran.header.rpartition("task ")[2].split()[0] + "\np")
    said = shown.result["text/plain"]
    assert "scale (" in said
    assert "numpy 2" in said
    assert "not known" not in said, said
    facts = json.loads(notebook.run("print(p.to_json())").text())
    assert facts["code"]["source"].startswith("%%funcx local -o y\n")
    assert [piece["name"] for piece in facts["results"]] == ["y", "last expression"]
    assert facts["where"]["environments"][0]["packages"]["numpy"]
    crate = tmp_path / "crate"
    wrote = notebook.run(f"%funcx provenance {facts['task_id']} --json {tmp_path}/p.json --ro-crate {crate}")
    assert "Wrote" in wrote.result["text/plain"]
    assert json.loads((tmp_path / "p.json").read_text())["code"] == facts["code"]
    assert ROCrate(crate).dereference("cell.py")["sha256"] == facts["code"]["sha256"]
    again = notebook.run(f"import funcx\nprint(funcx.provenance('{facts['task_id']}').code == p.code)")
    assert again.text() == "True\n"


def test_a_timeline_of_the_notebook_is_a_widget_and_a_picture(notebook):
    notebook.run("%%funcx local\nprint('first')")
    shown = notebook.run("t = %funcx timeline\nt")
    data = next(output.data for output in shown.outputs if output.output_type == "display_data")
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert "data:image/svg+xml;base64," in data["text/html"]
    assert "tasks in" in notebook.run("t.refresh()\nprint(t._as_text())").text()
    assert " · worker 0" in notebook.run("print(t.to_svg())").text()
    assert notebook.run("t.view.root.data['rows'][0]").result["text/plain"].endswith(" · worker 0'")
    notebook.run("t.freeze()")
    empty = notebook.run("from funcx_jupyter import Timeline\nTimeline(3)")
    assert empty.error[0] == "UsageError"
