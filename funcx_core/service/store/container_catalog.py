"""Registered containers."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from funcx_core.ids import ContainerId, GroupRef, UserId
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.records import Container
from funcx_core.service.store.schema import containers


class ContainerCatalog(Catalog):
    """The containers. They are never changed."""

    async def add(self, container: Container) -> None:
        """Keep a container."""
        await self._write(_add, container)

    async def get(self, container_id: ContainerId) -> Container | None:
        """Return a container, whoever owns it."""
        return await self._read(_get, container_id)

    async def usable(self, user_id: UserId, groups: Collection[GroupRef]) -> list[Container]:
        """Return the containers that a user who is in these groups may use, newest first."""
        return await self._read(_usable, user_id, groups)

    async def delete(self, owner_id: UserId, container_id: ContainerId) -> bool:
        """Delete a container of this owner; whether there was one."""
        return await self._write(_delete, owner_id, container_id)


def _add(connection: sa.Connection, container: Container) -> None:
    connection.execute(sa.insert(containers).values(msgspec.structs.asdict(container)))


def _get(connection: sa.Connection, container_id: ContainerId) -> Container | None:
    row = connection.execute(sa.select(containers).where(containers.c.container_id == container_id)).one_or_none()
    return None if row is None else Container(**row._asdict())


def _usable(connection: sa.Connection, user_id: UserId, groups: Collection[GroupRef]) -> list[Container]:
    columns = containers.c
    may_use = sa.or_(columns.owner_id == user_id, columns.public, columns.shared_with.in_(sorted(groups)))
    rows = connection.execute(sa.select(containers).where(may_use).order_by(columns.created_at.desc()))
    return [Container(**row._asdict()) for row in rows]


def _delete(connection: sa.Connection, owner_id: UserId, container_id: ContainerId) -> bool:
    is_meant = (containers.c.container_id == container_id, containers.c.owner_id == owner_id)
    return connection.execute(sa.delete(containers).where(*is_meant)).rowcount > 0
