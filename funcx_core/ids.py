"""The names things go by: typed identifiers, how they are made and how they are read.

Every identifier is a UUID in its canonical lower-case text form. Ids that grow large tables (tasks, groups)
are version 7, so that they sort by the time they were made and an index receives them at its right edge.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from typing import NewType

from funcx_core.errors import InvalidId

TaskId = NewType("TaskId", str)
FunctionId = NewType("FunctionId", str)
EndpointId = NewType("EndpointId", str)
GroupId = NewType("GroupId", str)
UserId = NewType("UserId", str)
TokenId = NewType("TokenId", str)
ClientId = NewType("ClientId", str)
ContainerId = NewType("ContainerId", str)
GroupRef = NewType("GroupRef", str)
"""The id of a group of users, whoever keeps the group; `GroupId` is a task group's."""
ManagerId = NewType("ManagerId", str)
BlockId = NewType("BlockId", str)
MapId = NewType("MapId", str)
BlobId = NewType("BlobId", str)

MOST_INDICES = (1 << 32) - 1
"""Calls of a map that can have ids of their own."""
_INDEX_DIGITS = 8


class _Sequence:
    """Makes version 7 UUIDs for one process at a tenth of the price of `uuid.uuid4`.

    Layout (RFC 9562, section 5.7): 48 bits of Unix time in ms, then 26 bits of a counter that never goes
    back within the process, then 48 bits that are random per process.
    """

    def __init__(self) -> None:
        self._counter = itertools.count(int.from_bytes(os.urandom(2), "big"))
        self._suffix = os.urandom(6).hex()
        self._lock = threading.Lock()
        self._millisecond = 0
        self._head = ""

    def next(self) -> str:
        if time.time_ns() // 1_000_000 > self._millisecond:
            self._renew_head()
        count = next(self._counter) & 0x3FFFFFF
        return "%s%03x-%04x-%s" % (self._head, count >> 14, 0x8000 | (count & 0x3FFF), self._suffix)  # noqa: UP031 - half the time of an f-string

    def _renew_head(self) -> None:
        """Write the time, once a millisecond. It never goes back: not by a clock that does, nor by a slow thread."""
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._millisecond:
                digits = f"{now:012x}"
                self._head = f"{digits[:8]}-{digits[8:]}-7"
                self._millisecond = now  # last: a thread that sees it must find the head


_sequence = _Sequence()


def _renew_after_fork() -> None:
    global _sequence  # noqa: PLW0603 - a forked child must not repeat its parent's ids
    _sequence = _Sequence()


os.register_at_fork(after_in_child=_renew_after_fork)


def new_task_id() -> TaskId:
    """Return a fresh task id; safe from any thread."""
    return TaskId(_sequence.next())


def new_group_id() -> GroupId:
    """Return a fresh task group id."""
    return GroupId(_sequence.next())


def new_function_id() -> FunctionId:
    """Return a fresh function id."""
    return FunctionId(_sequence.next())


def new_endpoint_id() -> EndpointId:
    """Return a fresh endpoint id (random, not ordered: people compare endpoint ids by their first letters)."""
    return EndpointId(str(uuid.uuid4()))


def new_map_id() -> MapId:
    """Return a fresh map id: a UUID of version 7 whose last 32 bits are 0, which leaves room for the ids of its calls."""
    noise = f"{int.from_bytes(os.urandom(6), 'big'):012x}"
    variant = 0x8000 | int(noise[3:7], 16) & 0x3FFF
    digits = f"{time.time_ns() // 1_000_000:012x}"
    return MapId(f"{digits[:8]}-{digits[8:]}-7{noise[:3]}-{variant:04x}-{noise[7:11]}{'0' * _INDEX_DIGITS}")


def call_id(map_id: MapId, index: int) -> TaskId:
    """Return the id by which call `index` of a map is asked for like a task: the map's, with index + 1 in the last 32 bits."""
    return TaskId(f"{map_id[:-_INDEX_DIGITS]}{index + 1:08x}")


def split_call_id(task_id: TaskId) -> tuple[MapId, int]:
    """Return map and index that a task id names if it is that of a call of a map; the index is -1 if it cannot be."""
    return MapId(task_id[:-_INDEX_DIGITS] + "0" * _INDEX_DIGITS), int(task_id[-_INDEX_DIGITS:], 16) - 1


def new_blob_id() -> BlobId:
    """Return a fresh blob id (random: knowing one blob's says nothing about another's)."""
    return BlobId(str(uuid.uuid4()))


def new_container_id() -> ContainerId:
    """Return a fresh container id."""
    return ContainerId(_sequence.next())


def new_group_ref() -> GroupRef:
    """Return a fresh id for a group of users."""
    return GroupRef(str(uuid.uuid4()))


def parse_id(text: object, what: str = "id") -> str:
    """Return `text` as a canonical UUID.

    Args:
        text: what a caller gave us, usually a `str` or `uuid.UUID`.
        what: the noun used in the error, such as ``"endpoint id"``.

    Raises:
        InvalidId: if it is not a UUID.
    """
    try:
        return str(uuid.UUID(str(text)))
    except ValueError:
        raise InvalidId(str(text), what) from None
