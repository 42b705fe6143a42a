"""A part of a store with tables of its own. It says what is read and written; the store, in which way that is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from funcx_core.service.store.writer import Transaction

P = ParamSpec("P")
T = TypeVar("T")

Do = Callable[[Callable[[Transaction], Any]], Awaitable[Any]]
Read = Callable[..., Awaitable[Any]]


class Catalog:
    """`do` applies an operation in a transaction of the store's writer, `read` a query on a reader's connection."""

    def __init__(self, do: Do, read: Read) -> None:
        self._do = do
        self._query = read

    async def _write(
        self, operation: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Apply `operation`; when this returns its change is committed."""
        done: T = await self._do(lambda tx: operation(tx.connection, *args, **kwargs))
        return done

    async def _read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        found: T = await self._query(query, *args, **kwargs)
        return found
