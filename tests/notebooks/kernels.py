"""Cells in a real Jupyter kernel, as a front end runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbformat import v4

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Kernel:
    """Runs cells one after the other and keeps them in a notebook."""

    def __init__(self, client: NotebookClient) -> None:
        self.client = client

    def run(self, source: str, *, cell_id: str = "") -> Cell:
        """Run a cell and return what it shows. `cell_id`: told to the kernel, as JupyterLab does."""
        self.client.kc.session.metadata = {"cellId": cell_id} if cell_id else {}
        cell = v4.new_code_cell(source)
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1, store_history=True)
        return Cell(cell)

    def complete(self, code: str) -> list[str]:
        """Return what the kernel offers at the end of `code`."""
        request = self.client.kc.complete(code)
        while True:
            reply = run_sync(self.client.kc.get_shell_msg)(timeout=20)
            if reply["parent_header"].get("msg_id") == request:
                matches: list[str] = reply["content"]["matches"]
                return matches


class Cell:
    """The outputs of one cell."""

    def __init__(self, cell: Any) -> None:
        self.outputs = cell.outputs
        self.number = cell.execution_count

    @property
    def kinds(self) -> list[str]:
        """What kinds of output there are, in order: names of streams, ``header``, ``image``, ``result``, ``error``."""
        return [_kind(output) for output in self.outputs]

    def text(self, name: str = "stdout") -> str:
        """Return what was written to a stream."""
        return "".join(output.text for output in self.outputs if output.get("name") == name)

    @property
    def header(self) -> str:
        """Return the text of the header line."""
        return next(output.data["text/plain"] for output in self.outputs if _kind(output) == "header")

    @property
    def blocks(self) -> list[str]:
        """Return the texts of what is displayed below the header line."""
        shown = [output.data for output in self.outputs if output.output_type == "display_data"]
        return [data["text/plain"] for data in shown if "funcx-header" not in data.get("text/html", "")]

    @property
    def result(self) -> dict[str, str]:
        """Return the MIME bundle of ``Out[n]``."""
        found = [output.data for output in self.outputs if output.output_type == "execute_result"]
        assert found, f"there is no result, but {self.outputs}"
        return found[0]

    @property
    def error(self) -> tuple[str, str]:
        """Return name and rendered traceback of the error."""
        found = next(output for output in self.outputs if output.output_type == "error")
        return found.ename, _COLOURS.sub("", "\n".join(found.traceback))


def _kind(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.name)
    if output.output_type == "display_data":
        if "funcx-header" in output.data.get("text/html", ""):
            return "header"
        return "image" if "image/png" in output.data else "display"
    return {"execute_result": "result"}.get(output.output_type, output.output_type)


@contextmanager
def kernel(env: dict[str, str], *, python: str = "") -> Iterator[Kernel]:
    """A fresh kernel with this environment. `python`: the interpreter that runs it, if it is not the one of the tests."""
    client = NotebookClient(v4.new_notebook(), timeout=60, allow_errors=True, kernel_name="python3")
    if python:
        client.create_kernel_manager().kernel_spec.argv[0] = python
    with client.setup_kernel(env=env):
        yield Kernel(client)


@contextmanager
def warm_kernel(env: dict[str, str]) -> Iterator[Kernel]:
    """A fresh kernel with the extension, whose first cell has run on an endpoint: workers import IPython with that."""
    with kernel(env) as running:
        running.run("%load_ext funcx_jupyter")
        running.run("%%funcx\n1")
        yield running
