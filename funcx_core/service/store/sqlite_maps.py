"""Maps in the embedded store."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from funcx_core.ids import MapId, TaskId, UserId
from funcx_core.protocol.maps import SubmitMap
from funcx_core.service.store import map_reads
from funcx_core.service.store.blobs import BlobFolder
from funcx_core.service.store.map_records import MapCounts, MapRow, RangeOutcome, RangeRow, Resumed
from funcx_core.service.store.map_writes import MapWrites
from funcx_core.service.store.maps import MapStore
from funcx_core.service.store.records import Receipt
from funcx_core.service.store.writer import GroupCommit

ROWS_PER_RANGE: Final = 2
BYTES_PER_ROW: Final = 8 * 1024


class SqliteMaps(MapStore):
    """Writes through the store's group commit, reads by its readers. `note` is told which tasks a map waits for."""

    def __init__(
        self,
        writer: GroupCommit,
        writes: MapWrites,
        read: Callable[..., Awaitable[Any]],
        blobs: BlobFolder,
        note: Callable[[Iterable[TaskId]], None],
    ) -> None:
        self._writer = writer
        self._writes = writes
        self._read = read
        self._blobs = blobs
        self._note = note

    async def submit(self, owner_id: UserId, message: SubmitMap, received_at: int) -> Receipt:
        """Accept each range once."""
        size = sum(len(one.payload) for one in message.ranges)
        receipt = await self._writer.do(
            lambda tx: self._writes.submit(tx, owner_id, message, received_at),
            weight=ROWS_PER_RANGE * len(message.ranges) + size // BYTES_PER_ROW,
        )
        if receipt.is_held:
            self._note(message.options.after)  # One of them may have failed before.
        return receipt

    async def find(self, owner_id: UserId, map_id: MapId) -> MapRow | None:
        """Return a map."""
        found: MapRow | None = await self._read(map_reads.map_row, owner_id, map_id)
        return found

    async def about(self, map_id: MapId) -> bytes:
        """Return what its client wrote about a map."""
        found: bytes = await self._read(map_reads.map_about, map_id)
        return found

    async def counts(self, map_id: MapId) -> MapCounts:
        """Return how many calls are in which state."""
        found: MapCounts = await self._read(map_reads.map_counts, map_id)
        return found

    async def newest(self, owner_id: UserId, *, at_most: int) -> list[MapId]:
        """Return an owner's newest maps."""
        found: list[MapId] = await self._read(map_reads.map_ids, owner_id, at_most)
        return found

    async def ranges(self, map_id: MapId, *, after: int, at_most: int) -> list[RangeRow]:
        """Return ranges in the order in which they were made."""
        found: list[RangeRow] = await self._read(map_reads.range_rows, map_id, after, at_most)
        return found

    async def outcomes(
        self, map_id: MapId, wanted: range, *, only_failed: bool, at_most_bytes: int
    ) -> tuple[list[RangeOutcome], int]:
        """Return what is known of calls."""
        found: tuple[list[RangeOutcome], int] = await self._read(
            map_reads.outcomes, self._blobs, map_id, wanted, int(only_failed), at_most_bytes
        )
        return found

    async def cancel(self, owner_id: UserId, map_id: MapId) -> list[TaskId] | None:
        """Mark a map as cancelled and return its open ranges."""
        now = time.time_ns()
        if not await self._writer.do(lambda tx: self._writes.cancel(tx, owner_id, map_id, now)):
            return None
        found: list[TaskId] = await self._read(map_reads.open_ranges, map_id)
        return found

    async def resume(self, owner_id: UserId, map_id: MapId, *, failed: bool, at_most: int) -> Resumed:
        """Make ranges of what has ended without success."""
        now = time.time_ns()
        return await self._writer.do(
            lambda tx: self._writes.resume(tx, owner_id, map_id, failed=failed, now=now, at_most=at_most)
        )

    async def delete(self, owner_id: UserId, map_id: MapId) -> bool:
        """Delete an ended map."""
        return await self._writer.do(lambda tx: self._writes.delete(tx, owner_id, map_id))
