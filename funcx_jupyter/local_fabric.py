"""The service of this machine: whether there is one, and how a notebook starts it."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import msgspec

from funcx_core.errors import ConfigError, NotConfigured
from funcx_core.home import home
from funcx_core.sdk.settings import SERVICE_FILE, load_settings

_UP_SECONDS: Final = 120.0


class _ServiceFile(msgspec.Struct):
    service_address: str = ""


def has_service() -> bool:
    """Whether a service is configured, here or elsewhere."""
    try:
        load_settings()
    except NotConfigured:
        return False
    return True


def is_own_service(address: str) -> bool:
    """Whether the service at this address is the one that `funcx up` of this home started."""
    try:
        content = (home() / SERVICE_FILE).read_bytes()
        return msgspec.json.decode(content, type=_ServiceFile).service_address == address
    except (OSError, msgspec.MsgspecError):
        return False


def up() -> None:
    """Start the service and the endpoint `local` unless they run; renew the saved token in any case. Takes seconds.

    Raises:
        ConfigError: it did not work; with what the command said.
    """
    command = [sys.executable, "-m", "funcx_core.fabric.cli", "up"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_UP_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["`funcx up` failed and said nothing."]
        raise ConfigError(said[-1].removeprefix("Error: "))
