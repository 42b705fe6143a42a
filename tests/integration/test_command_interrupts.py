"""Ctrl-C while a command still imports its modules: it ends in silence, as other tools do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
COMMANDS = {
    "funcx": ["status"],
    "funcx-endpoint": ["list"],
    "funcx-service": ["config"],
    "forwarder-service": ["--help"],
}


def has_begun_to_import(process: subprocess.Popen[str]) -> bool:
    """Whether the first library of ours is there; the interpreter itself is ready long before."""
    try:
        return "msgspec" in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_early_interrupt_shows_no_traceback(tmp_path, command, delay):
    process = subprocess.Popen(
        [BIN / command, *COMMANDS[command]],
        env={**os.environ, "FUNCX_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not has_begun_to_import(process):
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    # A shell tells the first as 130; a command that had begun says so itself; or it was faster.
    assert process.returncode in {-signal.SIGINT, 130, 0}
    assert delay or (process.returncode, said) == (-signal.SIGINT, "")


def test_who_ignores_interrupts_goes_on_doing_so(tmp_path):
    process = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; exec \"$0\" status", BIN / "funcx"],
        env={**os.environ, "FUNCX_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not has_begun_to_import(process):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert "not running" in process.communicate(timeout=60)[0]
    assert process.returncode == 0
