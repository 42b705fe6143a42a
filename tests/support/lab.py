"""A real JupyterLab with one notebook, for tests of what its front end shows."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import v4

from tests.support.browser import Page

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-this-test"
THEMES = "@jupyterlab/apputils-extension:themes"
NEWS = "@jupyterlab/apputils-extension:notification"
PANEL = "[...window.jupyterapp.shell.widgets('main')][0]"
TRACKER = "@jupyterlab/notebook-extension:tracker"


@dataclass(frozen=True)
class Lab:
    """A server that runs."""

    address: str
    folder: Path

    def write(self, name: str, *cells: str) -> None:
        """Put a notebook there."""
        notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / name)

    async def open(self, page: Page, name: str) -> None:
        """Open a notebook alone on the page; return when its kernel is idle."""
        await page.go(f"{self.address}/doc/tree/{name}?token={TOKEN}")
        await page.until("!!window.jupyterapp", timeout=60)
        await page.until("!!document.querySelector('.jp-Notebook .jp-CodeCell')", timeout=60)
        await page.until(f"{PANEL}?.sessionContext?.session?.kernel?.status === 'idle'", timeout=90)

    def set(self, plugin: str, **values: object) -> None:
        """Change settings of JupyterLab, as its settings editor does."""
        body = json.dumps({"raw": json.dumps(values)}).encode()
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.address}/lab/api/settings/{plugin}", data=body, headers=headers, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=20):
            pass


async def run_all(page: Page) -> None:
    """Run all cells; return when the kernel is idle."""
    await page.evaluate(f"window.jupyterapp.shell.activateById({PANEL}.id)")
    await page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    await page.until(f"{PANEL}.sessionContext.session.kernel.status === 'idle'", timeout=90)


@contextmanager
def a_lab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab, with nothing of the user's."""
    notebooks = folder / "notebooks"
    notebooks.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    jupyter = {f"JUPYTER_{name.upper()}_DIR": str(folder / f"jupyter-{name}") for name in ("config", "data", "runtime")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FUNCX_")}
    environment |= {**jupyter, "FUNCX_HOME": str(folder / "funcx"), "PYTHONPATH": str(ROOT)}
    options = [
        f"--ServerApp.root_dir={notebooks}",
        "--no-browser",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.port_retries=0",
        "--expose-app-in-browser",
    ]
    if os.getuid() == 0:
        options.append("--allow-root")
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        lab = Lab(f"http://127.0.0.1:{port}", notebooks)
        _wait(lab, process, folder / "lab.log")
        lab.set(NEWS, fetchNews="false", checkForUpdates=False)
        lab.set(TRACKER, windowingMode="none")
        yield lab
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        process.wait(10)


def _wait(lab: Lab, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{lab.address}/api/status?token={TOKEN}", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


async def ask(page: Page, expression: str) -> str:
    """Return the repr of an expression in the notebook's kernel, asked beside its cells."""
    request = json.dumps({"code": "", "silent": True, "user_expressions": {"asked": expression}})
    kernel = f"{PANEL}.sessionContext.session.kernel"
    reply = await page.evaluate(f"{kernel}.requestExecute({request}).done.then((reply) => reply.content)")
    found = reply["user_expressions"]["asked"]
    assert found["status"] == "ok", found
    return str(found["data"]["text/plain"])


async def ask_until(page: Page, expression: str, wanted: str = "True", *, within: float = 30.0) -> None:
    """Ask until the answer is `wanted`."""
    deadline = time.monotonic() + within
    while (found := await ask(page, expression)) != wanted:
        assert time.monotonic() < deadline, f"{expression} is {found}"
        await asyncio.sleep(0.1)
