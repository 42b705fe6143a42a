"""Tasks in the dialects of published clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from funcx_core.ids import GroupId, new_task_id
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.service.legacy.dialect import Dialect, dialect_of
from funcx_core.service.legacy.views import LONGEST_MESSAGE, streamed_result, translated_task
from funcx_core.service.store.records import TaskRow
from tests.support.stored import ENDPOINT, FUNCTION, GROUP, NOW

FAILED = TaskError(code="remote_task_error", message="bad", type_name="ValueError", module="builtins", traceback="tb")
LEGACY = (Dialect.OBJECT, Dialect.OBJECT_01)


def a_row(state: TaskState, **more: Any) -> TaskRow:
    return TaskRow(
        task_id=new_task_id(),
        function_id=FUNCTION,
        endpoint_id=ENDPOINT,
        group_id=GroupId(GROUP),
        state=state,
        attempt=1,
        completed_at=NOW,
        **more,
    )


@pytest.mark.parametrize(
    ("path", "agent", "dialect"),
    [
        ("/v1/tasks/x", "globus-sdk-py-2.0.3", Dialect.OBJECT_01),
        ("/v1/tasks/x", "curl/8", Dialect.OBJECT_01),
        ("/v2/tasks/x", "globus-sdk-py-2.0.3", Dialect.OBJECT),
        ("/v2/tasks/x", "globus-sdk-py-3.65.0", Dialect.OBJECT),
        ("/v2/tasks/x", "globus-sdk-py-3.65.0/funcx-sdk-1.0.6", Dialect.TEXT),
        ("/v2/tasks/x", "globus-sdk-py-3.65.0/funcx-sdk-1.0.6/my-app", Dialect.TEXT),
        ("/v2/tasks/x", "globus-sdk-py-4.9.1/globus-compute-sdk-4.19.0", Dialect.TEXT),
        ("/v2/tasks/x", "funcx-sdk-0.1.0", Dialect.OURS),
        ("/v2/tasks/x", "curl/8", Dialect.OURS),
        ("/v2/tasks/x", "", Dialect.OURS),
    ],
)
def test_a_client_is_known_by_path_and_user_agent(path: str, agent: str, dialect: Dialect) -> None:
    assert dialect_of(path, agent) is dialect


@pytest.mark.parametrize("dialect", Dialect)
def test_an_open_task_has_neither_result_nor_exception(dialect: Dialect) -> None:
    view = translated_task(a_row(TaskState.RUNNING), dialect)
    assert view["status"] == "running"
    assert not {"result", "exception", "completion_t"} & view.keys()


def test_the_oldest_client_reads_pickles_by_another_identifier() -> None:
    row = a_row(TaskState.SUCCESS, value=b"00\nabc")
    assert translated_task(row, Dialect.OBJECT)["result"] == "00\nabc"
    assert translated_task(row, Dialect.OBJECT_01)["result"] == "01\nabc"
    assert translated_task(a_row(TaskState.SUCCESS, value=b"11\n{}"), Dialect.OBJECT_01)["result"] == "11\n{}"


def test_a_failure_is_text_or_an_object() -> None:
    row = a_row(TaskState.FAILED, error=FAILED)
    assert translated_task(row, Dialect.TEXT)["exception"] == "tb"
    assert translated_task(row, Dialect.OURS)["exception"] == "tb"
    assert translated_task(row, Dialect.OBJECT)["exception"].startswith("00\n")
    assert translated_task(row, Dialect.OBJECT_01)["exception"].startswith("01\n")


def test_published_clients_know_no_cancelling() -> None:
    assert translated_task(a_row(TaskState.CANCELLED), Dialect.OURS)["status"] == "cancelled"
    for dialect in (Dialect.TEXT, *LEGACY):
        cancelled = translated_task(a_row(TaskState.CANCELLED, error=FAILED), dialect)
        assert cancelled["status"] == "failed"
        assert cancelled["exception"]
        assert translated_task(a_row(TaskState.CANCELLING), dialect)["status"] == "running"


def test_a_value_without_text_is_a_failure_for_published_clients() -> None:
    row = a_row(TaskState.SUCCESS, value=b"\xff")
    assert translated_task(row, Dialect.TEXT)["status"] == "failed"
    for dialect in LEGACY:
        view = translated_task(row, dialect)
        assert view["status"] == "failed"
        assert view["exception"].startswith(dialect.pickle_identifier)


def streamed(result: TaskResult) -> dict[str, Any]:
    return json.loads(streamed_result(result, 1.5))


def test_followers_find_both_keys() -> None:
    message = streamed(TaskResult(new_task_id(), 1, TaskState.SUCCESS, b"00\nabc"))
    assert (message["status"], message["result"], message["exception"]) == ("success", "00\nabc", None)
    assert message["completion_t"] == "1.500000"
    failed = streamed(TaskResult(new_task_id(), 1, TaskState.FAILED, error=FAILED))
    assert (failed["status"], failed["result"], failed["reason"]) == ("failed", None, "tb")
    assert failed["exception"].startswith("00\n")


def test_followers_hear_of_a_cancelled_task_as_failed() -> None:
    assert streamed(TaskResult(new_task_id(), 1, TaskState.CANCELLED))["status"] == "failed"


def test_a_message_longer_than_clients_take_says_so_instead() -> None:
    result = TaskResult(new_task_id(), 1, TaskState.SUCCESS, b"00\n" + b"x" * LONGEST_MESSAGE)
    message = streamed(result)
    assert message["status"] == "failed"
    assert "get_result" in message["reason"]
