"""The web service (with the forwarder in it) as a process of this machine: started, asked, stopped."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_core.fabric import leftovers
from funcx_core.sdk.settings import SERVICE_FILE

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 15.0
_POLL: Final = 0.05


class ServiceFile(msgspec.Struct, frozen=True):
    """What a running service tells in ``service.json``."""

    service_address: str
    pid: int


def running_service(home: Path) -> ServiceFile | None:
    """Return the service of `home` if its process lives and answers, else None."""
    found = _read(home)
    return found if found is not None and _lives(home, found.pid) and answers(found.service_address) else None


def start_service(home: Path, *, port: int | None = None) -> ServiceFile:
    """Start the service in the background; return when it answers.

    Raises:
        ConfigError: if it ended instead; the text is what it said.
        ServiceUnavailable: if it does not answer in time.
    """
    said = home / "service.out"
    command = [sys.executable, "-m", "funcx_core.service.cli", *([] if port is None else [f"--port={port}"])]
    (home / SERVICE_FILE).unlink(missing_ok=True)  # a stale one of a killed service must not be taken for the new one
    with open(said, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        process = subprocess.Popen(
            command,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ConfigError(f"The web service did not start: {_last_words(said)}")
        if (found := running_service(home)) is not None:
            return found
        time.sleep(_POLL)
    process.terminate()
    raise ServiceUnavailable(f"The web service did not answer within {START_TIMEOUT:.0f} s. Its log is in {said}.")


def stop_service(home: Path) -> bool:
    """Stop the service of `home`; return whether one ran. No process of it is left."""
    pids = [process.pid for process in leftovers.processes(home) if process.role == "service"]
    for number, patience in ((signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, STOP_TIMEOUT)):
        stop_processes(home, "service", number, patience)
    (home / SERVICE_FILE).unlink(missing_ok=True)
    return bool(pids)


def stop_processes(home: Path, role: str, number: signal.Signals, patience: float) -> None:
    """Send the signal to all processes of that role and wait until none is left, or patience is."""
    deadline = time.monotonic() + patience
    first = True
    while alive := [process.pid for process in leftovers.processes(home) if process.role == role]:
        if time.monotonic() > deadline:
            return
        if first:
            for pid in alive:
                _signal(pid, number)
            first = False
        time.sleep(_POLL)


def answers(address: str, timeout: float = 2.0) -> bool:
    """Whether a service answers at that address."""
    return get_json(f"{address}/health", timeout=timeout, verified=False) is not None


def get_json(url: str, *, token: str = "", timeout: float = 5.0, verified: bool = True) -> Any:
    """Return the JSON that a service answers, or None if it does not answer 2xx with JSON.

    `verified` False asks whoever answers, whatever its certificate: not with a token.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = ssl.create_default_context() if url.startswith("https:") else None
    if tls is not None and not verified and not token:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=timeout) as reply:  # noqa: S310 - an address of ours
            return msgspec.json.decode(reply.read())
    except (OSError, ValueError, msgspec.MsgspecError, urllib.error.URLError):
        return None


def environment(home: Path) -> dict[str, str]:
    """Return the environment for processes of this fabric; `FUNCX_HOME` marks them as its own."""
    strangers = {
        "FUNCX_SERVICE_ADDRESS",
        "FUNCX_SDK_CLIENT_ID",
        "FUNCX_SDK_CLIENT_SECRET",
        "FUNCX_SDK_ENVIRONMENT",
        "FUNCX_TOKEN",
    }
    return {**{key: value for key, value in os.environ.items() if key not in strangers}, "FUNCX_HOME": str(home)}


def _read(home: Path) -> ServiceFile | None:
    try:
        return msgspec.json.decode((home / SERVICE_FILE).read_bytes(), type=ServiceFile)
    except (OSError, msgspec.MsgspecError):
        return None


def _lives(home: Path, pid: int) -> bool:
    return any(process.pid == pid for process in leftovers.processes(home))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _last_words(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing; see {path.parent / 'service' / 'service.log'}"
