"""The pending tasks of one endpoint, and whose turn it is to be leased. Pure.

Theory of operation. Tasks of one owner and one priority wait in a `Lane`, first in, first out. The window of an endpoint is shared
by its owners: the next lease is for who has the fewest there, and of one owner for the highest priority. So long tasks of
one fill no more than their part of the window while others wait. What the endpoint makes of its leases, by time, is its own.

A lane that has next to nothing leased may go a little beyond a window that others fill: else its first task would wait here until
one of theirs has ended, and at the endpoint until another one has.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Final

from funcx_core.forwarder.records import Place, Record
from funcx_core.ids import UserId

LEAST_SHARE: Final = 16
"""Tasks of each lane for which there is always room, whatever the others have."""
REMEMBERED_LANES: Final = 256


class Lane:
    """Tasks of one owner and one priority. `is_behind`: older ones are in the store and not here."""

    __slots__ = ("is_behind", "leased", "owner_id", "pending", "priority")

    def __init__(self, owner_id: UserId, priority: int) -> None:
        self.owner_id = owner_id
        self.priority = priority
        self.pending: deque[Record] = deque()  # may hold records that are no longer pending
        self.leased = 0
        self.is_behind = False

    @property
    def has_next(self) -> bool:
        """Whether a task waits, which is then at the head."""
        pending = self.pending
        while pending and pending[0].place is not Place.PENDING:
            pending.popleft()
        return bool(pending)


class Turns:
    """All lanes of one endpoint."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[UserId, int], Lane] = {}

    def lane(self, owner_id: UserId, priority: int) -> Lane:
        """Return a lane, new or not."""
        found = self._lanes.get((owner_id, priority))
        if found is None:
            self._forget_idle()
            found = self._lanes[owner_id, priority] = Lane(owner_id, priority)
        return found

    def put(self, record: Record, *, first: bool = False) -> None:
        """A task is pending, after or before the others of its lane."""
        pending = self.lane(record.owner_id, record.priority).pending
        if first:
            pending.appendleft(record)
        else:
            pending.append(record)

    def leased(self, record: Record, number: int = 1) -> None:
        """So many leases more, or fewer, are with the endpoint."""
        self.lane(record.owner_id, record.priority).leased += number

    def __iter__(self) -> Iterator[Record]:
        """All entries; some may be pending no longer."""
        return (record for lane in self._lanes.values() for record in lane.pending)

    def __len__(self) -> int:
        return sum([len(lane.pending) for lane in self._lanes.values()])

    @property
    def total_leased(self) -> int:
        """Leases of all lanes."""
        return sum(lane.leased for lane in self._lanes.values())

    def compact(self) -> None:
        """Drop entries that are no longer pending."""
        for lane in self._lanes.values():
            lane.pending = deque(record for record in lane.pending if record.place is Place.PENDING)

    def clear(self) -> None:
        """Nothing is pending any more."""
        for lane in self._lanes.values():
            lane.pending.clear()

    def is_small(self, lane: Lane) -> bool:
        """Whether there is always room for another task of a lane, because the many are others'."""
        return len(self._lanes) > 1 and lane.leased + len(lane.pending) < LEAST_SHARE

    def caught_up(self) -> None:
        """Everything that is in the store is known."""
        for lane in self._lanes.values():
            lane.is_behind = False

    def small_share(self, window: int) -> int:
        """Return how many leases a lane may have although others fill the window."""
        return min(LEAST_SHARE, max(window // 4, 1)) if len(self._lanes) > 1 and window > 0 else 0

    def order(self, share: int | None = None) -> Iterator[Lane]:
        """Yield lanes whose first task is to be leased next; the caller takes it and counts it before it asks again.

        `share`: only lanes with fewer leases than that; None for all.
        """
        lanes = [lane for lane in self._lanes.values() if lane.has_next and (share is None or lane.leased < share)]
        if len(lanes) == 1:
            (lane,) = lanes
            while lane.has_next and (share is None or lane.leased < share):
                yield lane
            return
        yield from self._take_turns(lanes, share)

    def _take_turns(self, lanes: list[Lane], share: int | None) -> Iterator[Lane]:
        owners: dict[UserId, list[Lane]] = {}
        for lane in sorted(lanes, key=lambda lane: lane.priority):
            owners.setdefault(lane.owner_id, []).append(lane)
        totals = dict.fromkeys(owners, 0)
        for lane in self._lanes.values():
            if lane.owner_id in totals:
                totals[lane.owner_id] += lane.leased
        heap = [(total, number, owner_id) for number, (owner_id, total) in enumerate(totals.items())]
        heapq.heapify(heap)
        serial = len(heap)
        while heap:
            total, _, owner_id = heapq.heappop(heap)
            mine = owners[owner_id]
            while mine and not (mine[-1].has_next and (share is None or mine[-1].leased < share)):
                mine.pop()
            if mine:
                yield mine[-1]
                serial += 1
                heapq.heappush(heap, (total + 1, serial, owner_id))

    def _forget_idle(self) -> None:
        if len(self._lanes) > REMEMBERED_LANES:
            self._lanes = {
                key: lane for key, lane in self._lanes.items() if lane.pending or lane.leased or lane.is_behind
            }
