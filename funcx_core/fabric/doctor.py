"""`funcx doctor`: what a fabric needs of this machine, one line per check, with what to do where something is wrong."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from funcx_core.errors import ConfigError, NotConfigured
from funcx_core.fabric import compose, leftovers, service_process
from funcx_core.home import private_dir
from funcx_core.sdk.checkup import Finding, examine_service
from funcx_core.sdk.settings import CREDENTIALS_FILE, load_settings

ENOUGH_DISK: Final = 1024**3
_EXTRAS: Final = {"service": ("sqlalchemy",), "endpoint": ("parsl", "psutil"), "jupyter": ("IPython", "ipywidgets")}


def examine(home: Path) -> list[Finding]:
    """Return a finding for every check, whatever the state of this machine."""
    checks: list[Callable[[Path], Finding]] = [
        _python,
        _packages,
        _home,
        _credentials,
        _disk,
        _ports,
        _service,
        _endpoint,
    ]
    return [*(check(home) for check in checks), *(examine_service() if _is_configured() else [])]


def _is_configured() -> bool:
    try:
        load_settings()
    except NotConfigured:
        return False  # That is said once: the service is not running.
    except ConfigError:
        return True
    return True


def _python(_home: Path) -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", version, "" if sys.version_info >= (3, 11) else "Use Python 3.11 or newer.")


def _packages(_home: Path) -> Finding:
    missing = [extra for extra, modules in _EXTRAS.items() if not all(map(importlib.util.find_spec, modules))]
    if missing:
        return Finding(
            "packages", f"without {', '.join(missing)}", f"Run: pip install 'funcx-workbench[{','.join(missing)}]'"
        )
    return Finding("packages", "service, endpoint and jupyter are installed")


def _home(home: Path) -> Finding:
    try:
        private_dir(home)
    except (ConfigError, OSError) as error:
        return Finding("home", str(home), str(error))
    return Finding("home", f"{home} is yours alone")


def _credentials(home: Path) -> Finding:
    path = home / CREDENTIALS_FILE
    if not path.exists():
        return Finding("credentials", "none yet; `funcx up` makes them")
    if path.stat().st_mode & 0o077:
        return Finding("credentials", f"others may read {path}", f"Run: chmod 600 '{path}'")
    return Finding("credentials", f"{path} is yours alone")


def _disk(home: Path) -> Finding:
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    found = f"{free / 1024**3:.1f} GB free in {home}"
    return Finding(
        "disk", found, "" if free >= ENOUGH_DISK else "Free some space, or set FUNCX_HOME to a folder on another disk."
    )


def _ports(home: Path) -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            free = server.getsockname()[1]
    except OSError as error:
        return Finding("ports", f"no port can be opened on 127.0.0.1: {error}", "Bring up the loopback interface.")
    used = sorted(
        leftovers.listening_ports({found.pid for found in leftovers.processes(home) if found.role != "other"})
    )
    return Finding(
        "ports",
        f"this fabric listens on {', '.join(map(str, used))}" if used else f"free ones can be had (such as {free})",
    )


def _service(home: Path) -> Finding:
    found = service_process.running_service(home)
    if found is not None:
        return Finding("service", f"answers at {found.service_address} (pid {found.pid})")
    if any(process.role == "service" for process in leftovers.processes(home)):
        return Finding("service", "its process lives but does not answer", "Run: funcx down; funcx up")
    return Finding("service", "is not running", "Run: funcx up")


def _endpoint(home: Path) -> Finding:
    state = compose.status(home)
    online = [endpoint.name for endpoint in state.endpoints if endpoint.state == "online"]
    if online:
        return Finding("endpoint", f"online: {', '.join(online)}")
    return Finding("endpoint", "none is online", "Run: funcx up")
