"""Groups of users that this service keeps."""

from __future__ import annotations

import msgspec

from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.registry_views import GroupView, group_view
from funcx_core.service.route import operation
from funcx_core.service.store.records import Role


class CreateBody(msgspec.Struct, frozen=True):
    """The name, which no other group has, and what the group is for."""

    name: str
    description: str = ""


class MemberBody(msgspec.Struct, frozen=True):
    """Who, by name, and what they may do in the group."""

    user: str
    role: Role = Role.MEMBER


class Groups(ApiHandler):
    """GET and POST groups."""

    @operation(Scope.READ, reply=list[GroupView])
    async def get(self) -> None:
        """Reply with the groups that the caller is in."""
        found = await self.context.operations.groups.all(self.user)
        self.reply([group_view(group, role) for group, role in found])

    @operation(Scope.TOKENS, body=CreateBody, reply=GroupView, status=201)
    async def post(self) -> None:
        """Make a group, of which the caller is admin."""
        body = self.read_body(CreateBody)
        group = await self.context.operations.groups.create(self.user, body.name, body.description)
        self.reply(group_view(group, Role.ADMIN), 201)


class OneGroup(ApiHandler):
    """GET and DELETE groups/{id}, where the id may be the name."""

    @operation(Scope.READ, reply=GroupView)
    async def get(self, group_id: str) -> None:
        """Reply with a group that the caller is in, and its members."""
        operations = self.context.operations.groups
        group, role = await operations.get(self.user, group_id)
        self.reply(group_view(group, role, await operations.members(group)))

    @operation(Scope.TOKENS)
    async def delete(self, group_id: str) -> None:
        """Delete a group of which the caller is admin. What is shared with it is shared with nobody then."""
        await self.context.operations.groups.delete(self.user, group_id)
        self.reply({"status": "Success"})


class GroupMembers(ApiHandler):
    """POST groups/{id}/members."""

    @operation(Scope.TOKENS, body=MemberBody, reply=GroupView)
    async def post(self, group_id: str) -> None:
        """Put a user into a group of which the caller is admin, or change a role in it."""
        body = self.read_body(MemberBody)
        operations = self.context.operations.groups
        await operations.put_member(self.user, group_id, body.user, body.role)
        group, role = await operations.get(self.user, group_id)
        self.reply(group_view(group, role, await operations.members(group)))


class GroupMember(ApiHandler):
    """DELETE groups/{id}/members/{name}."""

    @operation(Scope.TOKENS)
    async def delete(self, group_id: str, user_name: str) -> None:
        """Take a user out of a group: admins whom they like, members themselves."""
        await self.context.operations.groups.remove_member(self.user, group_id, user_name)
        self.reply({"status": "Success"})
