"""Maps: one durable record for any number of calls of one function.

A map's calls have indices from 0. They are cut into *spans*: successive calls whose arguments are one payload. A *range* is
a task that runs calls of one span, at first all of them. What has not succeeded may be run again by later ranges of
the same span; every index belongs to the newest range that has it, and the others have no say about it any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from funcx_core.errors import InvalidRequest, RemoteProtocolError
from funcx_core.ids import MOST_INDICES, EndpointId, FunctionId, GroupId, MapId
from funcx_core.protocol.blob import without_blobs
from funcx_core.protocol.ranges import MOST_CALLS, read_range
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, TaskOptions

MAX_NAME: Final = 256
MAX_ABOUT: Final = 4 * 1024 * 1024
"""Bytes of what a client writes about a map."""


class RangeCall(Call, frozen=True, array_like=True, gc=False):
    """A range as its client submits it, which is the first one of its span: calls `start` to `start + size` of the map.

    `is_last`: no call of the map follows, so its size is known.
    """

    start: int
    size: int
    is_last: bool = False


class SubmitMap(msgspec.Struct, frozen=True, tag="submit_map"):
    """Run these ranges of a map, which is made by the first message that names it. Answered by one `Accepted`.

    Everything but `request`, `ranges` and `about` is the same in all messages of a map. `about` is the client's own, such as what the
    parameters of its calls are; the service keeps that of the message that makes the map, and never opens it.
    """

    request: int
    map_id: MapId
    endpoint_id: EndpointId
    group_id: GroupId
    function_id: FunctionId
    ranges: list[RangeCall]
    name: str = ""
    options: TaskOptions = DEFAULT_OPTIONS
    about: bytes = b""


def check_ranges(ranges: Sequence[RangeCall], function_id: FunctionId) -> None:
    """Raise `InvalidRequest` unless these can be ranges of one map, in order."""
    for one in ranges:
        if not 0 < one.size <= MOST_CALLS:
            raise InvalidRequest(f"A range has {one.size:,} calls; 1 to {MOST_CALLS:,} are possible.")
        if one.start < 0 or one.start + one.size > MOST_INDICES:
            raise InvalidRequest(f"A range begins at {one.start}; a map has calls 0 to {MOST_INDICES - 1:,}.")
        if one.function_id != function_id:
            raise InvalidRequest("A range names another function than its map. A map calls one function.")
        try:
            payload, _ = without_blobs(one.payload)
            positions, _ = read_range(payload)
        except RemoteProtocolError as error:
            raise InvalidRequest(f"The payload of a range cannot be read: {error}") from None
        if positions is not None:
            raise InvalidRequest("A client submits whole ranges; the service makes the others when it resumes a map.")
    for one, other in pairwise(ranges):
        if one.start + one.size > other.start or one.is_last:
            raise InvalidRequest("The ranges of a map must be in order and must not overlap.")
