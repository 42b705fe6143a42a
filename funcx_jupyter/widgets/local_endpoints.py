"""Endpoints of this machine, through the command ``funcx-endpoint`` of this environment. Takes seconds: call it in a thread."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError, FuncxError

_TIMEOUT: Final = 90.0


class LocalEndpoint(msgspec.Struct, frozen=True):
    """An endpoint that is configured here. `id` is None until its first start."""

    name: str
    id: str | None = None
    state: str = ""


class LocalEndpoints:
    """Lists, starts and stops the endpoints of this user on this machine."""

    def list(self) -> list[LocalEndpoint]:
        """Return them; none where the endpoint software is not installed.

        Raises:
            ConfigError: the command failed; the message is its last line.
        """
        if importlib.util.find_spec("funcx_endpoint") is None:
            return []
        return msgspec.json.decode(_run("list", "--json"), type=list[LocalEndpoint])

    def start(self, name: str) -> None:
        """Start one; it is online when this returns."""
        _run("start", "--", name)

    def stop(self, name: str) -> None:
        """Stop one; no process of it is left when this returns."""
        _run("stop", "--", name)


def _run(*arguments: str) -> str:
    command: list[Any] = [sys.executable, "-m", "funcx_endpoint.cli", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise FuncxError(
            f"`funcx-endpoint {' '.join(arguments)}` takes more than {_TIMEOUT:.0f} s. Look at its log."
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["It said nothing."]
        raise ConfigError(said[-1].removeprefix("Error: "))
    return done.stdout
