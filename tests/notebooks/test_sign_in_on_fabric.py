"""A sign-in that ends while a cell runs, a new one by a code, and the cell's task goes on."""

from __future__ import annotations

import os
import re
import threading

import pytest

from funcx_core.sdk.settings import Settings, save_credentials
from funcx_core.sdk.web import WebClient
from tests.notebooks.kernels import kernel
from tests.support.fabric import eventually

pytestmark = pytest.mark.xdist_group("fabric-kernel")

SLOW = """%%funcx local -o x
import time, pathlib
print('one', flush=True)
while not pathlib.Path({release!r}).exists():
    time.sleep(0.02)
x = 42
x"""

LATER = "%%funcx local -a -n later\nimport time, pathlib\nwhile not pathlib.Path({release!r}).exists():\n    time.sleep(0.02)\n'late'"
SECONDS = 6


def test_a_cell_outlives_its_sign_in(fabric, tmp_path, monkeypatch):
    host = fabric.address.removesuffix("/v2")
    release = str(tmp_path / "release")
    owner = WebClient(Settings(fabric.address, fabric.token))
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    save_credentials(fabric.address, fabric.token)
    env = {**os.environ, "FUNCX_SERVICE_ADDRESS": fabric.address, "JPY_SESSION_NAME": str(tmp_path / "book.ipynb")}
    env.pop("FUNCX_TOKEN", None)
    with kernel(env) as book:
        book.run("%load_ext funcx_jupyter\n%funcx whoami")
        short = owner.post("tokens", body={"label": "short", "lifetime": SECONDS})["token"]
        save_credentials(fabric.address, short)
        book.run(LATER.format(release=release))
        cell = book.run(SLOW.format(release=release))
        name, shown = cell.error
        assert name == "AuthError"
        assert re.fullmatch(rf"AuthError: Your sign-in for {host} expired \d+ s ago\. Run `%funcx login`\.", shown)
        assert cell.text() == "one\n"
        assert "signed out" in cell.header
        assert "expired" in book.run("%%funcx local\n1").error[1]

        approving = threading.Thread(target=approve, args=(owner, tmp_path))
        approving.start()
        said = book.run(f"import io\n{TEE.format(path=str(tmp_path / 'said'))}\n%funcx login")
        approving.join(60)
        assert re.search(rf"Open {host}/device and enter [A-Z]{{4}}-[A-Z]{{4}} \(10 min\)", said.text())
        assert said.result["text/plain"].endswith(f"at {host}, by the saved token.")

        (tmp_path / "release").touch()
        book.run("sys.stdout = sys.stdout.other")
        attached = book.run("%funcx attach")
        assert attached.text() == "one\n"
        assert "restored" in attached.result["text/plain"]
        assert book.run("x").result["text/plain"] == "42"
        assert book.run("later.result()").result["text/plain"] == "'late'"
    owner.close()


TEE = """
class Tee(io.TextIOBase):
    def __init__(self, other): self.other = other
    def write(self, text):
        with open({path!r}, 'a') as kept: kept.write(text)
        return self.other.write(text)
    def flush(self): self.other.flush()
import sys
sys.stdout = Tee(sys.stdout)
"""
"""What a cell prints is in a file, too: here nobody reads it on a screen while the cell waits."""


def approve(owner, folder):
    said = folder / "said"
    eventually(lambda: said.exists() and "(10 min)" in said.read_text(), "the code is shown", timeout=60)
    code = said.read_text().split(" and enter ")[1][:9]
    owner.post("device_codes", "decide", body={"user_code": code, "approve": True})
