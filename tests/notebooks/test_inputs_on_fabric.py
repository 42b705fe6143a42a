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
        running.run(f"%load_ext funcx_jupyter\n%cd -q {folder}\nimport numpy as np, pandas as pd")
        running.folder = folder
        yield running


def kept(fabric, notebook) -> list[Path]:
    return sorted(Path(fabric.home).glob("*/large/inputs/*"))


def test_what_has_not_changed_is_not_sent_again(notebook, fabric):
    notebook.run("model = np.arange(1_000_000.0)\nn = 3")
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
    notebook.run(
        "shared = [0] * 100_000\na, b = {'x': shared}, [shared]\nc = {'frame': pd.DataFrame({'v': np.arange(100_000)})}"
    )
    cell = notebook.run("%%funcx\na['x'] is b[0], bool(c['frame'].v.sum() == 4999950000), len(shared)")
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


def test_modules_of_the_working_directory_go_along(notebook):
    (notebook.folder / "waves.py").write_text(
        "from tides.tables import low\nclass Storm(Exception): pass\nheight = low + 1\n"
    )
    (notebook.folder / "tides").mkdir()
    (notebook.folder / "tides" / "__init__.py").write_text("")
    (notebook.folder / "tides" / "tables.py").write_text("low = 4\n")
    cell = notebook.run("%%funcx\nimport waves\nwaves.height")
    assert cell.result["text/plain"] == "5"
    notices = [output.data["text/plain"] for output in cell.outputs if output.output_type == "display_data"]
    assert "`waves` (./waves.py) goes with the cell" in notices
    assert "`tides` (./tides/) goes with the cell" in notices
    assert "goes with" not in str(notebook.run("%%funcx\nfrom waves import height\nheight").outputs)


def test_what_is_saved_is_what_runs(notebook):
    (notebook.folder / "currents.py").write_text("speed = 4\n")
    assert notebook.run("%%funcx\nimport currents\ncurrents.speed").result["text/plain"] == "4"
    (notebook.folder / "currents.py").write_text("speed = 10\n")
    cell = notebook.run("%%funcx\nimport currents\ncurrents.speed")
    assert cell.result["text/plain"] == "10"
    assert "`currents` (./currents.py) has changed and goes with the cell" in str(cell.outputs)


def test_functions_instances_and_errors_of_such_a_module(notebook):
    (notebook.folder / "ships.py").write_text(
        "class Ship:\n    def __init__(self, name): self.name = name\n"
        "class Sunk(Exception): pass\n"
        "def sink(ship): raise Sunk(ship.name)\n"
    )
    notebook.run("from ships import Ship, Sunk, sink\nship = Ship('Vasa')")
    cell = notebook.run("%%funcx -o other\nother = Ship('Fram')\nship.name")
    assert cell.result["text/plain"] == "'Vasa'"
    assert notebook.run("type(other) is Ship, other.name").result["text/plain"] == "(True, 'Fram')"
    notebook.run("def try_it():\n    import ships\n    return ships.Ship('Maria').name")
    assert notebook.run("%%funcx\ntry_it()").result["text/plain"] == "'Maria'"
    name, text = notebook.run("%%funcx\nsink(ship)").error
    assert name == "Sunk"
    assert "ships.py:4, sink()" in text


def test_modules_do_not_stay_and_can_be_left_out(notebook):
    (notebook.folder / "shores.py").write_text("length = 7\n")
    assert notebook.run("%%funcx\nimport shores\nshores.length").result["text/plain"] == "7"
    for _ in range(2):  # on either worker
        cell = notebook.run("%%funcx\nimport sys\n'shores' in sys.modules")
        assert cell.result["text/plain"] == "False"
    name, text = notebook.run("%%funcx -x shores\nimport shores").error
    assert name == "EnvironmentMismatch"
    assert "`shores` (line 2) is not installed on local" in text
    said = notebook.run("%%funcx --explain\nimport shores").result["text/plain"]
    assert "modules: `shores` (./shores.py)" in said


def test_what_such_a_module_needs_is_looked_for(notebook):
    (notebook.folder / "needy.py").write_text("import surely_not_there\n")
    name, text = notebook.run("%%funcx\nimport needy").error
    assert name == "EnvironmentMismatch"
    assert "`surely_not_there` (`needy` imports it) is not installed on local" in text


def test_with_local_such_modules_are_those_of_this_kernel(notebook):
    (notebook.folder / "rivers.py").write_text("class River:\n    def __init__(self, name): self.name = name\n")
    notebook.run("import rivers, sys\nfrom rivers import River\nloaded = sys.modules['rivers']")
    assert (
        notebook.run("%%funcx --local -o here\nhere = rivers.River('Elbe')\nhere.name").result["text/plain"] == "'Elbe'"
    )
    assert notebook.run("type(here) is River, sys.modules['rivers'] is loaded").result["text/plain"] == "(True, True)"
    found = "[type(each).__name__ for each in sys.meta_path if type(each).__name__ == 'SentModules']"
    assert notebook.run(found).result["text/plain"] == "[]"


def test_such_modules_go_with_every_element_of_a_map(notebook):
    (notebook.folder / "lakes.py").write_text("def depth(n):\n    return 10 * n\n")
    notebook.run("%%funcx --map n=range(6) -o d\nfrom lakes import depth\nd = depth(n)")
    assert notebook.run("list(d)").result["text/plain"] == "[0, 10, 20, 30, 40, 50]"
