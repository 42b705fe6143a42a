"""Whether a user may use something, asked of `access` with what it must know."""

from __future__ import annotations

from funcx_core.errors import AuthGroupNotFound, InvalidId
from funcx_core.ids import GroupRef, parse_id
from funcx_core.service.access import Shareable, hinges_on_groups, may_use
from funcx_core.service.auth.groups import Memberships
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import User


class Sharing:
    """Decisions about what users share."""

    def __init__(self, store: Store, memberships: Memberships) -> None:
        self._groups = store.groups
        self._memberships = memberships

    @property
    def changes(self) -> int:
        """Rises whenever something that was decided here may be decided otherwise."""
        return self._memberships.changes

    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        """Return the groups that the user is in."""
        return await self._memberships.groups_of(user)

    async def may_use(self, user: User, thing: Shareable) -> bool:
        """Whether the user may see and use it. Groups are looked up only if it depends on them."""
        groups = await self.groups_of(user) if hinges_on_groups(thing, user.user_id) else ()
        return may_use(thing, user.user_id, groups)

    async def group_named(self, user: User, name_or_id: str | None) -> GroupRef | None:
        """Return the id of a group that the user wants to share with, None for none.

        Raises:
            AuthGroupNotFound: the user is in no such group.
        """
        if not name_or_id:
            return None
        local = await self._groups.find(user.user_id, name_or_id)
        if local is not None:
            return local[0].group_id
        groups = await self.groups_of(user)
        if name_or_id in groups:
            return GroupRef(name_or_id)  # Groups of a JupyterHub have names and no UUIDs.
        try:
            group = GroupRef(parse_id(name_or_id, "group"))
        except InvalidId:
            raise AuthGroupNotFound(name_or_id[:100]) from None
        if group not in groups:
            raise AuthGroupNotFound(group)
        return group
