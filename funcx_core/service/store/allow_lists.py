"""Which functions restricted endpoints run, by id or by the hash of their body."""

from __future__ import annotations

import time
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.ids import EndpointId
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.schema import allowed, endpoints


class AllowLists(Catalog):
    """One list for each endpoint. An endpoint with a list has to be `restricted` for the list to count."""

    async def of(self, endpoint_id: EndpointId) -> list[str]:
        """Return the entries of an endpoint's list, oldest first."""
        return await self._read(_entries, endpoint_id)

    async def add(self, endpoint_id: EndpointId, entries: Sequence[str]) -> None:
        """Put entries on the list, and make the endpoint restricted."""
        await self._write(_add, endpoint_id, entries)

    async def replace(self, endpoint_id: EndpointId, entries: Sequence[str]) -> None:
        """Make the list these entries, and the endpoint restricted."""
        await self._write(_replace, endpoint_id, entries)

    async def remove(self, endpoint_id: EndpointId, entry: str) -> bool:
        """Take an entry off the list; whether it was there. The endpoint stays restricted, also with an empty list."""
        return await self._write(_remove, endpoint_id, entry)


def _entries(connection: sa.Connection, endpoint_id: EndpointId) -> list[str]:
    query = sa.select(allowed.c.entry).where(allowed.c.endpoint_id == endpoint_id)
    return list(connection.scalars(query.order_by(allowed.c.added_at, allowed.c.entry)))


def _add(connection: sa.Connection, endpoint_id: EndpointId, entries: Sequence[str]) -> None:
    now = time.time()
    for entry in entries:
        values = {"endpoint_id": endpoint_id, "entry": entry, "added_at": now}
        connection.execute(insert(allowed).values(values).on_conflict_do_nothing())
    connection.execute(sa.update(endpoints).where(endpoints.c.endpoint_id == endpoint_id).values(restricted=True))


def _replace(connection: sa.Connection, endpoint_id: EndpointId, entries: Sequence[str]) -> None:
    connection.execute(sa.delete(allowed).where(allowed.c.endpoint_id == endpoint_id))
    _add(connection, endpoint_id, entries)


def _remove(connection: sa.Connection, endpoint_id: EndpointId, entry: str) -> bool:
    removal = sa.delete(allowed).where(allowed.c.endpoint_id == endpoint_id, allowed.c.entry == entry)
    return connection.execute(removal).rowcount > 0
