"""Ranges and the containers of their outcomes, as bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import MOST_INDICES, call_id, new_map_id, parse_id, split_call_id
from funcx_core.protocol.payload import CALLS, OUTCOMES, as_text
from funcx_core.protocol.ranges import (
    CallState,
    Failure,
    Head,
    Outcomes,
    Segment,
    a_range,
    listed,
    read_listed,
    read_range,
    write_outcomes,
)
from funcx_core.protocol.task import TaskError

ERROR = TaskError(code="remote_task_error", message="no")
S, F, N = bytes((CallState.SUCCEEDED,)), bytes((CallState.FAILED,)), bytes((CallState.NOT_RUN,))


def test_a_range_is_a_body_with_positions() -> None:
    assert read_range(a_range(CALLS + b"pickle")) == (None, CALLS + b"pickle")
    assert read_range(a_range(listed([b"a", b"b"]), [1])) == ([1], listed([b"a", b"b"]))
    assert read_listed(listed([b"a", b"b"])) == [b"a", b"b"]


@pytest.mark.parametrize("payload", [b"", b"mr\n", b"mr\n\0\0\0\x09\xc0mb\n", b"mr\n\0\0\0\x01\xc0pb\nvalue", CALLS])
def test_what_is_no_range_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_range(payload)


def test_outcomes_tell_each_call_without_opening_a_value() -> None:
    head = Head(6, 4, [Segment(2, 3), Segment(1, 2)], [Failure(1, ERROR)])
    found = Outcomes(write_outcomes(head, [b"abc", b"de"]))
    assert found.head.states() == S + F + S + S + N + N
    assert [(list(places), pickled) for places, pickled in found.segments()] == [([0, 2], b"abc"), ([3], b"de")]
    assert found.errors() == {1: ERROR}


@pytest.mark.parametrize(
    "head",
    [
        Head(1, 2, [Segment(2, 0)]),  # more were run than there are
        Head(3, 3, [Segment(2, 0)]),  # one is neither a success nor a failure
        Head(2, 2, [], [Failure(1, ERROR), Failure(0, ERROR)]),  # out of order
        Head(1, 1, [], [Failure(1, ERROR)]),  # beyond the end
        Head(1, 1, [Segment(1, 5)]),  # bytes that are not there
        Head(0, 0, [Segment(0, 0)]),
        Head(10**9, 0),
        Head(-1, -1),
    ],
)
def test_outcomes_that_contradict_themselves_are_refused(head: Head) -> None:
    with pytest.raises(RemoteProtocolError):
        Outcomes(write_outcomes(head, []))


@given(st.binary(max_size=60), st.booleans())
def test_unknown_bytes_are_refused_and_nothing_else(data: bytes, with_prefix: bool) -> None:
    value = OUTCOMES + data if with_prefix else data
    try:
        found = Outcomes(value)
    except RemoteProtocolError:
        pass
    else:
        assert sum(len(places) for places, _ in found.segments()) == found.head.succeeded
    with contextlib.suppress(RemoteProtocolError):
        read_range(value)


@given(st.lists(st.sampled_from("sf"), max_size=30), st.integers(0, 5), st.data())
def test_every_container_is_read_as_it_was_written(ran: list[str], not_run: int, data: st.DataObject) -> None:
    failures = [Failure(place, ERROR) for place, state in enumerate(ran) if state == "f"]
    left, segments, pickles = ran.count("s"), [], []
    while left:
        count = data.draw(st.integers(1, left))
        pickles.append(data.draw(st.binary(max_size=5)))
        segments.append(Segment(count, len(pickles[-1])))
        left -= count
    head = Head(len(ran) + not_run, len(ran), segments, failures)
    found = Outcomes(write_outcomes(head, pickles))
    assert found.head == head
    assert [pickle for _, pickle in found.segments()] == pickles
    places = [place for some, _ in found.segments() for place in some]
    assert places == [place for place, state in enumerate(ran) if state == "s"]
    assert found.head.states() == b"".join({"s": S, "f": F}[state] for state in ran) + N * not_run


def test_outcomes_have_no_text_form() -> None:
    with pytest.raises(RemoteProtocolError, match="no text form"):
        as_text(write_outcomes(Head(0, 0), []))


def test_a_call_of_a_map_has_an_id_that_names_both() -> None:
    map_id = new_map_id()
    assert parse_id(map_id) == map_id
    assert new_map_id() != map_id
    for index in (0, 1, MOST_INDICES - 1):
        assert parse_id(call_id(map_id, index)) == call_id(map_id, index)
        assert split_call_id(call_id(map_id, index)) == (map_id, index)
    assert split_call_id(map_id) == (map_id, -1)  # type: ignore[arg-type]
