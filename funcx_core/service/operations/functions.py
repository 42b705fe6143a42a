"""What users can do with functions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.errors import FunctionNotFound, PayloadTooLarge
from funcx_core.ids import ContainerId, FunctionId
from funcx_core.protocol.client import Limits
from funcx_core.protocol.task import Function
from funcx_core.service.checks import check_description, check_function, check_id
from funcx_core.service.function_cache import FunctionCache
from funcx_core.service.operations.containers import Containers
from funcx_core.service.operations.sharing import Sharing
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import FoundFunction, FunctionChange, FunctionQuery, Sought, StoredFunction, User

MOST_WORDS: Final = 10
"""Of a search; more are not looked at."""


class FunctionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner says about a function that is registered. `group`: the name or id of a group to share it with."""

    function: Function
    description: str = ""
    public: bool = False
    group: str | None = None
    searchable: bool = True
    container_id: ContainerId | None = None
    entry_point: str = ""
    source: str = ""


class FunctionUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner wants to be different; `group` None shares it with no group."""

    description: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    group: str | UnsetType | None = UNSET
    searchable: bool | UnsetType = UNSET


class Functions:
    """The functions of one store."""

    def __init__(self, store: Store, sharing: Sharing, containers: Containers, limits: Limits) -> None:
        self.limits = limits
        self._store = store
        self._catalog = store.function_catalog
        self._sharing = sharing
        self._containers = containers
        self._cache = FunctionCache(store)
        self._registering: dict[FunctionId, asyncio.Future[None]] = {}

    async def register(self, user: User, request: FunctionRequest) -> None:
        """Make a function known under its id.

        Raises:
            Conflict: the id is taken by another function.
            AuthGroupNotFound, ContainerNotFound: it names one that the user may not use.
        """
        function = request.function
        check_id(function.function_id, "function id")
        check_function(function.name, function.body, self.limits)
        check_description(request.description)
        if len(request.source) > self.limits.max_function:
            raise PayloadTooLarge(len(request.source), self.limits.max_function, "function's source")
        under_way = self._registering.setdefault(function.function_id, asyncio.get_running_loop().create_future())
        try:
            stored = await self._as_stored(user, request)
            if await self._store.add_function(stored, request.source):
                self._cache.add(stored)
        finally:
            self._registering.pop(function.function_id, None)
            if not under_way.done():
                under_way.set_result(None)

    async def _as_stored(self, user: User, request: FunctionRequest) -> StoredFunction:
        image = await self._containers.image(user, request.container_id)
        return StoredFunction(
            function=msgspec.structs.replace(request.function, container=image),
            owner_id=user.user_id,
            description=request.description,
            public=request.public,
            shared_with=await self._sharing.group_named(user, request.group),
            searchable=request.searchable,
            container_id=request.container_id,
            entry_point=request.entry_point,
            created_at=time.time(),
        )

    async def get(self, user: User, function_id: FunctionId) -> StoredFunction:
        """Return a function that the user may run; waits for a registration of it that is under way.

        Raises:
            FunctionNotFound: there is none.
        """
        under_way = self._registering.get(function_id)
        if under_way is not None:
            await asyncio.shield(under_way)
        stored = await self._cache.get(function_id)
        if not await self._sharing.may_use(user, stored):
            raise FunctionNotFound(function_id)
        return stored

    async def describe(self, user: User, function_id: FunctionId) -> tuple[FoundFunction, str]:
        """Return a function that the user may run, and the hash of its body."""
        stored = await self.get(user, function_id)
        found = await self._catalog.describe(function_id)
        if found is None:
            raise FunctionNotFound(function_id)
        return found, stored.content_hash

    async def find(
        self, user: User, text: str = "", *, advanced: bool = False, owner: str = "", limit: int = 20, offset: int = 0
    ) -> tuple[list[FoundFunction], int]:
        """Return a page of functions that the user may run and that have all words of `text`, best first, and their number.

        `advanced`: ``name:…``, ``description:…`` and ``owner:…`` in the text are conditions on that field.
        """
        words, named_owner = _words_of(text, advanced=advanced)
        query = FunctionQuery(
            viewer_id=user.user_id,
            groups=await self._sharing.groups_of(user),
            words=words,
            owner=owner or named_owner,
            limit=limit,
            offset=offset,
        )
        return await self._catalog.find(query)

    async def names(self, function_ids: Collection[FunctionId]) -> dict[FunctionId, str]:
        """Return the names of functions that tasks of the caller run, whatever became of the functions."""
        return await self._catalog.names(function_ids)

    async def update(self, user: User, function_id: FunctionId, update: FunctionUpdate) -> None:
        """Change what the user says about a function of theirs, and whom it is shared with. It holds at once."""
        if update.description is not UNSET:
            check_description(update.description)
        shared_with = UNSET if update.group is UNSET else await self._sharing.group_named(user, update.group)
        change = FunctionChange(
            description=update.description, public=update.public, shared_with=shared_with, searchable=update.searchable
        )
        if not await self._catalog.change(user.user_id, function_id, change):
            raise FunctionNotFound(function_id)
        self._cache.drop(function_id)

    async def delete(self, user: User, function_id: FunctionId) -> None:
        """Delete a function of the user. Tasks that were accepted before run to their end."""
        if not await self._catalog.delete(user.user_id, function_id):
            raise FunctionNotFound(function_id)
        self._cache.drop(function_id)


def _words_of(text: str, *, advanced: bool) -> tuple[tuple[tuple[Sought, str], ...], str]:
    """Return what is looked for and where, and whose functions are wanted, empty for everybody's."""
    words: list[tuple[Sought, str]] = []
    owner = ""
    for word in text.split()[:MOST_WORDS]:
        field, colon, value = word.partition(":")
        if not (advanced and colon and value):
            words.append((Sought.ANYWHERE, word))
        elif field == "owner":
            owner = value
        elif field in (Sought.NAME, Sought.DESCRIPTION):
            words.append((Sought(field), value))
        else:
            words.append((Sought.ANYWHERE, word))
    return tuple(words), owner
