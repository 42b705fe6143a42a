"""Functions and endpoints: rows that are few and change seldom."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.errors import Conflict, EndpointAlreadyRegistered, ResourceLocked
from funcx_core.ids import EndpointId, FunctionId, GroupRef, UserId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import ContainerImage, Function
from funcx_core.service.store.records import Endpoint, EndpointChange, StoredFunction
from funcx_core.service.store.schema import (
    bodies,
    containers,
    endpoint_environments,
    endpoints,
    functions,
    sources,
    tasks,
)

_IMAGE: Final = (containers.c.kind, containers.c.location)
_RUNS_IN: Final = functions.c.container_id == containers.c.container_id
_images: Final = (
    sa.select(functions.c.function_id, functions.c.container_id, *_IMAGE)
    .join(containers, _RUNS_IN, isouter=True)
    .where(functions.c.function_id.in_(sa.bindparam("ids", expanding=True)), functions.c.container_id.is_not(None))
)
_status = msgspec.msgpack.Decoder(EndpointStatus)


# --- functions -------------------------------------------------------------------------------------------------


def add_function(connection: sa.Connection, stored: StoredFunction, source: str) -> bool:
    """Register a function; its body is kept once, whatever number of functions has it."""
    function = stored.function
    body_hash = sha256(function.body).digest()
    connection.execute(insert(bodies).values(body_hash=body_hash, body=function.body).on_conflict_do_nothing())
    values = {
        "function_id": function.function_id,
        "owner_id": stored.owner_id,
        "name": function.name,
        "body_hash": body_hash,
        "description": stored.description,
        "public": stored.public,
        "shared_with": stored.shared_with,
        "searchable": stored.searchable,
        "container_id": stored.container_id,
        "entry_point": stored.entry_point,
        "created_at": stored.created_at,
    }
    if connection.execute(insert(functions).values(values).on_conflict_do_nothing()).rowcount:
        if source:
            connection.execute(insert(sources).values(function_id=function.function_id, source=source))
        return True
    found = connection.execute(sa.select(functions).where(functions.c.function_id == function.function_id)).one()
    if found.owner_id != stored.owner_id or found.body_hash != body_hash or found.deleted:
        raise Conflict(
            f"Function id '{function.function_id}' is taken by another body, or was deleted. Register with a new id."
        )
    return False


def images_of(connection: sa.Connection, function_ids: Collection[FunctionId]) -> dict[FunctionId, ContainerImage]:
    """Return the containers of those of these functions that have one."""
    rows = connection.execute(_images, {"ids": list(function_ids)})
    found = {FunctionId(row.function_id): _image(row.container_id, row.kind, row.location) for row in rows}
    return {function_id: image for function_id, image in found.items() if image is not None}


def find_function(connection: sa.Connection, function_id: FunctionId) -> StoredFunction | None:
    """Return a function that was not deleted."""
    query = sa.select(functions, bodies.c.body, *_IMAGE).join(bodies).join(containers, _RUNS_IN, isouter=True)
    query = query.where(functions.c.function_id == function_id)
    row = connection.execute(query.where(~functions.c.deleted)).one_or_none()
    if row is None:
        return None
    return StoredFunction(
        function=Function(
            FunctionId(row.function_id), row.name, row.body, _image(row.container_id, row.kind, row.location)
        ),
        owner_id=UserId(row.owner_id),
        description=row.description,
        public=row.public,
        shared_with=row.shared_with,
        searchable=row.searchable,
        container_id=row.container_id,
        entry_point=row.entry_point,
        created_at=row.created_at,
    )


def function_bodies(connection: sa.Connection, function_ids: Sequence[FunctionId]) -> list[Function]:
    """Return bodies of functions, also of deleted ones: tasks that were accepted before may need them."""
    columns = (functions.c.function_id, functions.c.name, bodies.c.body, functions.c.container_id, *_IMAGE)
    query = sa.select(*columns).join(bodies).join(containers, _RUNS_IN, isouter=True)
    found = connection.execute(query.where(functions.c.function_id.in_(function_ids)))
    return [
        Function(FunctionId(function_id), name, body, _image(container_id, kind, location))
        for function_id, name, body, container_id, kind, location in found
    ]


def _image(container_id: str | None, kind: str | None, location: str | None) -> ContainerImage | None:
    # A container that was deleted has neither: the endpoint says so to whoever waits for the task.
    return None if container_id is None else ContainerImage(container_id, kind or "", location or "")


# --- endpoints -------------------------------------------------------------------------------------------------


def save_endpoint(connection: sa.Connection, endpoint: Endpoint, now: float) -> None:
    """Register an endpoint or renew what its owner said about it."""
    columns = endpoints.c
    found = connection.execute(sa.select(endpoints).where(columns.endpoint_id == endpoint.endpoint_id)).one_or_none()
    if found is not None and (found.owner_id != endpoint.owner_id or found.deleted):
        raise EndpointAlreadyRegistered(endpoint.endpoint_id)
    if found is not None and found.locked_until > now:
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(found.locked_until))
        raise ResourceLocked(
            f"Endpoint '{endpoint.endpoint_id}' is locked by its owner until {until}. Wait, or unlock it: FuncXClient().unlock_endpoint('{endpoint.endpoint_id}').",
            endpoint_id=endpoint.endpoint_id,
        )
    renewed = {
        "name": endpoint.name,
        "public_key": endpoint.public_key,
        "version": endpoint.version,
        "meta": endpoint.meta,
        "features": endpoint.features,
    }
    try:
        if found is None:
            connection.execute(sa.insert(endpoints).values(_endpoint_values(endpoint)))
        else:
            connection.execute(sa.update(endpoints).where(columns.endpoint_id == found.endpoint_id).values(renewed))
    except sa.exc.IntegrityError:
        raise Conflict(
            f"The public key of endpoint '{endpoint.endpoint_id}' belongs to another endpoint. Each needs its own."
        ) from None


def find_endpoint(connection: sa.Connection, endpoint_id: EndpointId) -> Endpoint | None:
    """Return an endpoint that was not deleted."""
    query = sa.select(endpoints).where(endpoints.c.endpoint_id == endpoint_id, ~endpoints.c.deleted)
    row = connection.execute(query).one_or_none()
    return None if row is None else _endpoint(row)


def endpoints_of(connection: sa.Connection, owner_id: UserId) -> list[Endpoint]:
    """Return the endpoints of an owner, newest first."""
    query = sa.select(endpoints).where(endpoints.c.owner_id == owner_id, ~endpoints.c.deleted)
    rows = connection.execute(query.order_by(endpoints.c.created_at.desc(), endpoints.c.endpoint_id))
    return [_endpoint(row) for row in rows]


def usable_endpoints(connection: sa.Connection, user_id: UserId, groups: Collection[GroupRef]) -> list[Endpoint]:
    """Return the endpoints that a user who is in these groups may use: their own first, newest first."""
    columns = endpoints.c
    is_own = columns.owner_id == user_id
    may_use = sa.or_(is_own, columns.public, columns.shared_with.in_(sorted(groups)))
    query = sa.select(endpoints).where(may_use, ~columns.deleted)
    rows = connection.execute(query.order_by(is_own.desc(), columns.created_at.desc(), columns.endpoint_id))
    return [_endpoint(row) for row in rows]


def change_endpoint(
    connection: sa.Connection, owner_id: UserId, endpoint_id: EndpointId, change: EndpointChange
) -> bool:
    """Change what an owner says about an endpoint."""
    values = changed(change)
    is_meant = (endpoints.c.endpoint_id == endpoint_id, endpoints.c.owner_id == owner_id, ~endpoints.c.deleted)
    if not values:
        return connection.scalar(sa.select(sa.func.count()).select_from(endpoints).where(*is_meant)) == 1
    return connection.execute(sa.update(endpoints).where(*is_meant).values(values)).rowcount > 0


def changed(change: msgspec.Struct) -> dict[str, Any]:
    """Return the columns that a change names."""
    return {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}


def delete_endpoint(connection: sa.Connection, owner_id: UserId, endpoint_id: EndpointId) -> bool:
    """Mark an endpoint as deleted."""
    change = (
        sa.update(endpoints)
        .where(endpoints.c.endpoint_id == endpoint_id, endpoints.c.owner_id == owner_id, ~endpoints.c.deleted)
        .values(deleted=True, online=False)
    )
    is_deleted = connection.execute(change).rowcount > 0
    if is_deleted:
        connection.execute(sa.delete(endpoint_environments).where(endpoint_environments.c.endpoint_id == endpoint_id))
    return is_deleted


def abandoned_endpoints(connection: sa.Connection) -> list[EndpointId]:
    """Return deleted endpoints that have open tasks."""
    is_open = sa.exists().where(tasks.c.endpoint_id == endpoints.c.endpoint_id, tasks.c.completed_at.is_(None))
    query = sa.select(endpoints.c.endpoint_id).where(endpoints.c.deleted, is_open)
    return [EndpointId(endpoint_id) for endpoint_id in connection.scalars(query)]


def endpoint_by_key(connection: sa.Connection, public_key: str, now: float) -> EndpointId | None:
    """Return the endpoint with this key, unless it is locked."""
    query = sa.select(endpoints.c.endpoint_id).where(
        endpoints.c.public_key == public_key,
        endpoints.c.public_key != "",
        ~endpoints.c.deleted,
        endpoints.c.locked_until <= now,
    )
    found = connection.scalar(query)
    return None if found is None else EndpointId(found)


def endpoint_seen(
    connection: sa.Connection,
    endpoint_id: EndpointId,
    status: EndpointStatus | None,
    *,
    online: bool,
    epoch: int,
    now: float,
) -> None:
    """Record that an endpoint was heard from or went away; what an older agent of it says does not count."""
    values: dict[str, Any] = {"online": online, "epoch": epoch}
    if online:
        values["last_seen"] = now
    if status is not None:
        values["status"] = encode(status)
    change = sa.update(endpoints).where(
        endpoints.c.endpoint_id == endpoint_id, endpoints.c.epoch <= epoch, ~endpoints.c.deleted
    )
    connection.execute(change.values(values))


def all_offline(connection: sa.Connection) -> None:
    """Record that no endpoint is connected."""
    connection.execute(sa.update(endpoints).where(endpoints.c.online).values(online=False))


def _endpoint_values(endpoint: Endpoint) -> dict[str, Any]:
    values = msgspec.structs.asdict(endpoint)
    values["status"] = None if endpoint.status is None else encode(endpoint.status)
    return values


def _endpoint(row: Any) -> Endpoint:
    values = row._asdict()
    del values["deleted"]
    values["status"] = None if row.status is None else _status.decode(row.status)
    return Endpoint(**values)
