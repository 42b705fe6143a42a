"""`funcx lab`: JupyterLab on the tutorials, with the fabric running for as long as it is open."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from funcx_core.errors import UsageError
from funcx_core.fabric import compose
from funcx_core.fabric.service_process import environment
from funcx_core.fabric.terminal import Terminal

_FIRST: Final = "quickstart.ipynb"
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


def lab(home: Path, folder: Path, terminal: Terminal, arguments: tuple[str, ...]) -> int:
    """Run JupyterLab until it ends; return its exit code. What this started is stopped afterwards."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not installed here. Run: pip install 'funcx-workbench[notebooks]'")
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}. Run `funcx lab` in a clone of the repository, or name a folder."
        )

    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may have been closed, and the rest must still be stopped
            terminal.step(text)

    raised = compose.up(home, say=say)
    try:
        return _run(command_line(folder, arguments), environment(home))
    finally:
        if raised.started:
            compose.down(home, say=say)


def command_line(folder: Path, arguments: tuple[str, ...], *, as_root: bool | None = None) -> list[str]:
    """Return what starts JupyterLab on `folder`. What `arguments` set is left to them."""
    given = {argument.split("=")[0] for argument in arguments}
    options = {"--ServerApp.root_dir": str(folder.resolve())}
    if (folder / _FIRST).is_file():
        options["--LabApp.default_url"] = f"/lab/tree/{_FIRST}"
    ours = [f"{name}={value}" for name, value in options.items() if name not in given]
    if (os.geteuid() == 0 if as_root is None else as_root) and "--allow-root" not in given:
        ours.append("--allow-root")  # In a container everyone is root; it listens on the loopback, behind a token.
    return [sys.executable, "-m", "jupyterlab", *ours, *arguments]


def _run(command: list[str], env: dict[str, str]) -> int:
    with subprocess.Popen(command, env=env) as process, _passed_on(process):
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # JupyterLab got the same signal and asks its user whether it is meant.
                continue


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While it lasts, a signal that asks this process to end ends JupyterLab, and so this process after it."""
    before = {number: signal.signal(number, lambda *_: process.terminate()) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
