"""Ids are valid UUIDs, rise within a process, and are never made twice."""

from __future__ import annotations

import os
import threading
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx_core import ids
from funcx_core.errors import InvalidId
from funcx_core.ids import new_endpoint_id, new_function_id, new_group_id, new_task_id, parse_id


@pytest.mark.parametrize("make", [new_task_id, new_group_id, new_function_id])
def test_an_id_is_a_canonical_version_7_uuid(make) -> None:
    made = uuid.UUID(make())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert parse_id(make()) != parse_id(make())


def test_an_endpoint_id_is_random() -> None:
    assert uuid.UUID(new_endpoint_id()).version == 4


def test_the_first_48_bits_are_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_task_id()).int >> 80
    assert before - 1 <= made <= time.time_ns() // 1_000_000


def test_ids_rise_in_the_order_in_which_they_are_made() -> None:
    made = [new_task_id() for _ in range(50_000)]
    assert made == sorted(set(made))


def test_a_clock_that_steps_back_does_not_make_ids_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5_000_000_000, 5_000_000_000, 4_000_000_000, 4_000_000_000, 6_000_000_000, 6_000_000_000])
    sequence = ids._Sequence()
    monkeypatch.setattr(ids.time, "time_ns", lambda: next(clock))
    made = [sequence.next() for _ in range(3)]
    monkeypatch.undo()
    assert made == sorted(set(made))


def test_threads_never_make_the_same_id_and_each_sees_its_own_rise() -> None:
    made: list[list[str]] = []

    def make() -> None:
        made.append([new_task_id() for _ in range(20_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one == sorted(one) for one in made)
    assert len({task_id for one in made for task_id in one}) == 80_000


def test_a_forked_child_does_not_repeat_its_parents_ids() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "\n".join(new_task_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        theirs = set(pipe.read().split())
    ours = {new_task_id() for _ in range(100)}
    assert len(theirs) == 100
    assert not ours & theirs


@given(st.uuids())
def test_any_spelling_of_a_uuid_becomes_the_canonical_one(value: uuid.UUID) -> None:
    for spelling in (value, value.hex.upper(), f"{{{value}}}", value.urn):
        assert parse_id(spelling) == str(value)


@pytest.mark.parametrize(
    "text", ["", "x", "1e999502-b434", None, 7, b"1e999502-b434-49a2-a2e0-d925383d2dd4", "a" * 999]
)
def test_what_is_no_uuid_is_refused_by_name(text) -> None:
    with pytest.raises(InvalidId, match="task id") as caught:
        parse_id(text, "task id")
    assert len(str(caught.value)) < 300
