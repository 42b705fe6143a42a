"""Functions and endpoints: rows that are few and change seldom."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.errors import Conflict, EndpointAlreadyRegistered
from funcx_core.ids import EndpointId, FunctionId, UserId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import Function
from funcx_core.service.store.records import Endpoint, StoredFunction
from funcx_core.service.store.schema import bodies, endpoints, functions

_status = msgspec.msgpack.Decoder(EndpointStatus)


# --- functions -------------------------------------------------------------------------------------------------


def add_function(connection: sa.Connection, stored: StoredFunction) -> None:
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
        "created_at": stored.created_at,
    }
    if connection.execute(insert(functions).values(values).on_conflict_do_nothing()).rowcount:
        return
    found = connection.execute(sa.select(functions).where(functions.c.function_id == function.function_id)).one()
    if found.owner_id != stored.owner_id or found.body_hash != body_hash:
        raise Conflict(f"Function '{function.function_id}' was registered before with another body. Use a new id.")


def find_function(connection: sa.Connection, function_id: FunctionId) -> StoredFunction | None:
    """Return a function."""
    query = sa.select(functions, bodies.c.body).join(bodies).where(functions.c.function_id == function_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return StoredFunction(
        function=Function(FunctionId(row.function_id), row.name, row.body),
        owner_id=UserId(row.owner_id),
        description=row.description,
        public=row.public,
        created_at=row.created_at,
    )


def function_bodies(connection: sa.Connection, function_ids: Sequence[FunctionId]) -> list[Function]:
    """Return bodies of functions."""
    query = sa.select(functions.c.function_id, functions.c.name, bodies.c.body).join(bodies)
    found = connection.execute(query.where(functions.c.function_id.in_(function_ids)))
    return [Function(FunctionId(function_id), name, body) for function_id, name, body in found]


# --- endpoints -------------------------------------------------------------------------------------------------


def save_endpoint(connection: sa.Connection, endpoint: Endpoint) -> None:
    """Register an endpoint or renew what its owner said about it."""
    columns = endpoints.c
    found = connection.execute(sa.select(endpoints).where(columns.endpoint_id == endpoint.endpoint_id)).one_or_none()
    if found is not None and (found.owner_id != endpoint.owner_id or found.deleted):
        raise EndpointAlreadyRegistered(endpoint.endpoint_id)
    renewed = {
        "name": endpoint.name,
        "public_key": endpoint.public_key,
        "version": endpoint.version,
        "meta": endpoint.meta,
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


def delete_endpoint(connection: sa.Connection, owner_id: UserId, endpoint_id: EndpointId) -> bool:
    """Mark an endpoint as deleted."""
    change = (
        sa.update(endpoints)
        .where(endpoints.c.endpoint_id == endpoint_id, endpoints.c.owner_id == owner_id, ~endpoints.c.deleted)
        .values(deleted=True, online=False)
    )
    return connection.execute(change).rowcount > 0


def endpoint_by_key(connection: sa.Connection, public_key: str) -> EndpointId | None:
    """Return the endpoint with this key."""
    query = sa.select(endpoints.c.endpoint_id).where(
        endpoints.c.public_key == public_key, endpoints.c.public_key != "", ~endpoints.c.deleted
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
