"""Notebooks in awkward places: paths that want quotes, no folder to write to, the same notebook in two kernels."""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import kernel
from tests.support.fabric import Fabric

pytestmark = pytest.mark.xdist_group("fabric-kernel")


@pytest.fixture(scope="module")
def spaced(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("a folder's") / "home of $USER; 1", workers=1) as running:
        yield running


def test_paths_that_want_quotes(spaced, tmp_path):
    folder = tmp_path / "my notebooks' $HOME"
    folder.mkdir()
    with kernel(spaced.environment(JPY_SESSION_NAME=str(folder / "a b.ipynb"))) as book:
        book.run(f"import os\nos.chdir({str(folder)!r})")
        assert "1 endpoint online (local)" in book.run("%load_ext funcx_jupyter").text()
        assert book.run("%%funcx --shell\necho 'a  b'").text() == "a  b\n"
        assert book.run("%%funcx -o x\nx = 5\nx").result["text/plain"] == "5"


def test_nothing_can_be_written(spaced):
    env = {key: value for key, value in spaced.environment().items() if key != "FUNCX_HOME"}
    nowhere = {"HOME": "/proc/nowhere", "FUNCX_SERVICE_ADDRESS": spaced.address, "FUNCX_TOKEN": spaced.token}
    with kernel(env | nowhere) as book:
        book.run("import os\nos.chdir('/proc')")
        assert "default: local" in book.run("%load_ext funcx_jupyter").text()
        cell = book.run("%%funcx -o x\nprint('printed')\nx = 5\nx")
        assert (cell.text(), cell.result["text/plain"]) == ("printed\n", "5")
        warned = cell.text("stderr")
        assert warned.count("Cells cannot be attached to after a restart: their journal cannot be written.") == 1
        assert "/proc/nowhere/.funcx" in warned
        again = book.run("%%funcx\n6")
        assert (again.result["text/plain"], again.text("stderr")) == ("6", "")
        assert book.run("%funcx config").kinds == ["result"]
        assert "done" in book.run("%funcx").result["text/plain"]


def test_two_kernels_of_one_notebook_and_two_notebooks_of_one_name(spaced, tmp_path):
    env = spaced.environment(JPY_SESSION_NAME=str(tmp_path / "one" / "book.ipynb"))
    other_env = spaced.environment(JPY_SESSION_NAME=str(tmp_path / "other" / "book.ipynb"))
    with kernel(env) as left, kernel(env) as right, kernel(other_env) as other:
        for book in (left, right, other):
            book.run("%load_ext funcx_jupyter")
        source = "for n in range(8):\n    get_ipython().run_cell_magic('funcx', '-q -o {0}', '{0} = 1')"
        left.client.kc.execute(source.format("p"))
        assert "error" not in right.run(source.format("q")).kinds
        assert left.run("p").result["text/plain"] == "1"  # It waited until the kernel was ready for it.
        assert other.run("%funcx attach").result["text/plain"].startswith("No tasks of this notebook")
        assert left.run("%funcx attach").result["text/plain"].endswith(" q restored.")
        assert right.run("%funcx attach").result["text/plain"].endswith(" p restored.")
        count = "len(get_ipython()._funcx_magics.session.known_submissions())"
        assert [book.run(count).result["text/plain"] for book in (left, right, other)] == ["16", "16", "0"]
