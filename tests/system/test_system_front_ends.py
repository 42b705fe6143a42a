"""`%%funcx` in a real browser: JupyterLab 4 and Notebook 7."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress

import nbformat
import pytest
from nbformat import v4

from tests.support.browser import a_page, require_browser
from tests.support.fabric import eventually

PHRASE = "a-token-for-this-test"
CELLS = (
    "%load_ext funcx_jupyter",
    "%%funcx\nimport time\nprint('begun', flush=True)\nfor n in range(60):\n    time.sleep(1)",
    "print('never')",
)
HEADERS = "[...document.querySelectorAll('.funcx-header')].map(each => each.textContent)"
STOP = '[data-command="notebook:interrupt-kernel"]'


READY = """(() => {
    const app = window.jupyterapp;
    const panel = app && [...app.shell.widgets("main")].find(each => each.sessionContext);
    if (!panel) return false;
    app.shell.activateById(panel.id);  // What commands mean; a browser without a window gives nothing the focus by itself.
    const kernel = panel.sessionContext.session?.kernel;
    return kernel && kernel.status === "idle" && kernel.connectionStatus === "connected";
})()"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(fabric, tmp_path_factory):
    require_browser()
    folder = tmp_path_factory.mktemp("jupyter")
    settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    asks_nothing = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(asks_nothing))
    root = folder / "notebooks"
    root.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = [
        f"--ServerApp.root_dir={root}",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={PHRASE}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--no-browser",
        "--allow-root",
    ]
    folders = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            env=fabric.environment(**folders),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: process.poll() is not None or answers(port), "JupyterLab answers", timeout=90)
        assert process.poll() is None, (folder / "server.log").read_text()
        yield root, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(40)


def answers(port):
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token={PHRASE}", timeout=5):
        return True
    return False


@pytest.mark.parametrize("front_end", ["lab/tree", "notebooks"])
def test_the_header_is_updated_in_place_and_the_stop_button_works(server, front_end):
    if front_end == "notebooks" and importlib.util.find_spec("notebook") is None:
        pytest.skip("Notebook 7 is not installed")
    root, address = server
    name = f"{front_end.replace('/', '-')}.ipynb"
    book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(book, root / name)
    asyncio.run(runs_and_is_stopped(f"{address}/{front_end}/{name}?token={PHRASE}"))


async def runs_and_is_stopped(address):
    async with a_page() as page:
        await page.go(address)
        await page.until(READY, 90)
        await page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => 0, () => 0), 0")
        await page.until(f"{HEADERS}.some(text => /^local · running \\d\\d:/.test(text))", 60)
        (first,) = await page.evaluate(HEADERS)
        await page.until(f"{HEADERS}[0] !== {json.dumps(first)}", 20)
        assert len(await page.evaluate(HEADERS)) == 1
        await page.click(STOP)
        await page.until(f"{HEADERS}.some(text => text.includes('■ stopped after'))", 30)
        assert len(await page.evaluate(HEADERS)) == 1
        shown = await page.until(
            "(() => { const text = [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.textContent).join('|');"
            " return text.includes('CellInterrupted') && text; })()"
        )
        assert "begun" in shown
        assert not await page.evaluate(
            "[...document.querySelectorAll('.jp-OutputArea-output')].some(e => e.textContent === 'never')"
        )
