"""``funcx login`` in a real terminal, against the fake of Globus."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

from tests.support.fake_globus import FakeGlobus

ADDRESS = "http://127.0.0.1:9/v2"


def read_until(terminal: int, pattern: str, timeout: float = 60.0) -> str:
    """Return what the terminal shows, once it shows `pattern`."""
    said = ""
    deadline = time.monotonic() + timeout
    while not re.search(pattern, said):
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 4096).decode()
    return said


def run_in_terminal(arguments: list[str], environment: dict[str, str]) -> tuple[subprocess.Popen, int]:
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "funcx_core.fabric.cli", *arguments]
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env=environment, start_new_session=True, close_fds=True
    )
    os.close(its)
    return process, mine


def test_a_person_signs_in_and_out(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with FakeGlobus() as globus:
        ada = globus.add_identity("ada@example.org")
        environment = {**os.environ, **globus.environment, "FUNCX_HOME": str(home), "COLUMNS": "200"}
        process, terminal = run_in_terminal(["login", ADDRESS, "--environment", "lab"], environment)
        said = read_until(terminal, "Paste the code")
        (address,) = re.findall(r"http://\S+/v2/oauth2/authorize\S+", said)
        os.write(terminal, f"{globus.sign_in_by_browser(address, ada)}\n".encode())
        read_until(terminal, "is used with this login from now on")
        assert process.wait(30) == 0
        os.close(terminal)
        assert json.loads((home / "credentials.json").read_text()) == {
            ADDRESS: {"login": "globus", "environment": "lab"}
        }
        script = (
            f"from funcx import FuncXClient; print(FuncXClient(funcx_service_address={ADDRESS!r}).settings.headers)"
        )
        shown = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
        (token,) = re.findall(r"Bearer ([\w-]+)", shown)
        assert globus.tokens[token].identity is ada
        process, terminal = run_in_terminal(["logout", ADDRESS], environment)
        read_until(terminal, "is forgotten")
        assert process.wait(30) == 0
        os.close(terminal)
        assert not any(token.active for token in globus.tokens.values())
        assert json.loads((home / "credentials.json").read_text()) == {}
