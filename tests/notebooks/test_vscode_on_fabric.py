"""What VS Code tells a kernel of its notebooks: the path as a variable, and of a cell an address in the open window, not its id.

The address ends with the number of the cell in that window. Another window counts anew, so there it may be that of another cell.
"""

from __future__ import annotations

import pytest

from tests.notebooks.kernels import kernel

pytestmark = pytest.mark.xdist_group("fabric-kernel")


def address(book, number):
    return f"vscode-notebook-cell:{book}#W{number}sZmlsZQ%3D%3D"


def opened(running, book):
    running.run(f"__vsc_ipynb_file__ = {str(book)!r}")
    running.run("%load_ext funcx_jupyter")


def test_cells_are_told_apart_and_the_newest_value_comes_back(fabric, tmp_path):
    book = tmp_path / "a book.ipynb"
    with kernel(fabric.environment()) as first:
        opened(first, book)
        first.run("%%funcx -o x\nx = 1", cell_id=address(book, 2))
        first.run("%%funcx -o x\nx = x + 1", cell_id=address(book, 3))
        # The window was closed and opened again, after a cell had been put on top.
        first.run("%%funcx -o y\ny = 'of another cell'", cell_id=address(book, 3))
        first.run("%%funcx -o y\ny = 'of another cell'", cell_id=address(book, 3))
    with kernel(fabric.environment()) as second:
        opened(second, book)
        told = second.run("%funcx attach").result["text/plain"]
        assert told.startswith("3 tasks of this notebook: ")
        assert second.run("x, y").result["text/plain"] == "(2, 'of another cell')"
    with kernel(fabric.environment()) as other:
        opened(other, tmp_path / "another folder" / "a book.ipynb")
        assert other.run("%funcx attach").result["text/plain"].startswith("No tasks of this notebook")
