"""What endpoints reported of the nodes on which their tasks run."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.environment import Environment
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.schema import endpoint_environments

_environments = msgspec.msgpack.Decoder(list[Environment])


class Reported(msgspec.Struct, frozen=True):
    """The environments of an endpoint, and when it reported them (Unix seconds; 0 for never)."""

    environments: list[Environment] = []
    reported_at: float = 0.0


class EnvironmentCatalog(Catalog):
    """One row an endpoint, which outlives its nodes: it is read to know what a task will find."""

    async def save(self, endpoint_id: EndpointId, environments: Sequence[Environment]) -> None:
        """Replace what an endpoint reported."""
        await self._write(_save, endpoint_id, encode(environments), time.time())

    async def get(self, endpoint_id: EndpointId) -> Reported:
        """Return what an endpoint reported last."""
        return await self._read(_get, endpoint_id)


def _save(connection: sa.Connection, endpoint_id: EndpointId, environments: bytes, now: float) -> None:
    columns = endpoint_environments.c
    values = {"environments": environments, "reported_at": now}
    changed = connection.execute(
        sa.update(endpoint_environments).where(columns.endpoint_id == endpoint_id).values(values)
    )
    if not changed.rowcount:
        connection.execute(sa.insert(endpoint_environments).values(endpoint_id=endpoint_id, **values))


def _get(connection: sa.Connection, endpoint_id: EndpointId) -> Reported:
    row = connection.execute(
        sa.select(endpoint_environments).where(endpoint_environments.c.endpoint_id == endpoint_id)
    ).one_or_none()
    return Reported() if row is None else Reported(_environments.decode(row.environments), row.reported_at)
