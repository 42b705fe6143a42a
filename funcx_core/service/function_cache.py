"""The functions in use, so that a submit needs not read them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from funcx_core.errors import FunctionNotFound
from funcx_core.ids import FunctionId
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import StoredFunction

MAX_BYTES: Final = 64 * 1024 * 1024
REMEMBER_SECONDS: Final = 30.0
"""For so long at most another process of the service can still share what was unshared here."""


class FunctionCache:
    """Keeps the most recently used functions, up to `MAX_BYTES` of bodies, each for `REMEMBER_SECONDS`.

    `now` gives seconds that never go back.
    """

    def __init__(self, store: Store, max_bytes: int = MAX_BYTES, *, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._now = now
        self._size = 0
        self._functions: OrderedDict[FunctionId, tuple[StoredFunction, float]] = OrderedDict()
        self._changes = 0

    def add(self, stored: StoredFunction) -> None:
        """Remember a function as it was just committed or read."""
        function_id = stored.function.function_id
        self._remove(function_id)
        self._functions[function_id] = (stored, self._now() + REMEMBER_SECONDS)
        self._size += len(stored.function.body)
        while self._size > self._max_bytes and len(self._functions) > 1:
            self._remove(next(iter(self._functions)))

    def drop(self, function_id: FunctionId) -> None:
        """Forget a function that was changed or deleted."""
        self._changes += 1
        self._remove(function_id)

    def _remove(self, function_id: FunctionId) -> None:
        known = self._functions.pop(function_id, None)
        if known is not None:
            self._size -= len(known[0].function.body)

    async def get(self, function_id: FunctionId) -> StoredFunction:
        """Return a function, whoever owns it.

        Raises:
            FunctionNotFound: there is none.
        """
        known = self._functions.get(function_id)
        if known is not None and known[1] > self._now():
            self._functions.move_to_end(function_id)
            return known[0]
        changes = self._changes
        stored = await self._store.function(function_id)
        if stored is None:
            raise FunctionNotFound(function_id)
        if changes == self._changes:  # Else what was read may be what was changed.
            self.add(stored)
        return stored
