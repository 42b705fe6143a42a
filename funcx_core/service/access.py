"""Who may see and use what. Deny by default: what is not allowed here does not exist for the caller.

There is no "may see but not use": both have one answer, so an error never tells that something is there. To manage
(share, change, delete, read counts of others) is the owner's alone. Tasks, their arguments and their results are for nobody
but who submitted them, wherever they run.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from funcx_core.ids import GroupRef, UserId
from funcx_core.service.store.records import Role


class Shareable(Protocol):
    """A function, an endpoint or a container."""

    @property
    def owner_id(self) -> UserId:
        """Who registered it."""

    @property
    def public(self) -> bool:
        """Whether every user of this service may use it."""

    @property
    def shared_with(self) -> GroupRef | None:
        """The group whose members may use it."""


def may_manage(thing: Shareable, user_id: UserId) -> bool:
    """Whether this user may change or delete it."""
    return thing.owner_id == user_id


def may_use(thing: Shareable, user_id: UserId, groups: Collection[GroupRef]) -> bool:
    """Whether this user, who is in these groups, may see and use it."""
    return thing.public or may_manage(thing, user_id) or (thing.shared_with is not None and thing.shared_with in groups)


def hinges_on_groups(thing: Shareable, user_id: UserId) -> bool:
    """Whether it must be known which groups the user is in to say what `may_use` will."""
    return thing.shared_with is not None and not may_use(thing, user_id, ())


def may_run_there(function_id: str, content_hash: str, allowed: Collection[str] | None) -> bool:
    """Whether an endpoint with this list runs the function; None if it has no list."""
    return allowed is None or function_id in allowed or content_hash in allowed


def may_see_group(role: Role | None) -> bool:
    """Whether somebody with this role in a group, None for none, may know of it."""
    return role is not None


def may_manage_group(role: Role | None) -> bool:
    """Whether somebody with this role may change who is in the group."""
    return role is Role.ADMIN
