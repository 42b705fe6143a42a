"""Counting tasks, each once, in passes while they end."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from funcx_core.ids import EndpointId, FunctionId, UserId
from funcx_core.protocol.task import TaskState
from funcx_core.service.store.usage_catalog import UsedTask
from funcx_core.service.usage import Counts, Tally

DAY = 86_400 * 1_000_000_000
RECEIVED, SUCCESS, FAILED = TaskState.RECEIVED, TaskState.SUCCESS, TaskState.FAILED


def a_task(
    position: int, state: TaskState = SUCCESS, *, endpoint: str = "e", day: int = 3, ran: float = 0.5
) -> UsedTask:
    owner = UserId("alice" if position % 2 else "bob")
    return UsedTask(position, owner, EndpointId(endpoint), FunctionId("f"), state, day * DAY + 5, ran)


def test_tasks_are_counted_by_what_they_have_in_common() -> None:
    counts = Counts()
    counts.add([a_task(1), a_task(2, FAILED, endpoint="other", day=4, ran=1.0), a_task(3, day=4)])
    assert counts.all.states == {SUCCESS: 2, FAILED: 1}
    assert counts.all.run_seconds == 2.0
    assert counts.by_endpoint[EndpointId("other")].states == {FAILED: 1}
    assert counts.by_function[FunctionId("f")].states == {SUCCESS: 2, FAILED: 1}
    assert counts.by_day == {3: 1, 4: 2}
    assert counts.owners == {"alice", "bob"}


def test_an_open_task_is_counted_anew_until_it_has_ended() -> None:
    tally = Tally()
    tally.open_now([a_task(1, RECEIVED)])
    tally.finish(1)
    assert tally.counts().all.states == {RECEIVED: 1}
    tally.open_now([a_task(1, TaskState.RUNNING)])
    tally.finish(1)
    assert tally.counts().all.states == {TaskState.RUNNING: 1}
    tally.open_now([])
    assert tally.missing == [1]
    tally.ended([a_task(1)])
    tally.finish(1)
    assert tally.missing == []
    assert tally.counts().all.states == {SUCCESS: 1}


def test_a_task_that_was_removed_while_open_counts_no_more() -> None:
    tally = Tally()
    tally.open_now([a_task(1, RECEIVED)])
    tally.finish(1)
    tally.open_now([])
    tally.ended([])
    tally.finish(1)
    assert tally.counts().all.states.total() == 0
    tally.open_now([])
    assert tally.missing == []


@given(st.data())
def test_however_tasks_end_each_is_counted_once(data: st.DataObject) -> None:
    """Tasks arrive and end between any two steps of a pass; a pass may break off anywhere."""
    states: list[TaskState] = []
    tally = Tally()

    def life_goes_on() -> None:
        states.extend([RECEIVED] * data.draw(st.integers(0, 3)))
        for position in range(len(states)):
            if states[position] is RECEIVED and data.draw(st.booleans()):
                states[position] = SUCCESS

    def rows(positions: list[int], *, ended: bool) -> list[UsedTask]:
        return [
            a_task(each, states[each - 1])
            for each in positions
            if each <= len(states) and (states[each - 1] is SUCCESS) is ended
        ]

    def one_pass(*, whole: bool) -> None:
        newest = len(states)
        life_goes_on()
        tally.open_now(rows(list(range(1, newest + 1)), ended=False))
        while tally.position < newest:
            life_goes_on()
            if not whole and data.draw(st.booleans()):
                return
            last = min(newest, tally.position + 2)
            tally.ended(rows(list(range(tally.position + 1, last + 1)), ended=True))
            tally.position = last
        life_goes_on()
        tally.ended(rows(tally.missing, ended=True))
        tally.finish(newest)

    for _ in range(data.draw(st.integers(1, 4))):
        life_goes_on()
        one_pass(whole=False)
    one_pass(whole=True)
    settled = list(states)
    tally.open_now(rows(list(range(1, len(settled) + 1)), ended=False))
    tally.ended(rows(list(range(tally.position + 1, len(settled) + 1)), ended=True))
    tally.ended(rows(tally.missing, ended=True))
    tally.finish(len(settled))
    assert +tally.counts().all.states == Counter(settled)
