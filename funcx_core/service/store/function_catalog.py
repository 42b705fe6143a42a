"""Functions as they are listed, searched, changed and deleted. Their bodies are not read for that.

Every word of a search must be in the name, the description or the text of a function. What has a word in its name comes
before what has it only in its description, and that before what has it only in its text: exactly the name, its beginning,
somewhere in the name, in the description, in the text. Of equals the newer comes first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa

from funcx_core.ids import FunctionId, UserId
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.records import FoundFunction, FunctionChange, FunctionQuery, Sought
from funcx_core.service.store.registry import changed
from funcx_core.service.store.schema import functions, sources, users

SHORT: Final = 20_000
"""Characters of a text that is shown where many functions are listed."""

_NAMED_SO, _BEGINS, _IN_NAME, _IN_DESCRIPTION, _IN_SOURCE = 16, 8, 4, 2, 1
_text: Final = sa.func.coalesce(sources.c.source, "")
_joined: Final = functions.join(users, users.c.user_id == functions.c.owner_id).outerjoin(
    sources, sources.c.function_id == functions.c.function_id
)
_listed: Final = (
    functions.c.function_id,
    functions.c.name,
    functions.c.owner_id,
    users.c.name.label("owner_name"),
    functions.c.description,
    functions.c.public,
    functions.c.shared_with,
    functions.c.searchable,
    functions.c.container_id,
    functions.c.entry_point,
    functions.c.created_at,
)


class FunctionCatalog(Catalog):
    """The functions, without their bodies."""

    async def find(self, query: FunctionQuery) -> tuple[list[FoundFunction], int]:
        """Return a page of what was looked for, best first, and how many there are in all."""
        return await self._read(_find, query)

    async def describe(self, function_id: FunctionId) -> FoundFunction | None:
        """Return a function that was not deleted, whoever owns it."""
        return await self._read(_describe, function_id)

    async def names(self, function_ids: Collection[FunctionId]) -> dict[FunctionId, str]:
        """Return the names of functions, also of deleted ones."""
        return await self._read(_names, function_ids)

    async def change(self, owner_id: UserId, function_id: FunctionId, change: FunctionChange) -> bool:
        """Change a function of this owner; whether there was one."""
        return await self._write(_change, owner_id, function_id, change)

    async def delete(self, owner_id: UserId, function_id: FunctionId) -> bool:
        """Delete a function of this owner; whether there was one. Its id stays taken, and open tasks keep its body."""
        return await self._write(_delete, owner_id, function_id)


def _find(connection: sa.Connection, query: FunctionQuery) -> tuple[list[FoundFunction], int]:
    is_own = functions.c.owner_id == query.viewer_id
    is_shared = sa.or_(functions.c.public, functions.c.shared_with.in_(sorted(query.groups)))
    is_wanted = [~functions.c.deleted, sa.or_(is_own, sa.and_(functions.c.searchable, is_shared))]
    if query.owner:
        is_wanted.append(users.c.name == query.owner)
    is_wanted += [_has(sought, word) for sought, word in query.words]
    total = connection.scalar(sa.select(sa.func.count()).select_from(_joined).where(*is_wanted)) or 0
    page = (
        sa.select(*_listed, sa.case((sa.func.length(_text) <= SHORT, _text), else_="").label("source"))
        .select_from(_joined)
        .where(*is_wanted)
        .order_by(*([_rank([word for _, word in query.words]).desc()] if query.words else []))
        .order_by(functions.c.created_at.desc(), functions.c.function_id)
        .limit(query.limit)
        .offset(query.offset)
    )
    return [FoundFunction(**row._asdict()) for row in connection.execute(page)], total


def _has(sought: Sought, word: str) -> sa.ColumnElement[bool]:
    by_field = {Sought.NAME: [functions.c.name], Sought.DESCRIPTION: [functions.c.description]}
    found_in = by_field.get(sought, [functions.c.name, functions.c.description, _text])
    return sa.or_(*(column.icontains(word, autoescape=True) for column in found_in))


def _rank(words: list[str]) -> sa.ColumnElement[int]:
    ranks = [
        sa.case(
            (sa.func.lower(functions.c.name) == word.lower(), _NAMED_SO),
            (functions.c.name.istartswith(word, autoescape=True), _BEGINS),
            (functions.c.name.icontains(word, autoescape=True), _IN_NAME),
            (functions.c.description.icontains(word, autoescape=True), _IN_DESCRIPTION),
            else_=_IN_SOURCE,
        )
        for word in words
    ]
    rank: Any = ranks[0]
    for each in ranks[1:]:
        rank = rank + each
    found: sa.ColumnElement[int] = rank
    return found


def _describe(connection: sa.Connection, function_id: FunctionId) -> FoundFunction | None:
    query = sa.select(*_listed, _text.label("source")).select_from(_joined)
    row = connection.execute(query.where(functions.c.function_id == function_id, ~functions.c.deleted)).one_or_none()
    return None if row is None else FoundFunction(**row._asdict())


def _names(connection: sa.Connection, function_ids: Collection[FunctionId]) -> dict[FunctionId, str]:
    query = sa.select(functions.c.function_id, functions.c.name).where(functions.c.function_id.in_(list(function_ids)))
    return {FunctionId(row.function_id): row.name for row in connection.execute(query)}


def _change(connection: sa.Connection, owner_id: UserId, function_id: FunctionId, change: FunctionChange) -> bool:
    is_meant = (functions.c.function_id == function_id, functions.c.owner_id == owner_id, ~functions.c.deleted)
    values = changed(change)
    if not values:
        return connection.scalar(sa.select(sa.func.count()).select_from(functions).where(*is_meant)) == 1
    return connection.execute(sa.update(functions).where(*is_meant).values(values)).rowcount > 0


def _delete(connection: sa.Connection, owner_id: UserId, function_id: FunctionId) -> bool:
    is_meant = (functions.c.function_id == function_id, functions.c.owner_id == owner_id, ~functions.c.deleted)
    return connection.execute(sa.update(functions).where(*is_meant).values(deleted=True)).rowcount > 0
