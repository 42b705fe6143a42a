"""What users can do with functions."""

from __future__ import annotations

import asyncio
import time

from funcx_core.ids import FunctionId
from funcx_core.protocol.client import Limits
from funcx_core.protocol.task import Function
from funcx_core.service.checks import check_function, check_id
from funcx_core.service.function_cache import FunctionCache
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import StoredFunction, User


class Functions:
    """The functions of one store."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._limits = limits
        self._store = store
        self._cache = FunctionCache(store)
        self._registering: dict[FunctionId, asyncio.Future[None]] = {}

    async def register(self, user: User, function: Function, *, description: str = "", public: bool = False) -> None:
        """Make `function` known under its id.

        Raises:
            Conflict: the id is taken by another function.
        """
        check_id(function.function_id, "function id")
        check_function(function.name, function.body, self._limits)
        stored = StoredFunction(
            function=function, owner_id=user.user_id, description=description, public=public, created_at=time.time()
        )
        under_way = self._registering.setdefault(function.function_id, asyncio.get_running_loop().create_future())
        try:
            await self._store.add_function(stored)
            self._cache.add(stored)
        finally:
            self._registering.pop(function.function_id, None)
            if not under_way.done():
                under_way.set_result(None)

    async def get(self, user: User, function_id: FunctionId) -> StoredFunction:
        """Return a function that the user may run; waits for a registration of it that is under way."""
        under_way = self._registering.get(function_id)
        if under_way is not None:
            await asyncio.shield(under_way)
        return await self._cache.get(user.user_id, function_id)
