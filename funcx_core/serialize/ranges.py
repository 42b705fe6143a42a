"""Ranges of a map, opened: arguments on the worker, values on the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from funcx_core.errors import DeserializationError, RemoteProtocolError
from funcx_core.protocol.payload import CALLS, VALUE
from funcx_core.protocol.ranges import Failure, Head, Segment, a_range, read_listed, read_range, write_outcomes
from funcx_core.protocol.task import TaskError
from funcx_core.serialize.bytesform import dumps
from funcx_core.serialize.values import pack_calls, pack_value, unpack_calls

SEGMENT: Final = 256 * 1024
"""Bytes of a pickle of several values, about; values that are larger have one each."""
FULL_ERRORS: Final = 256 * 1024
"""Bytes of errors that are told in full; of what fails after that in the same range, only a line is."""
_SHORT: Final = 300

Described = Callable[[BaseException], TaskError]


def pack_range(calls: list[tuple[Any, ...]]) -> bytes:
    """Return the payload of a range: calls of one function with positional arguments.

    Raises:
        SerializationError: naming the argument that cannot be sent.
    """
    return a_range(pack_calls(calls))


def unpack_range(payload: bytes) -> tuple[list[Any], bool]:
    """Return the calls of a range, and whether each is still a payload (else it is a tuple of arguments).

    Raises:
        DeserializationError: it is no range. Whatever the pickle raises passes through.
    """
    try:
        positions, body = read_range(payload)
        is_listed = not body.startswith(CALLS)
        calls: list[Any] = read_listed(body) if is_listed else unpack_calls(body)
    except RemoteProtocolError as error:
        raise DeserializationError(str(error)) from None
    if positions is None:
        return calls, is_listed
    if positions and not 0 <= min(positions) <= max(positions) < len(calls):
        raise DeserializationError(f"The range names calls that are not among the {len(calls)} that it holds.")
    return [calls[position] for position in positions], is_listed


class OutcomesPacker:
    """Makes the container of a range's outcomes. Values that cannot be sent become failures of their calls.

    Args:
        describe: gives the error of a value that cannot be pickled.
        too_large: gives the error of values of this many bytes, which are too many.
        max_size: bytes of values in one container.
    """

    def __init__(self, describe: Described, too_large: Callable[[int], TaskError], max_size: int) -> None:
        self._describe = describe
        self._too_large = too_large
        self._room = max_size
        self._pickles: list[bytes] = []
        self._segments: list[Segment] = []
        self._failures: list[Failure] = []

    def pack(self, count: int, values: list[Any], failures: Sequence[Failure], *, alone: bool) -> bytes:
        """Return the container. Never raises, unless memory is short.

        Args:
            count: calls of the range.
            values: of the calls that succeeded, in order.
            failures: of those that did not; together they are the first calls of the range.
            alone: give each value a pickle of its own.
        """
        ran = len(values) + len(failures)
        places = range(ran)
        if failures:
            failed = {failure.place for failure in failures}
            places = [place for place in places if place not in failed]  # type: ignore[assignment]
        if values:
            self._add(values, places, alone=alone)
        told = sorted([*failures, *self._failures], key=lambda failure: failure.place)
        return write_outcomes(Head(count, ran, self._segments, _shortened(told)), self._pickles)

    def _add(self, values: list[Any], places: Sequence[int], *, alone: bool) -> None:
        if alone or len(values) == 1:
            self._add_each(values, places)
            return
        try:
            pickled = dumps(values)
        except Exception:  # noqa: BLE001 - pickling runs the user's code; one by one shows whose value it is
            self._add_each(values, places)
            return
        if len(pickled) <= SEGMENT:
            self._keep(pickled, places)
            return
        size = max(1, len(values) * SEGMENT // len(pickled) // 2)
        for start in range(0, len(values), size):
            self._add(values[start : start + size], places[start : start + size], alone=size == 1)

    def _add_each(self, values: list[Any], places: Sequence[int]) -> None:
        for place, value in zip(places, values, strict=True):
            try:
                pickled = pack_value(value)[len(VALUE) :]
            except Exception as error:  # noqa: BLE001 - pickling runs the user's code
                self._failures.append(Failure(place, self._describe(error)))
                continue
            self._keep(pickled, (place,))

    def _keep(self, pickled: bytes, places: Sequence[int]) -> None:
        if len(pickled) > self._room:
            error = self._too_large(len(pickled))
            self._failures += [Failure(place, error) for place in places]
            return
        self._room -= len(pickled)
        self._pickles.append(pickled)
        self._segments.append(Segment(len(places), len(pickled)))


def _shortened(failures: list[Failure]) -> list[Failure]:
    """Return `failures`, in full as long as they are small together: a thousand equal tracebacks help nobody."""
    room = FULL_ERRORS
    told = []
    for failure in failures:
        error = failure.error
        room -= len(error.traceback) + len(error.exception) + len(error.message)
        told.append(failure if room >= 0 else Failure(failure.place, _line_of(error)))
    return told


def _line_of(error: TaskError) -> TaskError:
    return msgspec.structs.replace(
        error,
        message=error.message[:_SHORT],
        traceback="",
        frames=[],
        exception=error.exception if len(error.exception) <= _SHORT else b"",
    )
