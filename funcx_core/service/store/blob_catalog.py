"""Which blobs there are, whose they are, which chunks have come and which tasks they belong to. The bytes are elsewhere.

A blob is used by tasks: as an argument until they have ended, as a result for as long as they have it; and by maps, until all of
their calls have succeeded. What nobody uses goes a day after it was touched last. An object that several blobs of one owner share goes with the last of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from funcx_core.errors import BlobNotFound, BlobQuotaExceeded, Conflict, TaskNotFound
from funcx_core.ids import BlobId, TaskId, UserId
from funcx_core.protocol.blob import BlobReference
from funcx_core.protocol.payload import REFERENCE
from funcx_core.service.store.blob_records import Blob, Stage
from funcx_core.service.store.blob_schema import blobs, chunks, uses
from funcx_core.service.store.schema import endpoints, maps, ranges, submits, tasks
from funcx_core.service.store.writer import Transaction

UNUSED_SECONDS: Final = 24 * 3600.0
"""How long a blob that no task uses is kept, an unfinished one included."""
EARLY_SECONDS: Final = 3600.0
"""A blob is bound to a task before the task is committed: for so long, a task that is not there may still come."""
EXPIRED_AT_A_TIME: Final = 500
_ID_LENGTH: Final = 36

Do = Callable[[Callable[[Transaction], Any]], Awaitable[Any]]
Read = Callable[..., Awaitable[Any]]

_placed = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id).join(
    endpoints, endpoints.c.endpoint_id == tasks.c.endpoint_id
)
_is_open = tasks.c.completed_at.is_(None)


class BlobCatalog:
    """The rows. `do` applies an operation in a transaction of the store's writer, `read` a query on a reader's connection."""

    def __init__(self, do: Do, read: Read) -> None:
        self._do = do
        self._read = read

    async def create(self, wanted: Blob, *, quota: int) -> Blob:
        """Return the blob with that id, made if there was none; with content that its owner has already, it is complete.

        Raises:
            Conflict: the id is taken by another blob.
            BlobQuotaExceeded: the owner's blobs would have more bytes than `quota`.
        """
        made: Blob = await self._do(lambda tx: _create(tx.connection, wanted, quota))
        return made

    async def owner_of_result(self, caller_id: UserId, task_id: TaskId) -> UserId:
        """Return who submitted an open task that runs on an endpoint of the caller.

        Raises:
            TaskNotFound: there is no such task.
        """
        found: UserId = await self._read(_owner_of_result, caller_id, task_id)
        return found

    async def find(self, blob_id: BlobId) -> Blob | None:
        """Return a blob that is not gone, whoever owns it."""
        found: Blob | None = await self._read(_find, blob_id)
        return found

    async def may_use(self, caller_id: UserId, blob: Blob) -> bool:
        """Whether the caller owns it, or an endpoint on which an open task uses it: that brings it in or out."""
        found: bool = blob.owner_id == caller_id or await self._read(_is_used_on_endpoint_of, caller_id, blob.blob_id)
        return found

    async def tags(self, blob_id: BlobId) -> dict[int, str]:
        """Return the chunks that have come, with the backend's tags."""
        found: dict[int, str] = await self._read(_tags, blob_id)
        return found

    async def begun(self, blob_id: BlobId, upload: str) -> None:
        """The backend's handle of the upload is `upload`."""
        await self._do(lambda tx: _change(tx.connection, blob_id, upload=upload))

    async def received(self, blob_id: BlobId, number: int, tag: str, now: float) -> None:
        """A chunk is durable."""
        await self._do(lambda tx: _add_chunk(tx.connection, blob_id, number, tag, now))

    async def completed(self, blob_id: BlobId, sha256: str, now: float) -> None:
        """All of it is there and has this checksum."""
        await self._do(lambda tx: _complete(tx.connection, blob_id, sha256, now))

    async def use(self, blob_id: BlobId, task_id: TaskId, kind: str, now: float) -> None:
        """The blob belongs to the task."""
        await self._do(lambda tx: _use(tx.connection, blob_id, task_id, kind, now))

    async def bind(
        self, owner_id: UserId, wanted: Mapping[TaskId, Sequence[BlobReference]], now: float
    ) -> dict[TaskId, BlobId]:
        """Use blobs as arguments.

        Return the tasks of which one is not there, not complete, not of this owner or not what its reference says, with that blob.
        """
        refused: dict[TaskId, BlobId] = await self._do(lambda tx: _bind(tx.connection, owner_id, wanted, now))
        return refused

    async def drop(self, blob_id: BlobId, *, force: bool = False) -> bool:
        """Give a blob up, unless a task uses it and `force` is not said; whether it is gone. `gone` has it until `erase`."""
        dropped: bool = await self._do(lambda tx: _drop(tx.connection, blob_id, force=force))
        return dropped

    async def expire(self, now: float) -> None:
        """Release what tasks do not need any more, and give up what nobody has used for long."""
        await self._do(lambda tx: _release(tx.connection, now))
        await self._do(lambda tx: _expire(tx.connection, now))

    async def gone(self) -> list[tuple[Blob, bool]]:
        """Return blobs that were given up, and whether their bytes may go, too."""
        found: list[tuple[Blob, bool]] = await self._read(_gone)
        return found

    async def erase(self, blob_ids: Sequence[BlobId]) -> None:
        """Forget blobs that are gone."""
        await self._do(lambda tx: _erase(tx.connection, blob_ids))


def _create(connection: sa.Connection, wanted: Blob, quota: int) -> Blob:
    row = connection.execute(sa.select(blobs).where(blobs.c.blob_id == wanted.blob_id)).one_or_none()
    if row is not None:
        known = _same(_blob(row), wanted)
        _change(connection, known.blob_id, touched_at=wanted.touched_at)
        return known
    twin = _complete_twin(connection, wanted)
    if twin is not None:
        wanted = msgspec.structs.replace(wanted, object_key=twin.object_key, upload=twin.upload, stage=Stage.COMPLETE)
    else:
        _check_quota(connection, wanted, quota)
    connection.execute(sa.insert(blobs).values(msgspec.structs.asdict(wanted)))
    return wanted


def _same(known: Blob, wanted: Blob) -> Blob:
    same_content = known.size == wanted.size and (
        None in {known.sha256, wanted.sha256} or known.sha256 == wanted.sha256
    )
    if known.owner_id != wanted.owner_id or known.stage is Stage.GONE or not same_content:
        raise Conflict(f"The blob id '{wanted.blob_id}' was used before, for something else. Use a new one.")
    return known


def _complete_twin(connection: sa.Connection, wanted: Blob) -> Blob | None:
    if wanted.sha256 is None:
        return None
    query = sa.select(blobs).where(
        blobs.c.owner_id == wanted.owner_id,
        blobs.c.sha256 == wanted.sha256,
        blobs.c.size == wanted.size,
        blobs.c.stage == Stage.COMPLETE,
    )
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _blob(row)


def _check_quota(connection: sa.Connection, wanted: Blob, quota: int) -> None:
    objects = (
        sa.select(sa.func.max(blobs.c.size).label("size"))
        .where(blobs.c.owner_id == wanted.owner_id, blobs.c.stage != Stage.GONE)
        .group_by(blobs.c.object_key)
        .subquery()
    )
    used = connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(objects.c.size), 0))) or 0
    if used + wanted.size > quota:
        raise BlobQuotaExceeded(
            f"{wanted.size:,} bytes more would make {used + wanted.size:,}; {quota:,} bytes of large values are allowed "
            "per user. Delete what is not needed, or wait until it expires."
        )


def _owner_of_result(connection: sa.Connection, caller_id: UserId, task_id: TaskId) -> UserId:
    query = (
        sa.select(submits.c.owner_id)
        .select_from(_placed)
        .where(tasks.c.task_id == task_id, _is_open, endpoints.c.owner_id == caller_id)
    )
    found = connection.scalar(query)
    if found is None:
        raise TaskNotFound(task_id)
    return UserId(found)


def _find(connection: sa.Connection, blob_id: BlobId) -> Blob | None:
    query = sa.select(blobs).where(blobs.c.blob_id == blob_id, blobs.c.stage != Stage.GONE)
    row = connection.execute(query).one_or_none()
    return None if row is None else _blob(row)


def _is_used_on_endpoint_of(connection: sa.Connection, caller_id: UserId, blob_id: BlobId) -> bool:
    query = (
        sa.select(uses.c.task_id)
        .select_from(_placed.join(uses, uses.c.task_id == tasks.c.task_id))
        .where(uses.c.blob_id == blob_id, _is_open, endpoints.c.owner_id == caller_id)
    )
    return connection.scalar(query.limit(1)) is not None


def _tags(connection: sa.Connection, blob_id: BlobId) -> dict[int, str]:
    query = sa.select(chunks.c.number, chunks.c.tag).where(chunks.c.blob_id == blob_id).order_by(chunks.c.number)
    return {row.number: row.tag for row in connection.execute(query)}


def _change(connection: sa.Connection, blob_id: BlobId, **values: Any) -> None:
    change = sa.update(blobs).where(blobs.c.blob_id == blob_id, blobs.c.stage != Stage.GONE).values(**values)
    if not connection.execute(change).rowcount:
        raise BlobNotFound(blob_id)


def _add_chunk(connection: sa.Connection, blob_id: BlobId, number: int, tag: str, now: float) -> None:
    _change(connection, blob_id, touched_at=now)
    values = {"blob_id": blob_id, "number": number, "tag": tag}
    connection.execute(insert(chunks).values(values).on_conflict_do_nothing())


def _complete(connection: sa.Connection, blob_id: BlobId, sha256: str, now: float) -> None:
    _change(connection, blob_id, stage=Stage.COMPLETE, sha256=sha256, touched_at=now)
    connection.execute(sa.delete(chunks).where(chunks.c.blob_id == blob_id))


def _use(connection: sa.Connection, blob_id: BlobId, task_id: TaskId, kind: str, now: float) -> None:
    values = {"blob_id": blob_id, "task_id": task_id, "kind": kind, "created_at": now}
    connection.execute(insert(uses).values(values).on_conflict_do_nothing())


def _bind(
    connection: sa.Connection, owner_id: UserId, wanted: Mapping[TaskId, Sequence[BlobReference]], now: float
) -> dict[TaskId, BlobId]:
    usable: set[BlobReference] = set()
    for reference in {reference for references in wanted.values() for reference in references}:
        change = sa.update(blobs).where(
            blobs.c.blob_id == reference.blob_id,
            blobs.c.owner_id == owner_id,
            blobs.c.stage == Stage.COMPLETE,
            # Endpoints keep inputs by their checksum: it has to be that of what this very user has uploaded.
            blobs.c.sha256 == reference.sha256,
            blobs.c.size == reference.size,
        )
        if connection.execute(change.values(touched_at=now)).rowcount:
            usable.add(reference)
    refused: dict[TaskId, BlobId] = {}
    for task_id, references in wanted.items():
        missing = next((reference.blob_id for reference in references if reference not in usable), None)
        if missing is not None:
            refused[task_id] = missing
            continue
        for reference in references:
            _use(connection, reference.blob_id, task_id, "argument", now)
    return refused


def _drop(connection: sa.Connection, blob_id: BlobId, *, force: bool) -> bool:
    if not force and connection.scalar(sa.select(uses.c.task_id).where(uses.c.blob_id == blob_id).limit(1)) is not None:
        return False
    connection.execute(sa.update(blobs).where(blobs.c.blob_id == blob_id).values(stage=Stage.GONE))
    return True


def _release(connection: sa.Connection, now: float) -> None:
    begin = sa.cast(sa.func.substr(tasks.c.result, 1, len(REFERENCE) + _ID_LENGTH), sa.Text)
    is_result = begin == sa.literal(REFERENCE.decode()) + uses.c.blob_id
    needed = sa.exists().where(tasks.c.task_id == uses.c.task_id, sa.or_(_is_open, is_result))
    of_map = sa.exists().where(maps.c.map_id == uses.c.task_id, ranges.c.map == maps.c.number, ranges.c.unfinished > 0)
    connection.execute(sa.delete(uses).where(uses.c.created_at < now - EARLY_SECONDS, ~needed, ~of_map))


def _expire(connection: sa.Connection, now: float) -> None:
    used = sa.exists().where(uses.c.blob_id == blobs.c.blob_id)
    change = sa.update(blobs).where(blobs.c.stage != Stage.GONE, blobs.c.touched_at < now - UNUSED_SECONDS, ~used)
    connection.execute(change.values(stage=Stage.GONE))


def _gone(connection: sa.Connection) -> list[tuple[Blob, bool]]:
    other = blobs.alias()
    shared = sa.exists().where(other.c.object_key == blobs.c.object_key, other.c.stage != Stage.GONE)
    query = sa.select(blobs, shared.label("shared")).where(blobs.c.stage == Stage.GONE).limit(EXPIRED_AT_A_TIME)
    found = []
    for row in connection.execute(query):
        *_, is_shared = row
        found.append((_blob(row), not is_shared))
    return found


def _erase(connection: sa.Connection, blob_ids: Sequence[BlobId]) -> None:
    for table in (chunks, uses):
        connection.execute(sa.delete(table).where(table.c.blob_id.in_(blob_ids)))
    connection.execute(sa.delete(blobs).where(blobs.c.blob_id.in_(blob_ids), blobs.c.stage == Stage.GONE))


def _blob(row: Any) -> Blob:
    values = {name: getattr(row, name) for name in Blob.__struct_fields__}
    return Blob(**{**values, "stage": Stage(row.stage)})
