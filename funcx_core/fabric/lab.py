"""`funcx lab`: JupyterLab on the tutorials, with the fabric running for as long as it is open."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from funcx_core.errors import UsageError
from funcx_core.fabric import compose
from funcx_core.fabric.service_process import environment
from funcx_core.fabric.terminal import Terminal


def lab(home: Path, folder: Path, terminal: Terminal, arguments: tuple[str, ...]) -> int:
    """Run JupyterLab until it ends; return its exit code. What this started is stopped afterwards."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not installed here. Run: pip install 'funcx-workbench[notebooks]'")
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}. Run `funcx lab` in a clone of the repository, or name a folder."
        )
    raised = compose.up(home, say=terminal.step)
    try:
        return _run(home, folder, arguments)
    finally:
        if raised.started:
            compose.down(home, say=terminal.step)


def _run(home: Path, folder: Path, arguments: tuple[str, ...]) -> int:
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.resolve()}", *arguments]
    with subprocess.Popen(command, env=environment(home)) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # JupyterLab got the same signal and asks its user whether it is meant.
                continue
