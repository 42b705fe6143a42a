"""What users can do with the groups that this service keeps."""

from __future__ import annotations

import time

from funcx_core.errors import AuthGroupNotFound, PermissionDenied, UserNotFound
from funcx_core.ids import new_group_ref
from funcx_core.service.access import may_manage_group
from funcx_core.service.auth.groups import Memberships
from funcx_core.service.checks import check_description, check_group_name
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Member, Role, User, UserGroup


class Groups:
    """The groups of one store. For who is not in a group it does not exist; its members know of each other."""

    def __init__(self, store: Store, memberships: Memberships) -> None:
        self._catalog = store.groups
        self._memberships = memberships

    async def create(self, user: User, name: str, description: str = "") -> UserGroup:
        """Make a group, of which the user is admin.

        Raises:
            Conflict: the name is taken.
        """
        check_group_name(name)
        check_description(description)
        group = UserGroup(group_id=new_group_ref(), name=name, description=description, created_at=time.time())
        await self._catalog.create(group, user.user_id)
        self._memberships.forget()
        return group

    async def all(self, user: User) -> list[tuple[UserGroup, Role]]:
        """Return the groups that the user is in, each with the user's role."""
        return await self._catalog.list_of(user.user_id)

    async def get(self, user: User, name_or_id: str) -> tuple[UserGroup, Role]:
        """Return a group that the user is in, with the user's role.

        Raises:
            AuthGroupNotFound: the user is in no such group.
        """
        found = await self._catalog.find(user.user_id, name_or_id)
        if found is None:
            raise AuthGroupNotFound(name_or_id[:100])
        return found

    async def members(self, group: UserGroup) -> list[Member]:
        """Return who is in a group that the caller is in."""
        return await self._catalog.members(group.group_id)

    async def delete(self, user: User, name_or_id: str) -> None:
        """Delete a group of which the user is admin. What is shared with it is shared with nobody then."""
        group = await self._managed(user, name_or_id)
        await self._catalog.delete(group.group_id)
        self._memberships.forget()

    async def put_member(self, user: User, name_or_id: str, member: str, role: Role) -> None:
        """Put somebody into a group of which the user is admin, or change a role in it.

        Raises:
            UserNotFound: nobody is called so.
            Conflict: the group would have no admin.
        """
        group = await self._managed(user, name_or_id)
        await self._catalog.put_member(group.group_id, (await self._user_named(member)).user_id, role)
        self._memberships.forget()

    async def remove_member(self, user: User, name_or_id: str, member: str) -> None:
        """Take somebody out of a group: admins whom they like, members themselves.

        Raises:
            UserNotFound: nobody in the group is called so.
            Conflict: the group would have no admin.
        """
        group, role = await self.get(user, name_or_id)
        if member != user.name and not may_manage_group(role):
            raise _not_admin(group)
        removed = await self._catalog.remove_member(group.group_id, (await self._user_named(member)).user_id)
        self._memberships.forget()
        if not removed:
            raise UserNotFound(member[:100], f"Nobody in the group '{group.name}' is called so.")

    async def _managed(self, user: User, name_or_id: str) -> UserGroup:
        group, role = await self.get(user, name_or_id)
        if not may_manage_group(role):
            raise _not_admin(group)
        return group

    async def _user_named(self, name: str) -> User:
        found = await self._catalog.user_named(name)
        if found is None:
            raise UserNotFound(name[:100])
        return found


def _not_admin(group: UserGroup) -> PermissionDenied:
    return PermissionDenied(f"Only an admin of the group '{group.name}' can do this. Ask one of its admins.")
