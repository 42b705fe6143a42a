"""A fabric on one machine: the service and one local endpoint beside it. Every step may be repeated."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import Conflict, FuncxError, UsageError
from funcx_core.fabric import endpoint_process, leftovers, service_process
from funcx_core.sdk.settings import CREDENTIALS_FILE, load_settings
from funcx_core.sdk.web import WebClient
from funcx_core.service.config_file import load as load_config
from funcx_core.service.files import known_token

ENDPOINT: Final = "local"
LOCK_TIMEOUT: Final = 120.0

Say = Callable[[str], None]


class EndpointState(msgspec.Struct, frozen=True):
    """One endpoint, as the service sees it. `state`: online or offline."""

    id: str
    name: str
    state: str


class FabricStatus(msgspec.Struct, frozen=True):
    """What ``funcx status --json`` prints. `state`: running or stopped; no address when stopped."""

    service_address: str | None
    state: str
    endpoints: list[EndpointState]


class Raised(msgspec.Struct, frozen=True):
    """What `up` found or made. `started`: whether anything was started by it."""

    status: FabricStatus
    started: bool


def up(home: Path, *, say: Say, port: int | None = None) -> Raised:
    """Start what does not run yet: the service, then the endpoint ``local``.

    Raises:
        FuncxError: with what went wrong and what to do.
        KeyboardInterrupt: it was interrupted; if nothing ran before, nothing runs now.
    """
    require_extras()
    with _alone(home):
        ran = any(found.role != "other" for found in leftovers.processes(home))
        try:
            started_service = _ensure_service(home, port, say)
            _ensure_token(home)
            started_endpoint = _ensure_endpoint(home, say)
        except KeyboardInterrupt:
            if not ran:
                say("\nStopping what was started.")
                _stop_endpoints(home, say)
                service_process.stop_service(home)
            raise
    return Raised(status(home), started_service or started_endpoint)


def down(home: Path, *, say: Say) -> bool:
    """Stop every endpoint of this home and the service; return whether anything ran.

    Raises:
        Conflict: if something cannot be stopped.
    """
    with _alone(home):
        stopped = _stop_endpoints(home, say)
        if service_process.stop_service(home):
            say("Stopped the web service.")
            stopped = True
    if left := remains(home):
        raise Conflict(f"Still there after `funcx down`: {'; '.join(left)}.")
    return stopped


def status(home: Path) -> FabricStatus:
    """Return what of the fabric runs."""
    service = service_process.running_service(home)
    if service is None:
        return FabricStatus(None, "stopped", [])
    token = known_token(home / CREDENTIALS_FILE, service.service_address)
    rows = service_process.get_json(f"{service.service_address}/endpoints", token=token or "") or []
    endpoints = [EndpointState(row["uuid"], row["name"], row["state"]) for row in rows]
    return FabricStatus(service.service_address, "running", endpoints)


def remains(home: Path) -> list[str]:
    """Return what a stopped fabric has left behind, in words; empty if nothing."""
    alive = [found for found in leftovers.processes(home) if found.role != "other"]
    locks = [path for path in leftovers.held_locks(home) if path != _lock_path(home)]
    return [
        *(f"process {found.pid} ({found.role})" for found in alive),
        *(f"port {port}" for port in sorted(leftovers.listening_ports({found.pid for found in alive}))),
        *(f"lock {path}" for path in locks),
    ]


def token(home: Path) -> str:
    """Return the bearer token for the service of `home`.

    Raises:
        FuncxError: if no service or no token is known, with what to type.
    """
    service = service_process.running_service(home)
    settings = load_settings(service.service_address if service else None).require_token()
    return settings.headers["Authorization"].removeprefix("Bearer ")


def page_link(home: Path) -> str:
    """Return a link that opens the status page, signed in; it works once, for a minute.

    The code is behind the ``#``, which browsers keep to themselves: it is in no log and in no Referer.

    Raises:
        FuncxError: if no service or no token is known, with what to type.
    """
    service = service_process.running_service(home)
    settings = load_settings(service.service_address if service else None).require_token()
    with closing(WebClient(settings)) as web:
        code = web.post("login_codes", body={})["code"]
    return f"{settings.service_address.removesuffix('/v2')}/#code={code}"


def token_for(home: Path, user: str, *, days: float | None = None) -> str:
    """Return a new bearer token for a user of the service of `home`, who is made if there is none of that name.

    Raises:
        FuncxError: nobody can be called so, or the service's data cannot be used.
    """
    require_extras()
    from funcx_core.service.app import mint_token  # noqa: PLC0415 - SQLAlchemy only for who needs it

    lifetime = None if days is None else days * 86_400
    return asyncio.run(mint_token(home / "service", label="funcx token", lifetime=lifetime, user_name=user))


def require_extras() -> None:
    """Raise `UsageError` if this installation is the SDK alone."""
    missing = [name for name, module in (("service", "sqlalchemy"), ("endpoint", "parsl")) if not _is_there(module)]
    if missing:
        wanted = ",".join(missing)
        raise UsageError(f"This installation lacks what a fabric needs. Run: pip install 'funcx-workbench[{wanted}]'")


def _ensure_service(home: Path, port: int | None, say: Say) -> bool:
    found = service_process.running_service(home)
    if found is not None:
        say(f"The web service runs already at {found.service_address} (pid {found.pid}).")
        return False
    service_process.stop_service(home)  # one that lives but no longer answers would keep the database locked
    found = service_process.start_service(home, port=port)
    say(f"Started the web service at {found.service_address} (pid {found.pid}).")
    return True


def _ensure_token(home: Path) -> None:
    """See to it that the saved token is good: it may have been forgotten, revoked, or not used for long."""
    found = service_process.running_service(home)
    if found is None:
        return
    token = known_token(home / CREDENTIALS_FILE, found.service_address)
    if service_process.get_json(f"{found.service_address}/limits", token=token or "") is None:
        from funcx_core.service.app import renew_saved_token  # noqa: PLC0415 - SQLAlchemy takes 0.2 s, and is seldom needed

        config = load_config(home / "service", environ=os.environ)
        asyncio.run(renew_saved_token(config, home / CREDENTIALS_FILE, found.service_address))


def _ensure_endpoint(home: Path, say: Say) -> bool:
    known = {endpoint.name: endpoint for endpoint in endpoint_process.list_endpoints(home)}
    if ENDPOINT not in known:
        endpoint_process.configure_endpoint(home, ENDPOINT)
        say(f"Configured the endpoint {ENDPOINT} in {home / ENDPOINT}.")
    elif known[ENDPOINT].runs:
        say(f"The endpoint {ENDPOINT} runs already ({known[ENDPOINT].id}).")
        return False
    endpoint_process.start_endpoint(home, ENDPOINT)
    say(f"Started the endpoint {ENDPOINT}.")
    return True


def _stop_endpoints(home: Path, say: Say) -> bool:
    alive = [found for found in leftovers.processes(home) if found.role in {"agent", "manager", "worker"}]
    if not alive:
        return False
    for endpoint in endpoint_process.list_endpoints(home):
        if endpoint.runs:
            try:
                endpoint_process.stop_endpoint(home, endpoint.name, say=say)
            except FuncxError as error:
                say(f"{error} Its processes are killed now.")
    for role in ("agent", "manager", "worker"):
        service_process.stop_processes(home, role, signal.SIGKILL, patience=5)
    return True


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the lock of `up` and `down`, so that two of them never work at the same time."""
    with _lock_path(home).open("a") as file:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise Conflict(
                    f"Another `funcx up` or `funcx down` holds {_lock_path(home)}. Wait for it, then try again."
                )
            time.sleep(0.1)
        yield


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock_path(home: Path) -> Path:
    return home / "fabric.lock"


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
