"""The one table of task states."""

from __future__ import annotations

import itertools

import pytest

from funcx_core.errors import RemoteTaskError, TaskFailed, WorkerLost
from funcx_core.protocol.task import (
    EVENT_SEQ_BITS,
    TERMINAL,
    TRANSITIONS,
    Lease,
    Task,
    TaskError,
    TaskResult,
    TaskState,
    event_seq,
    may_become,
)


def reachable(start: TaskState) -> set[TaskState]:
    found: set[TaskState] = set()
    waiting = [start]
    while waiting:
        for state in TRANSITIONS[waiting.pop()] - found:
            found.add(state)
            waiting.append(state)
    return found


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(TaskState)


def test_terminal_states_have_no_way_out_and_all_others_have() -> None:
    assert {state for state in TaskState if not TRANSITIONS[state]} == TERMINAL
    assert {state for state in TaskState if state.is_terminal} == TERMINAL


@pytest.mark.parametrize("state", [state for state in TaskState if not state.is_terminal])
def test_every_open_task_can_end_at_once_in_any_way(state: TaskState) -> None:
    assert TRANSITIONS[state] >= TERMINAL


def test_every_state_can_be_reached() -> None:
    assert reachable(TaskState.RECEIVED) | {TaskState.RECEIVED} == set(TaskState)


def test_no_state_changes_to_itself() -> None:
    assert not any(may_become(state, state) for state in TaskState)


def test_a_task_that_is_being_cancelled_can_only_end() -> None:
    assert TRANSITIONS[TaskState.CANCELLING] == TERMINAL


def test_a_running_task_can_wait_again_only_because_another_attempt_may_begin() -> None:
    assert may_become(TaskState.RUNNING, TaskState.WAITING_FOR_EP)
    assert may_become(TaskState.RUNNING, TaskState.CANCELLING)


def test_the_values_are_those_that_published_services_report() -> None:
    assert [str(state) for state in TaskState] == [
        "received",
        "waiting-for-ep",
        "waiting-for-nodes",
        "waiting-for-launch",
        "running",
        "cancelling",
        "success",
        "failed",
        "cancelled",
    ]


def test_event_numbers_rise_over_attempts_and_fit_into_a_double() -> None:
    numbers = [event_seq(attempt, n) for attempt, n in itertools.product((1, 2, 3), (1, 2, 1_000_000))]
    assert numbers == sorted(set(numbers))
    assert event_seq(2**20, 2**32 - 1) < 2**53
    assert event_seq(7, 3) >> EVENT_SEQ_BITS == 7


def test_tasks_and_results_name_their_lease() -> None:
    from funcx_core.ids import FunctionId, TaskId

    task_id = TaskId("t")
    assert Task(task_id, 2, FunctionId("f"), b"").lease == Lease(task_id, 2)
    assert TaskResult(task_id, 2, TaskState.SUCCESS).lease == Lease(task_id, 2)


def test_an_error_of_ours_becomes_its_class() -> None:
    error = TaskError(code="worker_lost", message="it died", details={"signal": 9}).to_exception("t1")
    assert isinstance(error, WorkerLost)
    assert (error.task_id, error.details, str(error)) == ("t1", {"signal": 9}, "it died")


def test_a_users_exception_keeps_its_name_and_traceback() -> None:
    error = TaskError(
        code="remote_task_error", message="oh no", type_name="MyError", module="m", traceback="Traceback …"
    ).to_exception()
    assert isinstance(error, RemoteTaskError)
    assert str(error) == "MyError: oh no"
    assert error.details == {"type_name": "MyError", "module": "m", "traceback": "Traceback …"}


@pytest.mark.parametrize("code", ["not_configured", "a code of the future"])
def test_a_code_that_names_no_failure_of_a_task_is_still_a_failed_task(code: str) -> None:
    assert type(TaskError(code=code, message="?").to_exception()) is TaskFailed
