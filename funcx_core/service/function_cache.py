"""The functions in use, so that a submit needs not read them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from funcx_core.errors import FunctionNotFound
from funcx_core.ids import FunctionId, UserId
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import StoredFunction

MAX_BYTES: Final = 64 * 1024 * 1024


class FunctionCache:
    """Keeps the most recently used functions, up to `MAX_BYTES` of bodies."""

    def __init__(self, store: Store, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._size = 0
        self._functions: OrderedDict[FunctionId, StoredFunction] = OrderedDict()

    def add(self, stored: StoredFunction) -> None:
        """Remember a function that is committed."""
        function_id = stored.function.function_id
        if function_id in self._functions:
            return
        self._functions[function_id] = stored
        self._size += len(stored.function.body)
        while self._size > self._max_bytes and len(self._functions) > 1:
            _, oldest = self._functions.popitem(last=False)
            self._size -= len(oldest.function.body)

    async def get(self, user_id: UserId, function_id: FunctionId) -> StoredFunction:
        """Return a function that this user may run.

        Raises:
            FunctionNotFound: there is none, or it is somebody else's.
        """
        stored = self._functions.get(function_id)
        if stored is None:
            stored = await self._store.function(function_id)
            if stored is None:
                raise FunctionNotFound(function_id)
            self.add(stored)
        else:
            self._functions.move_to_end(function_id)
        if stored.owner_id != user_id and not stored.public:
            raise FunctionNotFound(function_id)
        return stored
