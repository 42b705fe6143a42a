"""`funcx lab`: JupyterLab and a fabric, started together and stopped together."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress

import pytest

from tests.support.fabric import Fabric, eventually

PHRASE = "a-token-for-this-test"


def get(url):
    with suppress(OSError):
        request = urllib.request.Request(url, headers={"Authorization": f"token {PHRASE}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    return None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def notebooks(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "quickstart.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    return folder


@pytest.mark.xdist_group("own-fabric")
def test_jupyterlab_and_fabric_come_together_and_go_when_the_terminal_is_closed(tmp_path, notebooks):
    fabric = Fabric(tmp_path / "home")
    port = free_port()
    folders = {
        f"JUPYTER_{name}_DIR": str(tmp_path / f"jupyter-{name.lower()}") for name in ("CONFIG", "DATA", "RUNTIME")
    }
    options = [
        f"--folder={notebooks}",
        "--no-browser",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={PHRASE}",
    ]
    with (tmp_path / "lab.log").open("wb") as log:
        lab = subprocess.Popen(
            [sys.executable, "-m", "funcx_core.fabric.cli", "lab", *options],
            env=fabric.environment(**folders),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        api = f"http://127.0.0.1:{port}/api"
        eventually(lambda: lab.poll() is not None or get(f"{api}/status"), "JupyterLab answers", timeout=80)
        assert lab.poll() is None, (tmp_path / "lab.log").read_text()
        assert [entry["name"] for entry in get(f"{api}/contents")["content"]] == ["quickstart.ipynb"]
        assert fabric.is_online("local")
        lab.send_signal(signal.SIGHUP)
        lab.wait(40)
        assert get(f"{api}/status") is None
        fabric.assert_clean()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(lab.pid, signal.SIGKILL)
        fabric.kill_all()
