"""The outbox of a stream, without a stream."""

from __future__ import annotations

from funcx_core.protocol.client import Poll, StateChange, TaskEvents, TaskResults, TaskStates, ToClient
from funcx_core.protocol.task import EventKind, TaskEvent, TaskResult, TaskState
from funcx_core.service.outbox import OVERHEAD, Outbox


def results(*sizes: int) -> list[TaskResult]:
    return [TaskResult(f"t{number}", 1, TaskState.SUCCESS, b"x" * size) for number, size in enumerate(sizes)]


def write(outbox: Outbox, size: int = 0) -> list[ToClient]:
    taken = []
    for message in outbox.take():
        outbox.sent(size)
        taken.append(message)
    return taken


def test_what_came_in_one_turn_leaves_in_one_frame_of_each_kind() -> None:
    outbox = Outbox()
    event = TaskEvent("t", 1, EventKind.STDOUT, 0, b"e")
    change = StateChange("t", TaskState.RUNNING)
    outbox.add_results(results(1))
    outbox.add_events([event])
    outbox.add_results(results(2))
    outbox.add_changes([change])
    assert write(outbox) == [TaskStates([change]), TaskEvents([event]), TaskResults(results(1) + results(2))]
    assert write(outbox) == []


def test_frames_are_bounded_except_for_a_single_large_result() -> None:
    outbox = Outbox(frame=1000)
    outbox.add_results(results(400, 400, 400, 5000, 1))
    assert [len(message.results) for message in write(outbox)] == [2, 1, 1, 1]


def test_more_waits_until_what_was_sent_has_left() -> None:
    outbox = Outbox(window=1000)
    outbox.add_results(results(1))
    assert write(outbox, size=1000) == [TaskResults(results(1))]
    outbox.add_results(results(2))
    outbox.add_results(results(3))
    assert write(outbox) == []
    assert outbox.written(1000)
    assert write(outbox) == [TaskResults(results(2) + results(3))]


def test_when_too_much_waits_it_is_dropped_and_the_client_told_to_ask() -> None:
    outbox = Outbox(window=1000, limit=2000)
    outbox.add_results(results(1))
    write(outbox, size=1500)
    outbox.add_results(results(300))
    outbox.add_results(results(300))  # too much now
    outbox.add_results(results(1))  # dropped as well
    assert write(outbox) == []
    assert outbox.written(1500)
    assert write(outbox) == [Poll()]
    outbox.add_results(results(5))
    assert write(outbox) == [TaskResults(results(5))]


def test_one_large_result_alone_is_let_through() -> None:
    outbox = Outbox(limit=2000)
    outbox.add_results(results(50_000))
    assert write(outbox) == [TaskResults(results(50_000))]


def test_the_sizes_add_up() -> None:
    outbox = Outbox()
    outbox.add_results(results(10))
    write(outbox, size=10 + OVERHEAD)
    assert outbox.unwritten_bytes == 10 + OVERHEAD
    assert not outbox.written(10 + OVERHEAD)
    assert outbox.unwritten_bytes == 0
