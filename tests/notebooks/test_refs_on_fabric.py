"""Values that stay on the endpoint, in a real kernel against a real fabric."""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")

UNTIL = "import time, pathlib\nwhile not pathlib.Path({path!r}).exists():\n    time.sleep(0.02)\n"


@pytest.fixture(scope="module")
def env(fabric, tmp_path_factory):
    return {**fabric.environment(), "JPY_SESSION_NAME": str(tmp_path_factory.mktemp("refs") / "book.ipynb")}


@pytest.fixture(scope="module")
def notebook(env):
    with kernel(env) as running:
        running.run("%load_ext funcx_jupyter")
        yield running


def value(notebook, source):
    return notebook.run(source).result["text/plain"]


def test_a_cell_waits_on_the_service_for_a_value_that_never_leaves_the_endpoint(notebook, tmp_path):
    go_on = tmp_path / "go-on"
    notebook.run("df = [1, 2, 3]")
    cell = notebook.run(f"%%funcx -a -n big --ref model\n{UNTIL.format(path=str(go_on))}model = {{'sum': sum(df)}}")
    assert "out: model (on local)" in cell.header
    assert value(notebook, "repr(model)").startswith("'RemoteRef(model: ")
    late = notebook.run("%%funcx -a -n late\nmodel['sum'] + len(df)")
    assert "in: model (on local), df " in late.header
    assert value(notebook, "late.done()") == "False"
    go_on.touch()
    assert value(notebook, "%%funcx\nmodel['sum']") == "6"
    assert value(notebook, "late.result()") == "9"
    assert value(notebook, "%%funcx\nlate * 2") == "18"
    assert value(notebook, "model.get()") == "{'sum': 6}"


def test_what_fails_upstream_is_named(notebook):
    notebook.run("%%funcx -a -n broken --ref never\n1 / 0\nnever = 1")
    name, text = notebook.run("%%funcx\nnever").error
    assert name == "DependencyError"
    assert "Not run: broken (" in text
    assert "which it waited for, failed." in text
    name, text = notebook.run("never.get()").error
    assert name == "DependencyError"
    assert "There is no `never`: " in text


def test_a_large_value_comes_when_it_is_fetched(notebook):
    notebook.run("from funcx_jupyter.session import size_limits\nsize_limits.UNASKED = 1_000_000")
    cell = notebook.run("%%funcx -o y,z\ny = bytes(15_000_000)\nz = 1\nbytes(2_000_000)")
    told = next(
        output.data["text/plain"] for output in cell.outputs if "limit" in output.get("data", {}).get("text/plain", "")
    )
    assert told.startswith("y is 15 MB (limit 1.0 MB). Kept on local for 24 h: `y = %funcx fetch ")
    assert value(notebook, "type(y).__name__, z, type(_).__name__") == "('RemoteRef', 1, 'RemoteRef')"
    fetched = told.partition("`")[2].partition("`")[0]
    assert value(notebook, f"{fetched}\nlen(y)") == "15000000"


def test_references_are_bound_again_after_a_restart(env, notebook):
    notebook.run("%%funcx --ref kept\nkept = list(range(7))", cell_id="keeps")
    notebook.run("%%funcx -a -n later --ref other\nother = 8", cell_id="keeps-later")
    notebook.run("%funcx wait later")
    with kernel(env) as second:
        second.run("%load_ext funcx_jupyter")
        told = second.run("%funcx attach").result["text/plain"]
        assert "kept restored." in told
        assert "other restored." in told
        assert value(second, "len(kept), kept.head(2)") == "(7, [0, 1])"
        assert value(second, "%%funcx\nsum(kept) + other") == "29"
        second.run("kept.delete()")
        name, text = second.run("%%funcx\nkept").error
        assert name == "ValueNotKept"
        assert "`kept` of " in text
        assert "is not on local any more (kept 24 h after its last use). `%funcx rerun " in text
        assert "Traceback" not in text
        rerun = text.partition("any more (kept 24 h after its last use). `")[2].partition("`")[0]
        assert "· ✓ " in second.run(rerun).header
        assert value(second, "%%funcx\nlen(kept)") == "7"
