"""Groups of users that this service keeps, and who is in them."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.errors import AuthGroupNotFound, Conflict
from funcx_core.ids import GroupRef, UserId
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.records import Member, Role, User, UserGroup
from funcx_core.service.store.schema import groups, members, users

_mine = groups.join(members, members.c.group_id == groups.c.group_id)


class GroupCatalog(Catalog):
    """The groups and their members."""

    async def create(self, group: UserGroup, founder: UserId) -> None:
        """Make a group whose only member, and admin, is `founder`.

        Raises:
            Conflict: its name is taken.
        """
        await self._write(_create, group, founder)

    async def delete(self, group_id: GroupRef) -> bool:
        """Delete a group; whether there was one. Nobody is in it then, so what is shared with it is for nobody."""
        return await self._write(_delete, group_id)

    async def groups_of(self, user_id: UserId) -> frozenset[GroupRef]:
        """Return the groups that this user is in."""
        return await self._read(_ids_of, user_id)

    async def list_of(self, user_id: UserId) -> list[tuple[UserGroup, Role]]:
        """Return the groups that this user is in, by name, each with the user's role."""
        return await self._read(_list_of, user_id)

    async def find(self, user_id: UserId, name_or_id: str) -> tuple[UserGroup, Role] | None:
        """Return a group that this user is in, with the user's role."""
        return await self._read(_find, user_id, name_or_id)

    async def members(self, group_id: GroupRef) -> list[Member]:
        """Return who is in a group, by name."""
        return await self._read(_members, group_id)

    async def put_member(self, group_id: GroupRef, user_id: UserId, role: Role) -> None:
        """Put somebody into a group, or give a member this role.

        Raises:
            AuthGroupNotFound: it was deleted meanwhile.
            Conflict: the group would have no admin.
        """
        await self._write(_put_member, group_id, user_id, role)

    async def remove_member(self, group_id: GroupRef, user_id: UserId) -> bool:
        """Take somebody out of a group; whether they were in it.

        Raises:
            Conflict: the group would have no admin.
        """
        return await self._write(_remove_member, group_id, user_id)

    async def user_named(self, name: str) -> User | None:
        """Return the user of this name."""
        return await self._read(_user_named, name)


def _create(connection: sa.Connection, group: UserGroup, founder: UserId) -> None:
    values = {
        "group_id": group.group_id,
        "name": group.name,
        "description": group.description,
        "created_at": group.created_at,
    }
    if not connection.execute(insert(groups).values(values).on_conflict_do_nothing()).rowcount:
        raise Conflict(f"There is a group '{group.name}' already. Choose another name.")
    _put_member(connection, group.group_id, founder, Role.ADMIN)


def _delete(connection: sa.Connection, group_id: GroupRef) -> bool:
    connection.execute(sa.delete(members).where(members.c.group_id == group_id))
    return connection.execute(sa.delete(groups).where(groups.c.group_id == group_id)).rowcount > 0


def _ids_of(connection: sa.Connection, user_id: UserId) -> frozenset[GroupRef]:
    found = connection.scalars(sa.select(members.c.group_id).where(members.c.user_id == user_id))
    return frozenset(GroupRef(group_id) for group_id in found)


def _list_of(connection: sa.Connection, user_id: UserId) -> list[tuple[UserGroup, Role]]:
    query = sa.select(groups, members.c.role).select_from(_mine).where(members.c.user_id == user_id)
    return [_with_role(row) for row in connection.execute(query.order_by(groups.c.name))]


def _find(connection: sa.Connection, user_id: UserId, name_or_id: str) -> tuple[UserGroup, Role] | None:
    query = sa.select(groups, members.c.role).select_from(_mine).where(members.c.user_id == user_id)
    named = sa.or_(groups.c.group_id == name_or_id, groups.c.name == name_or_id)
    row = connection.execute(query.where(named)).first()
    return None if row is None else _with_role(row)


def _with_role(row: sa.Row[tuple[str, ...]]) -> tuple[UserGroup, Role]:
    values = row._asdict()
    role = Role(values.pop("role"))
    return UserGroup(**values), role


def _members(connection: sa.Connection, group_id: GroupRef) -> list[Member]:
    joined = members.join(users, users.c.user_id == members.c.user_id)
    query = sa.select(users.c.user_id, users.c.name, members.c.role).select_from(joined)
    rows = connection.execute(query.where(members.c.group_id == group_id).order_by(users.c.name))
    return [Member(UserId(row.user_id), row.name, Role(row.role)) for row in rows]


def _put_member(connection: sa.Connection, group_id: GroupRef, user_id: UserId, role: Role) -> None:
    if connection.scalar(sa.select(groups.c.group_id).where(groups.c.group_id == group_id)) is None:
        raise AuthGroupNotFound(group_id)
    values = {"group_id": group_id, "user_id": user_id, "role": role.value, "added_at": time.time()}
    put = insert(members).values(values)
    connection.execute(
        put.on_conflict_do_update(index_elements=["group_id", "user_id"], set_={"role": put.excluded.role})
    )
    _check_has_admin(connection, group_id)


def _remove_member(connection: sa.Connection, group_id: GroupRef, user_id: UserId) -> bool:
    removal = sa.delete(members).where(members.c.group_id == group_id, members.c.user_id == user_id)
    removed = connection.execute(removal).rowcount > 0
    _check_has_admin(connection, group_id)
    return removed


def _check_has_admin(connection: sa.Connection, group_id: GroupRef) -> None:
    admins = sa.select(sa.func.count()).where(members.c.group_id == group_id, members.c.role == Role.ADMIN.value)
    if not connection.scalar(admins):
        raise Conflict("The group would have no admin. Make somebody else admin first, or delete the group.")


def _user_named(connection: sa.Connection, name: str) -> User | None:
    row = connection.execute(sa.select(users.c.user_id, users.c.name).where(users.c.name == name)).one_or_none()
    return None if row is None else User(UserId(row.user_id), row.name)
