"""The verb `%funcx doctor`: what notebooks need, one line per check, with what to type next where something is wrong."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Final

from funcx_core import __version__
from funcx_core.errors import FuncxError
from funcx_core.home import home
from funcx_core.sdk.checkup import Finding, examine_service
from funcx_jupyter.display.tables import Table
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.environment import other_python
from funcx_jupyter.verbs.desk import Desk

_ENOUGH_DISK: Final = 1024**3
_OLDEST: Final = {"ipython": (8, 18), "ipykernel": (6, 29), "ipywidgets": (8, 1), "anywidget": (0, 9)}
_OPTIONAL: Final = frozenset({"ipykernel"})  # A terminal needs none.


def doctor(desk: Desk) -> Table:
    """Check the service, your sign-in, endpoints, versions, settings and this kernel, and say what to type where something is wrong."""
    service = examine_service()
    findings = [_python(), _packages(), _disk(), _safely("settings", lambda: _settings(desk)), *service]
    if not any(finding.fix for finding in service):
        findings += [_safely("endpoints", lambda: _endpoints(desk)), *_safely_many(lambda: _protocols(desk))]
    rows = [("✗" if one.fix else "✓", one.name, one.found, _typed(one.fix)) for one in findings]
    return Table(("", "check", "found", "what to do"), rows, "")


def _typed(fix: str) -> str:
    """Return an advice as it is typed in a notebook."""
    return fix.replace("Run: funcx login", "Run `%funcx login`").replace("`funcx up`", "`%funcx start local`")


def _safely(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except FuncxError as error:
        return Finding(name, "cannot be told", str(error))


def _safely_many(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except FuncxError as error:
        return [Finding("protocols", "cannot be told", str(error))]


def _python() -> Finding:
    fix = "" if sys.version_info >= (3, 11) else "Use a kernel with Python 3.11 or newer."
    return Finding("python", f"{platform.python_version()}, {sys.executable}", fix)


def _packages() -> Finding:
    found, old = [f"funcx {__version__}"], []
    for name, oldest in _OLDEST.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in _OPTIONAL:
                old.append(name)
            continue
        found.append(f"{name} {version}")
        if _numbers(version) < oldest:
            old.append(f"{name}>={'.'.join(map(str, oldest))}")
    fix = f"Run: {sys.executable} -m pip install {' '.join(repr(one) for one in old)}" if old else ""
    return Finding("packages", ", ".join(found), fix)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _disk() -> Finding:
    try:
        folder = home()
    except FuncxError as error:
        return Finding("disk", "~/.funcx cannot be used", str(error))
    free = shutil.disk_usage(folder).free
    fix = "" if free >= _ENOUGH_DISK else "Free some space, or set FUNCX_HOME to a folder on another disk."
    return Finding("disk", f"{free / 1024**3:.1f} GB free in {folder}", fix)


def _settings(desk: Desk) -> Finding:
    found = desk.session.configuration.found()
    told = ", ".join(f"{name} = {one.text}" for name, one in found.items())
    return Finding("settings", told or "none is set; all are as they come")


def _endpoints(desk: Desk) -> Finding:
    rows = desk.session.connection.endpoints()
    online = sorted(row.name for row in rows if row.is_online)
    offline = sorted(row.name for row in rows if not row.is_online)
    found = " · ".join(
        [f"online: {', '.join(online) or 'none'}", *([f"offline: {', '.join(offline)}"] if offline else [])]
    )
    return Finding("endpoints", found, "" if online else f"Run `%funcx start {offline[0] if offline else 'local'}`")


def _protocols(desk: Desk) -> list[Finding]:
    """Return a finding for each endpoint that is online: its Python, and its version of funcX."""
    online = [row for row in desk.session.connection.endpoints() if row.is_online]
    return [_protocol(desk, row) for row in sorted(online, key=lambda row: row.name)]


def _protocol(desk: Desk, row: Endpoint) -> Finding:
    environments = desk.session.environments.of(row.endpoint_id, anew=True)
    if not environments:
        return Finding(row.name, "has not reported what is installed there; it does when it has run workers")
    latest = environments[-1]
    found = f"Python {latest.python_version}, funcx {latest.version or 'unknown'}"
    if latest.version and _numbers(latest.version) != _numbers(__version__):
        return Finding(row.name, found, f"Install funcx-workbench {__version__} there, and restart {row.name}.")
    note = other_python(environments, row.name)
    return Finding(row.name, f"{found}. {note}" if note else found)
