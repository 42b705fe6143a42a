"""Which groups a user is in: those that this service keeps, and those of whoever else is asked."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from funcx_core.errors import TryAgainLater
from funcx_core.ids import GroupRef, UserId
from funcx_core.service.store.group_catalog import GroupCatalog
from funcx_core.service.store.records import User

REMEMBER_SECONDS: Final = 30.0
"""For so long at most somebody who was taken out of a group elsewhere can still use what is shared with it."""
REMEMBER_MOST: Final = 10_000

_log = logging.getLogger(__name__)


class GroupSource(ABC):
    """Somebody who keeps groups."""

    @abstractmethod
    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        """Return the groups that this user is in now.

        A source that needs more than the user, such as a token for another service, keeps it when the user signs in.

        Raises:
            TryAgainLater: it cannot be said at the moment; the user is then in none of them.
        """


class LocalGroups(GroupSource):
    """The groups that this service keeps."""

    def __init__(self, catalog: GroupCatalog) -> None:
        self._catalog = catalog

    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        """Return the groups that this user is in."""
        return await self._catalog.groups_of(user.user_id)


class Memberships:
    """Asks all sources, and remembers the answer for `REMEMBER_SECONDS` or until it is told that it changed.

    `now` gives seconds that never go back.
    """

    def __init__(self, sources: Sequence[GroupSource], *, now: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._now = now
        self._known: dict[UserId, tuple[float, frozenset[GroupRef]]] = {}
        self.changes = 0
        """Rises whenever something that was decided by groups may be decided otherwise."""

    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        """Return all groups that this user is in."""
        known = self._known.get(user.user_id)
        if known is not None and known[0] > self._now():
            return known[1]
        started, changes = self._now(), self.changes
        found = await asyncio.gather(*(self._ask(source, user) for source in self._sources))
        groups = frozenset[GroupRef]().union(*found)
        if changes == self.changes:  # Else what was read may be what was changed.
            if len(self._known) >= REMEMBER_MOST:
                self._known.clear()
            self._known[user.user_id] = (started + REMEMBER_SECONDS, groups)
        return groups

    async def _ask(self, source: GroupSource, user: User) -> frozenset[GroupRef]:
        try:
            return await source.groups_of(user)
        except TryAgainLater as error:
            _log.warning("%s cannot say who is in which group: %s", type(source).__name__, error)
            return frozenset()

    def forget(self) -> None:
        """Some group changed."""
        self.changes += 1
        self._known.clear()
