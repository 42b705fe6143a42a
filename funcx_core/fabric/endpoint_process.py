"""Endpoints of this machine, through the command ``funcx-endpoint`` of the installed package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.fabric.service_process import environment

COMMAND_TIMEOUT: Final = 90.0


class LocalEndpoint(msgspec.Struct, frozen=True):
    """An endpoint configured in this home, as ``funcx-endpoint list --json`` shows it."""

    name: str
    id: str | None = None
    state: str = ""

    @property
    def runs(self) -> bool:
        """Whether its agent lives."""
        return self.state in {"running", "online", "starting", "disconnected"}


def list_endpoints(home: Path) -> list[LocalEndpoint]:
    """Return the endpoints configured in this home."""
    return msgspec.json.decode(_run(home, "list", "--json"), type=list[LocalEndpoint])


def configure_endpoint(home: Path, name: str) -> None:
    """Make the endpoint's folder with a config of its own."""
    _run(home, "configure", name)


def start_endpoint(home: Path, name: str) -> None:
    """Start the endpoint; it is online when this returns."""
    _run(home, "start", name)


def stop_endpoint(home: Path, name: str, *, say: Callable[[str], None]) -> None:
    """Stop the endpoint; no process of it is left when this returns. `say` is told what is waited for.

    Its configuration says how long tasks may go on, so there is no time limit here.
    """
    arguments = ("stop", name)
    line = ""
    with subprocess.Popen(
        _command(arguments),
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            if not line.startswith("Error: "):  # That is raised.
                say(line.rstrip())
    if process.returncode != 0:
        raise _failed(arguments, line, process.returncode)


def _run(home: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            _command(arguments),
            env=environment(home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"`funcx-endpoint {' '.join(arguments)}` did not end within {COMMAND_TIMEOUT:.0f} s. See the logs in {home}."
        ) from None
    if done.returncode != 0:
        raise _failed(arguments, done.stderr.strip() or done.stdout, done.returncode)
    return done.stdout


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "funcx_endpoint.cli", *arguments]


def _failed(arguments: tuple[str, ...], output: str, code: int) -> ConfigError:
    said = (output.strip() or f"exit code {code}").splitlines()[-1]
    return ConfigError(f"`funcx-endpoint {' '.join(arguments)}` failed: {said.removeprefix('Error: ')}")
