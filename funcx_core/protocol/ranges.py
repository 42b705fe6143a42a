r"""A range of a map on the wire: many calls of one function that travel as one task and end each by itself.

The *body* holds the arguments: an ``mb`` payload (one pickle, so what the calls share travels once) or an ``ml`` payload (a
payload per call). A *range* is a body with the positions of the calls in it that are to be run, all or some; so whoever
runs the rest of a range again needs not open the arguments.

What became of a range is an `Outcomes` container: a head that everybody may read, then pickles of values that only clients
open. ``mo\n``, 4-byte big-endian length of the head, the head in msgpack, the pickles. Calls run in order, so the
head says how many were run, which of those failed and why, and how the values of the others are cut into pickles. A
segment of one value is the pickle of that value, of several the pickle of their list.

Two ways to say which call: its *index* in the map, and its *place* in a range, from 0 in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.payload import CALLS, LENGTH_BYTES, LISTED, OUTCOMES, RANGE
from funcx_core.protocol.task import TaskError

MOST_CALLS: Final = 100_000
"""Calls of one range."""

_HEAD: Final = len(RANGE) + LENGTH_BYTES
_positions: Final[Decoder[list[int] | None]] = Decoder(list[int] | None)
_payloads: Final[Decoder[list[bytes]]] = Decoder(list[bytes])


class CallState(IntEnum):
    """What became of a call of a range, as a byte in the store."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_RUN = 2
    MOVED = 3
    """It was given to a later range."""


# --- arguments -----------------------------------------------------------------------------------------------------


def listed(payloads: Sequence[bytes]) -> bytes:
    """Return the body of calls that have a payload each, so that their values are kept apart as well."""
    return LISTED + msgspec.msgpack.encode(payloads)


def read_listed(body: bytes | memoryview) -> list[bytes]:
    """Return the payloads that `listed` took.

    Raises:
        RemoteProtocolError: it is something else.
    """
    if bytes(body[: len(LISTED)]) != LISTED:
        raise RemoteProtocolError("The payload is not a list of calls.")
    return _payloads.decode(body[len(LISTED) :])


def a_range(body: bytes, positions: Sequence[int] | None = None) -> bytes:
    """Return the payload of a range: the calls at these positions of the body, or all of them."""
    head = msgspec.msgpack.encode(None if positions is None else list(positions))
    return b"".join((RANGE, len(head).to_bytes(LENGTH_BYTES, "big"), head, body))


def read_range(payload: bytes) -> tuple[list[int] | None, bytes]:
    """Return positions and body of a range.

    Raises:
        RemoteProtocolError: it is something else.
    """
    end = _HEAD + int.from_bytes(payload[len(RANGE) : _HEAD], "big")
    if not payload.startswith(RANGE) or len(payload) < end + len(CALLS):
        raise RemoteProtocolError("The payload is not a range of calls.")
    body = payload[end:]
    if not body.startswith((CALLS, LISTED)):
        raise RemoteProtocolError("The range holds no calls.")
    return _positions.decode(memoryview(payload)[_HEAD:end]), body


# --- outcomes ------------------------------------------------------------------------------------------------------


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Values of `count` successive calls that succeeded, in one pickle of `size` bytes."""

    count: int
    size: int


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """A call that ended without a value."""

    place: int
    error: TaskError


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What is known of `count` calls, of which the first `ran` were run."""

    count: int
    ran: int
    segments: list[Segment] = []
    failures: list[Failure] = []

    @property
    def succeeded(self) -> int:
        """How many calls have a value."""
        return self.ran - len(self.failures)

    def check(self, rest: int) -> None:
        """Raise `RemoteProtocolError` unless the numbers fit each other and `rest` bytes of pickles."""
        values = size = 0
        for segment in self.segments:
            if segment.count <= 0 or segment.size < 0:
                raise _contradiction()
            values += segment.count
            size += segment.size
        last = -1
        for failure in self.failures:
            if not last < failure.place < self.ran:
                raise _contradiction()
            last = failure.place
        is_bounded = 0 <= self.ran <= self.count <= MOST_CALLS
        if not (is_bounded and values == self.succeeded and size == rest):
            raise _contradiction()

    def states(self) -> bytes:
        """Return a `CallState` for each place."""
        states = bytearray(bytes((CallState.SUCCEEDED,)) * self.ran)
        states += bytes((CallState.NOT_RUN,)) * (self.count - self.ran)
        for failure in self.failures:
            states[failure.place] = CallState.FAILED
        return bytes(states)


def _contradiction() -> RemoteProtocolError:
    return RemoteProtocolError("The outcomes of a range contradict themselves.")


_head: Final[Decoder[Head]] = Decoder(Head)


def write_outcomes(head: Head, pickles: Sequence[bytes]) -> bytes:
    """Return the container of a head and the pickles of its segments."""
    encoded = msgspec.msgpack.encode(head)
    return b"".join((OUTCOMES, len(encoded).to_bytes(LENGTH_BYTES, "big"), encoded, *pickles))


class Outcomes:
    """A container, read as far as nobody has to be trusted for it.

    Raises:
        RemoteProtocolError: the bytes are no container, or contradict themselves.
    """

    def __init__(self, value: bytes) -> None:
        end = _HEAD + int.from_bytes(value[len(OUTCOMES) : _HEAD], "big")
        if not value.startswith(OUTCOMES) or end > len(value):
            raise RemoteProtocolError("The value does not hold the outcomes of a range.")
        self._value = value
        self._start = end
        self.head = _head.decode(memoryview(value)[_HEAD:end])
        self.head.check(len(value) - end)

    def errors(self) -> dict[int, TaskError]:
        """Return why calls failed, by their place."""
        return {failure.place: failure.error for failure in self.head.failures}

    def segments(self) -> list[tuple[Sequence[int], bytes]]:
        """Return the pickles, each with the places of the calls whose values it holds."""
        places: Sequence[int] = range(self.head.ran)
        if self.head.failures:
            failed = {failure.place for failure in self.head.failures}
            places = [place for place in places if place not in failed]
        found = []
        first, start = 0, self._start
        for segment in self.head.segments:
            found.append((places[first : first + segment.count], self._value[start : start + segment.size]))
            first += segment.count
            start += segment.size
        return found
