"""Functions, endpoints, containers and groups as the JSON that clients read.

What only its owner needs (where an endpoint runs, the text of a function that is not searchable) others are not shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from funcx_core.protocol.environment import Environment
from funcx_core.service.access import may_manage
from funcx_core.service.store.records import Container, Endpoint, FoundFunction, Member, Role, User, UserGroup


class FunctionView(msgspec.Struct, frozen=True, kw_only=True):
    """A function, without its body.

    `content_hash` comes only with one that is asked for by its id; of those that are listed, only a short source.
    """

    function_uuid: str
    function_name: str
    description: str
    owner: str
    owned: bool
    public: bool
    group: str | None
    searchable: bool
    container_uuid: str | None
    entry_point: str
    created_at: float
    content_hash: str | None = None
    function_source: str | None = None


class FunctionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of functions; `total` counts all pages."""

    results: list[FunctionView]
    offset: int
    count: int
    total: int
    has_next_page: bool


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is listed. Times are Unix seconds; `locked_until` 0 if it is not locked; `features` null if they are not known."""

    uuid: str
    name: str
    owned: bool
    public: bool
    group: str | None
    restricted: bool
    locked_until: float
    state: str
    last_seen: float
    version: str
    features: list[str] | None
    meta: dict[str, Any]
    status: dict[str, Any]


class EnvironmentView(msgspec.Struct, frozen=True):
    """What an endpoint reported of its nodes, latest last, and when (Unix seconds; 0 if it never did)."""

    endpoint_id: str
    reported_at: float
    environments: list[Environment]


class ContainerView(msgspec.Struct, frozen=True, kw_only=True):
    """A container, with the names that published clients and endpoints read."""

    container_id: str
    container_uuid: str
    name: str
    description: str
    type: str
    location: str
    owned: bool
    public: bool
    group: str | None
    created_at: float


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A group of users, and what the caller is in it."""

    group_id: str
    name: str
    description: str
    created_at: float
    role: Role
    members: list[Member] | None = None


def function_view(found: FoundFunction, viewer: User, *, content_hash: str | None = None) -> FunctionView:
    """Return a function as this user may see it."""
    owned = found.owner_id == viewer.user_id
    return FunctionView(
        function_uuid=found.function_id,
        function_name=found.name,
        description=found.description,
        owner=found.owner_name,
        owned=owned,
        public=found.public,
        group=found.shared_with,
        searchable=found.searchable,
        container_uuid=found.container_id,
        entry_point=found.entry_point,
        created_at=found.created_at,
        content_hash=content_hash,
        function_source=found.source if owned or found.searchable else None,
    )


def function_page(found: Sequence[FoundFunction], total: int, offset: int, viewer: User) -> FunctionPage:
    """Return a page of functions."""
    return FunctionPage(
        results=[function_view(each, viewer) for each in found],
        offset=offset,
        count=len(found),
        total=total,
        has_next_page=offset + len(found) < total,
    )


def endpoint_view(endpoint: Endpoint, viewer: User) -> EndpointView:
    """Return an endpoint as this user may see it."""
    owned = may_manage(endpoint, viewer.user_id)
    return EndpointView(
        uuid=endpoint.endpoint_id,
        name=endpoint.name,
        owned=owned,
        public=endpoint.public,
        group=endpoint.shared_with,
        restricted=endpoint.restricted,
        locked_until=endpoint.locked_until,
        state=_state(endpoint),
        last_seen=endpoint.last_seen,
        version=endpoint.version,
        features=None if endpoint.features is None else endpoint.features.split(),
        meta=_object(endpoint.meta) if owned else {},
        status=_details(endpoint),
    )


def endpoint_status_view(endpoint: Endpoint) -> dict[str, Any]:
    """Return how an endpoint is."""
    return {
        "status": _state(endpoint),
        "endpoint_id": endpoint.endpoint_id,
        "name": endpoint.name,
        "last_seen": endpoint.last_seen,
        "details": _details(endpoint),
        "logs": [],
    }


def container_view(container: Container, viewer: User) -> ContainerView:
    """Return a container as this user may see it."""
    return ContainerView(
        container_id=container.container_id,
        container_uuid=container.container_id,
        name=container.name,
        description=container.description,
        type=container.kind,
        location=container.location,
        owned=may_manage(container, viewer.user_id),
        public=container.public,
        group=container.shared_with,
        created_at=container.created_at,
    )


def group_view(group: UserGroup, role: Role, members: list[Member] | None = None) -> GroupView:
    """Return a group for somebody who has this role in it."""
    return GroupView(
        group_id=group.group_id,
        name=group.name,
        description=group.description,
        created_at=group.created_at,
        role=role,
        members=members,
    )


def _state(endpoint: Endpoint) -> str:
    return "online" if endpoint.online else "offline"


def _details(endpoint: Endpoint) -> dict[str, Any]:
    details: dict[str, Any] = {} if endpoint.status is None else msgspec.to_builtins(endpoint.status)
    return details


def _object(meta: bytes) -> dict[str, Any]:
    found = json.loads(meta or b"{}")
    return found if isinstance(found, dict) else {"value": found}
