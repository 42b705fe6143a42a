"""The verbs of `%funcx` about where cells can run: the service, endpoints, and what is installed there."""

from __future__ import annotations

import os

from funcx_core.protocol.environment import Environment
from funcx_core.sdk.settings import normal_address
from funcx_jupyter.desk import Desk
from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Table, Text
from funcx_jupyter.local_fabric import has_service, up
from funcx_jupyter.session.endpoints import LOCAL, Endpoint
from funcx_jupyter.session.environment import differences, other_python, packages_here


def use(desk: Desk, name: str) -> Text:
    """Run the cells that name no endpoint there from now on."""
    chosen = desk.session.find_endpoint(name)  # It may be offline now, and online when a cell runs.
    desk.session.used = name
    return Text(f"Cells run on {chosen.name} from now on ({_state(chosen)}).")


def endpoints(desk: Desk) -> Table:
    """List your endpoints."""
    rows = sorted(desk.session.connection.endpoints(), key=lambda row: (not row.is_online, row.name))
    heading = ("endpoint", "state", "workers", "idle", "waiting", "python", "host", "id")
    nothing = "There is no endpoint yet. Start one with `%funcx start local`."
    return Table(heading, [_endpoint_row(row) for row in rows], nothing)


def start(_: Desk, name: str) -> Text:
    """Start an endpoint of this machine; `local` also starts a service if none is known. Takes some seconds."""
    if name == LOCAL and not has_service():
        up()
        return Text("The service and the endpoint local are running. `funcx down` in a terminal stops them.")
    from funcx_jupyter.widgets.local_endpoints import LocalEndpoints  # noqa: PLC0415 - the magics load faster without it

    LocalEndpoints().start(name)
    return Text(f"{name} is online.")


def stop(_: Desk, name: str) -> Text:
    """Stop an endpoint of this machine; what runs there is stopped."""
    from funcx_jupyter.widgets.local_endpoints import LocalEndpoints  # noqa: PLC0415 - see `start`

    LocalEndpoints().stop(name)
    return Text(f"{name} is stopped.")


def restart(desk: Desk, name: str) -> Text:
    """Stop an endpoint of this machine and start it again."""
    stop(desk, name)
    return start(desk, name)


def connect(desk: Desk, address: str) -> Text:
    """Use the service at this address from now on, in this kernel."""
    os.environ["FUNCX_SERVICE_ADDRESS"] = normal_address(address)
    desk.session.close()
    names = ", ".join(row.name for row in desk.session.connection.endpoints() if row.is_online)
    return Text(f"Connected to {desk.session.connection.address.removesuffix('/v2')}. Online: {names or 'nothing'}.")


def env(desk: Desk, name: str = "", *, diff: bool = False) -> Text | Table:
    """Show what is installed on an endpoint; with --diff only what differs from this kernel."""
    session = desk.session
    row = session.find_endpoint(name) if name else session.endpoint()
    found = session.environments.of(row.endpoint_id, anew=True)
    if not found:
        return Text(f"{row.name} has not reported what is installed there. It does when it has run workers.")
    if diff:
        packages = {package: version for one in found for package, version in one.packages.items()}
        rows = differences(packages_here(), packages)
        same = f"{row.name} has the very packages of this kernel."
        return Table(("package", "here", row.name), [(n, here or "-", there or "-") for n, here, there in rows], same)
    return Text("\n".join([f"{row.name}:", *map(_described, found), *filter(None, [other_python(found, row.name)])]))


def _described(environment: Environment) -> str:
    memory = words.size(environment.memory_bytes) if environment.memory_bytes else "memory unknown"
    gpus = ", ".join(one.name for one in environment.accelerators)
    parts = [
        f"{environment.implementation} {environment.python_version}",
        f"{len(environment.packages)} packages",
        f"{environment.cores} cores",
        memory,
        *([gpus] if gpus else []),
        *([f"container {environment.container}"] if environment.container else []),
        environment.platform,
    ]
    return "  " + " · ".join(part for part in parts if part)


def _endpoint_row(row: Endpoint) -> tuple[str, ...]:
    counts = (str(row.workers), str(row.idle_workers), str(row.pending_tasks)) if row.is_online else ("", "", "")
    return (row.name, _state(row), *counts, row.python_version, row.hostname, row.endpoint_id)


def _state(row: Endpoint) -> str:
    if row.is_online:
        return "● online"
    return "○ offline" if row.last_seen is None else f"○ offline, last seen {words.ago(row.last_seen)}"
