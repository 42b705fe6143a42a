"""Which endpoint a cell runs on. Pure: names and rows in, one row or an error with what to type next out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from funcx_core.errors import EndpointOffline, InvalidId
from funcx_core.ids import EndpointId, parse_id
from funcx_jupyter.display import words
from funcx_jupyter.errors import NoEndpointError, UnknownEndpoint, shown_in_one_line

LOCAL = "local"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as the service lists it.

    Attributes:
        last_seen: seconds since the service heard of it; None if it never did.
        hostname: where its agent runs.
        workers: tasks that it runs at a time.
        idle_workers: workers with nothing to do.
        pending_tasks: tasks that wait on it.
        version: of funcX there.
        features: what it understands; None if that is not known.
    """

    endpoint_id: EndpointId
    name: str
    is_online: bool
    last_seen: float | None = None
    hostname: str = ""
    python_version: str = ""
    workers: int = 0
    idle_workers: int = 0
    pending_tasks: int = 0
    version: str = ""
    features: frozenset[str] | None = None


def endpoint_of(row: dict[str, Any], *, now: float) -> Endpoint:
    """Return a row of the service's list of endpoints as a struct."""
    status = row.get("status") or {}
    last_seen = row.get("last_seen")
    return Endpoint(
        endpoint_id=EndpointId(str(row["uuid"])),
        name=str(row.get("name") or row["uuid"]),
        is_online=row.get("state") == "online",
        last_seen=None if not last_seen else max(0.0, now - float(last_seen)),
        hostname=str(status.get("hostname") or ""),
        python_version=str(status.get("python_version") or ""),
        workers=int(status.get("workers") or 0),
        idle_workers=int(status.get("idle_workers") or 0),
        pending_tasks=int(status.get("pending_tasks") or 0),
        version=str(row.get("version") or ""),
        features=None if row.get("features") is None else frozenset(row["features"]),
    )


def is_id(name: str) -> bool:
    """Whether a name has the form of an id."""
    try:
        parse_id(name)
    except InvalidId:
        return False
    return True


def choose(wanted: Sequence[str | None], endpoints: Sequence[Endpoint]) -> Endpoint:
    """Return the endpoint to use.

    Args:
        wanted: names or ids by falling precedence; the first that is not None decides.
        endpoints: all endpoints of the user.

    Raises:
        NoEndpointError: if nothing is wanted and there is no obvious one.
        UnknownEndpoint: if there is none of that name.
        EndpointOffline: if it is not connected.
    """
    found = find(wanted, endpoints)
    if not found.is_online:
        raise offline(found, endpoints)
    return found


def find(wanted: Sequence[str | None], endpoints: Sequence[Endpoint]) -> Endpoint:
    """Return the endpoint that is meant, online or not. Raises as `choose` does, but for that."""
    name = next((name for name in wanted if name), None)
    return _default(endpoints) if name is None else _named(name, endpoints)


def offline(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> EndpointOffline:
    """Return the error for an endpoint that is not connected: since when, what is online, and what to type."""
    return shown_in_one_line(EndpointOffline(_offline(endpoint, endpoints)))


def _default(endpoints: Sequence[Endpoint]) -> Endpoint:
    online = [endpoint for endpoint in endpoints if endpoint.is_online]
    candidates = online if len(online) == 1 else [endpoint for endpoint in online if endpoint.name == LOCAL]
    if len(candidates) == 1:
        return candidates[0]
    if not online:
        raise NoEndpointError(f"No endpoint is online. {_how_to_start(endpoints)}")
    example = online[0].name
    offline = len(endpoints) - len(online)
    hidden = f" ({offline} offline hidden)" if offline else ""
    raise NoEndpointError(
        f"Choose an endpoint: `%%funcx {example}` or `%funcx use {example}`. Online: {_names(online)}{hidden}."
    )


def _named(name: str, endpoints: Sequence[Endpoint]) -> Endpoint:
    matches = [endpoint for endpoint in endpoints if name in {endpoint.name, endpoint.endpoint_id}]
    # Of two with one name, the one that can do the work.
    matches.sort(key=lambda endpoint: not endpoint.is_online)
    if matches:
        return matches[0]
    near = difflib.get_close_matches(name, [endpoint.name for endpoint in endpoints], n=1, cutoff=0.5)
    if near:
        raise UnknownEndpoint(f"No endpoint named '{name}'. Did you mean '{near[0]}'?", name)
    known = f"Known: {_names(endpoints)}." if endpoints else _how_to_start(endpoints)
    raise UnknownEndpoint(f"No endpoint named '{name}'. {known}", name)


def _offline(endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> str:
    seen = "never seen" if endpoint.last_seen is None else f"last seen {words.ago(endpoint.last_seen)}"
    host = f", host {endpoint.hostname}" if endpoint.hostname else ""
    online = [other for other in endpoints if other.is_online]
    others = f" Online now: {_names(online)}." if online else ""
    # The machine at hand is known to everybody; a fallback worth naming is another one.
    other = next((row.name for row in online if row.name != LOCAL), LOCAL)
    fallback = f", `--fallback {other}`," if online else ""
    start = f"`%funcx start {endpoint.name}`"
    return f"{endpoint.name} is offline ({seen}{host}).{others} Use `--wait-endpoint 600`{fallback} or {start}."


def _how_to_start(endpoints: Sequence[Endpoint]) -> str:
    if endpoints:
        return f"Start one with `%funcx start {endpoints[0].name}`. Offline: {_names(endpoints)}."
    return "Start one with `%funcx start local`."


def _names(endpoints: Iterable[Endpoint]) -> str:
    return ", ".join(sorted({endpoint.name for endpoint in endpoints}))
