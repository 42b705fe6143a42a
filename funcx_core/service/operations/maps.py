"""What users can do with maps."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from funcx_core.errors import InvalidRequest, MapNotFound, PayloadTooLarge
from funcx_core.ids import MapId, UserId
from funcx_core.protocol.client import Rejection, Submit
from funcx_core.protocol.maps import MAX_ABOUT, MAX_NAME, RangeCall, SubmitMap, check_ranges
from funcx_core.protocol.task import Call, TaskOptions
from funcx_core.service.checks import check_id
from funcx_core.service.operations.tasks import Tasks
from funcx_core.service.store.map_records import MapCounts, MapRow, RangeOutcome, RangeRow, Resumed
from funcx_core.service.store.maps import MapStore
from funcx_core.service.store.records import Receipt, User

RANGES_AT_ONCE: Final = 1000
"""Ranges that one transaction makes when a map is resumed."""
PAGE_BYTES: Final = 8 * 1024 * 1024
MOST_ASKED: Final = 10_000


class Maps:
    """The maps of one store."""

    def __init__(self, store: MapStore, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks

    async def submit(self, user: User, message: SubmitMap) -> list[Rejection]:
        """Accept ranges of a map and have them run; returns those that were not accepted, each with its reason.

        Raises:
            FuncxError: nothing at all was accepted.
        """
        check_id(message.map_id, "map id")
        if not message.map_id.endswith("00000000"):
            raise InvalidRequest(f"'{message.map_id}' cannot be a map's id: its last 32 bits must be 0.")
        if len(message.name) > MAX_NAME:
            raise InvalidRequest(f"The map's name has {len(message.name)} characters; at most {MAX_NAME} are allowed.")
        if len(message.about) > MAX_ABOUT:
            raise PayloadTooLarge(len(message.about), MAX_ABOUT, "record of the map's parameters")
        check_ranges(message.ranges, message.function_id)
        submit = Submit(message.request, message.endpoint_id, message.group_id, list(message.ranges), message.options)
        return await self._tasks.submit(user, submit, keep=partial(self._keep, user.user_id, message))

    async def _keep(self, owner_id: UserId, message: SubmitMap, calls: list[Call], options: TaskOptions) -> Receipt:
        ranges = [call for call in calls if isinstance(call, RangeCall)]
        accepted = SubmitMap(
            message.request,
            message.map_id,
            message.endpoint_id,
            message.group_id,
            message.function_id,
            ranges,
            message.name,
            options,
            message.about,
        )
        return await self._store.submit(owner_id, accepted, time.time_ns())

    async def get(self, user: User, map_id: MapId) -> MapRow:
        """Return a map of the user.

        Raises:
            MapNotFound: there is none.
        """
        check_id(map_id, "map id")
        found = await self._store.find(user.user_id, map_id)
        if found is None:
            raise MapNotFound(map_id)
        return found

    async def about(self, user: User, map_id: MapId) -> bytes:
        """Return what the client that made a map of the user wrote about it."""
        await self.get(user, map_id)
        return await self._store.about(map_id)

    async def counts(self, user: User, map_id: MapId) -> MapCounts:
        """Return how many calls of a map of the user are in which state."""
        await self.get(user, map_id)
        return await self._store.counts(map_id)

    async def newest(self, user: User, at_most: int) -> list[MapRow]:
        """Return the user's newest maps, newest first."""
        found = [await self._store.find(user.user_id, map_id) for map_id in await self._newest_ids(user, at_most)]
        return [row for row in found if row is not None]

    async def _newest_ids(self, user: User, at_most: int) -> list[MapId]:
        return await self._store.newest(user.user_id, at_most=at_most)

    async def ranges(self, user: User, map_id: MapId, *, after: int, at_most: int = RANGES_AT_ONCE) -> list[RangeRow]:
        """Return ranges of a map in the order in which they were made."""
        await self.get(user, map_id)
        return await self._store.ranges(map_id, after=after, at_most=at_most)

    async def outcomes(
        self, user: User, map_id: MapId, first: int, count: int, *, only_failed: bool = False
    ) -> tuple[list[RangeOutcome], int | None]:
        """Return what is known of `count` calls from `first`, as much as fits into an answer, and where to go on if not all."""
        row = await self.get(user, map_id)
        end = first + count if row.size is None else min(first + count, row.size)
        if end <= first:
            return [], None
        found, left_at = await self._store.outcomes(
            map_id, range(first, end), only_failed=only_failed, at_most_bytes=PAGE_BYTES
        )
        return found, left_at if found and left_at < end else None

    async def cancel(self, user: User, map_id: MapId, *, force: bool = False) -> None:
        """Ask for the end of what is open of a map. What is complete stays."""
        check_id(map_id, "map id")
        found = await self._store.cancel(user.user_id, map_id)
        if found is None:
            raise MapNotFound(map_id)
        await self._tasks.cancel(user, found, force=force)

    async def resume(self, user: User, map_id: MapId, *, failed: bool = False) -> Resumed:
        """Run again what has ended without success: what was cancelled or lost, and what failed if asked for.

        Returns the new ranges. What is still being stopped is not among them: ask again when it has ended.
        """
        row = await self.get(user, map_id)
        await self._tasks.check_runnable(user, row.endpoint_id, row.function_id)
        resumed = Resumed(row.endpoint_id)
        while True:
            more = await self._store.resume(user.user_id, map_id, failed=failed, at_most=RANGES_AT_ONCE)
            if not more.task_ids:
                return resumed
            resumed = Resumed(row.endpoint_id, resumed.task_ids + more.task_ids, resumed.calls + more.calls)
            await self._tasks.take_over(user, row.endpoint_id, len(more.task_ids))

    async def delete(self, user: User, map_id: MapId) -> None:
        """Delete a map of the user that has ended, with its arguments and results."""
        check_id(map_id, "map id")
        if not await self._store.delete(user.user_id, map_id):
            raise MapNotFound(map_id)
