"""The seam for maps: what the web service needs of a store for them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from funcx_core.ids import MapId, TaskId, UserId
from funcx_core.protocol.maps import SubmitMap
from funcx_core.service.store.map_records import MapCounts, MapRow, RangeOutcome, RangeRow, Resumed
from funcx_core.service.store.records import Receipt


class MapStore(ABC):
    """Maps, their arguments and their ranges. What `Store` says about commits and errors holds here, too."""

    @abstractmethod
    async def submit(self, owner_id: UserId, message: SubmitMap, received_at: int) -> Receipt:
        """Accept each range of the message once, and make the map if it is new.

        Raises:
            Conflict: the map is another one, is cancelled, or has some of these calls already. Nothing was accepted.
        """

    @abstractmethod
    async def find(self, owner_id: UserId, map_id: MapId) -> MapRow | None:
        """Return a map of this owner."""

    @abstractmethod
    async def about(self, map_id: MapId) -> bytes:
        """Return what its client wrote about a map; empty if that is nothing."""

    @abstractmethod
    async def counts(self, map_id: MapId) -> MapCounts:
        """Return how many calls of a map are in which state."""

    @abstractmethod
    async def newest(self, owner_id: UserId, *, at_most: int) -> list[MapId]:
        """Return the maps of this owner that were made last, newest first."""

    @abstractmethod
    async def ranges(self, map_id: MapId, *, after: int, at_most: int) -> list[RangeRow]:
        """Return ranges of a map with a higher `number` than `after`, lowest first."""

    @abstractmethod
    async def outcomes(
        self, map_id: MapId, wanted: range, *, only_failed: bool, at_most_bytes: int
    ) -> tuple[list[RangeOutcome], int]:
        """Return what is known of the calls in `wanted`, and the index at which to go on: its end if nothing is left.

        It stops after about `at_most_bytes` of values, but never before the first. `only_failed` leaves out ranges in which
        no call failed.
        """

    @abstractmethod
    async def cancel(self, owner_id: UserId, map_id: MapId) -> list[TaskId] | None:
        """Take no more ranges for this map; return its open ones, or None if there is no such map of this owner."""

    @abstractmethod
    async def resume(self, owner_id: UserId, map_id: MapId, *, failed: bool, at_most: int) -> Resumed:
        """Make ranges of the calls that were not run to their end and (`failed`) of those that failed.

        A call is taken only from a range that has ended, and only once, whoever asks how often. About `at_most` ranges are
        made; ask again for more.
        """

    @abstractmethod
    async def delete(self, owner_id: UserId, map_id: MapId) -> bool:
        """Delete a map of this owner with its arguments and results; whether there was one.

        Raises:
            Conflict: some of its ranges have not ended.
        """
