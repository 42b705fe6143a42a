"""Lanes: open tasks of an endpoint by owner and priority, so that reading some of them reads some of everybody's.

The number of a lane has the owner's hash in front and then the priority, the highest one first. Two owners with the same hash share
their turn here, and nothing else. Rows of earlier releases are in lane 0. Tasks that wait for others are in lanes below 0,
where nothing is read from; see `dependencies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain, zip_longest
from typing import Final

import sqlalchemy as sa

from funcx_core.ids import EndpointId, TaskId, UserId
from funcx_core.protocol.resources import MOST_PRIORITY

_PRIORITY_BITS: Final = 8

# From one lane to the next by the index, without looking at the tasks between.
_LANES: Final = sa.text(
    "WITH RECURSIVE found(lane) AS ("
    " SELECT min(lane) FROM tasks WHERE endpoint_id = :endpoint_id AND completed_at IS NULL AND lane >= 0"
    " UNION ALL"
    " SELECT (SELECT min(lane) FROM tasks"
    "  WHERE endpoint_id = :endpoint_id AND completed_at IS NULL AND lane > found.lane)"
    " FROM found WHERE found.lane IS NOT NULL"
    ") SELECT lane FROM found WHERE lane IS NOT NULL"
)
_PAGE: Final = sa.text(
    "SELECT task_id, position FROM tasks"
    " WHERE endpoint_id = :endpoint_id AND lane = :lane AND completed_at IS NULL AND position > :after"
    " ORDER BY position LIMIT :at_most"
)


def lane_of(owner_id: UserId, priority: int) -> int:
    """Return the number of a lane."""
    owner = int.from_bytes(blake2b(owner_id.encode(), digest_size=4).digest())
    return owner << _PRIORITY_BITS | (MOST_PRIORITY - priority)


def held(lane: int) -> int:
    """Return the lane of tasks that wait for others and belong to `lane`; of that one again, `lane`."""
    return -1 - lane


def open_tasks(connection: sa.Connection, endpoint_id: EndpointId, at_most: int) -> list[TaskId]:
    """Return open tasks of an endpoint: the first of each lane, then the second of each, and so on."""
    readers = [_Reader(connection, endpoint_id, lane) for lane in _lanes(connection, endpoint_id)]
    found: list[TaskId] = []
    while readers and len(found) < at_most:
        share = -(-(at_most - len(found)) // len(readers))
        pages = [reader.next_page(share) for reader in readers]
        found += [task_id for task_id in chain.from_iterable(zip_longest(*pages)) if task_id is not None]
        readers = [reader for reader, page in zip(readers, pages, strict=True) if len(page) == share]
    return found[:at_most]


def _lanes(connection: sa.Connection, endpoint_id: EndpointId) -> Iterator[int]:
    return iter(connection.scalars(_LANES, {"endpoint_id": endpoint_id}).all())


class _Reader:
    """Reads one lane, page by page."""

    def __init__(self, connection: sa.Connection, endpoint_id: EndpointId, lane: int) -> None:
        self._connection = connection
        self._lane = {"endpoint_id": endpoint_id, "lane": lane}
        self._after = 0

    def next_page(self, at_most: int) -> list[TaskId]:
        rows = self._connection.execute(_PAGE, {**self._lane, "after": self._after, "at_most": at_most}).all()
        if rows:
            self._after = rows[-1].position
        return [TaskId(row.task_id) for row in rows]
