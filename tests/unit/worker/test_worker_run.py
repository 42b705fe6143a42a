"""One task from payload to result, in this process."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from funcx_core.ids import BlobId, FunctionId, TaskId, new_blob_id
from funcx_core.protocol.blob import BlobReference, read_reference
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.task import Function, Task, TaskOptions, TaskState
from funcx_core.serialize import pack_call, pack_calls, pack_function, unpack_value
from funcx_endpoint.large import LargeFolder
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.page import TARGET, Page
from funcx_endpoint.worker.run import CAPACITY, Functions, LargeValues, Runner


def divide(a, b):
    return a / b


def unsendable():
    return (number for number in range(3))


def repeated(text, count):
    return text * count


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page.create(tmp_path / "page")[0]


@pytest.fixture
def runner(page: Page, large: LargeValues) -> Runner:
    functions = Functions()
    functions.add(
        [Function(FunctionId(f.__name__), f.__name__, pack_function(f)) for f in (divide, unsendable, repeated)]
        + [Function(FunctionId("broken"), "broken", b"garbage")]
    )
    return Runner(functions, Interrupts(page), large=large, max_result=100)


@pytest.fixture
def folder(tmp_path: Path) -> LargeFolder:
    folder = LargeFolder(tmp_path / "large")
    folder.open(())
    return folder


@pytest.fixture
def large(folder: LargeFolder) -> LargeValues:
    return LargeValues(folder, 5000)


def task(function: str, payload: bytes, options: TaskOptions | None = None) -> Task:
    return Task(TaskId("t"), 3, FunctionId(function), payload, options)


def test_a_value_comes_with_the_times_of_the_run(runner: Runner) -> None:
    result = runner.run(task("divide", pack_call((6, 3), {})), 1)
    assert (result.task_id, result.attempt, result.state, unpack_value(result.value)) == ("t", 3, "success", 2)
    assert 0 < result.times.started <= result.times.ended


def test_many_calls_give_a_list(runner: Runner) -> None:
    assert unpack_value(runner.run(task("divide", pack_calls([(6, 3), (9, 3)])), 1).value) == [2, 3]


@pytest.mark.parametrize(
    ("function", "payload", "code"),
    [
        ("divide", pack_call((1, 0), {}), "remote_task_error"),
        ("divide", b"garbage", "argument_load_error"),
        ("broken", pack_call((), {}), "function_load_error"),
        ("unsendable", pack_call((), {}), "result_not_serializable"),
    ],
)
def test_every_failure_has_a_code(runner: Runner, function: str, payload: bytes, code: str) -> None:
    result = runner.run(task(function, payload), 1)
    assert (result.state, result.error.code) == (TaskState.FAILED, code)
    assert result.error.message


@pytest.mark.parametrize(("options", "limit"), [(None, 5000), (TaskOptions(inline_result=True), 100)])
def test_a_value_over_the_limit_tells_both_sizes(runner: Runner, options: TaskOptions | None, limit: int) -> None:
    result = runner.run(task("repeated", pack_call(("x", 5001), {}), options), 1)
    assert result.error.code == "result_too_large"
    assert result.error.details["limit"] == limit
    assert result.error.details["size"] > 5001


def test_a_value_that_is_too_long_to_travel_is_left_for_the_agent(runner: Runner, folder: LargeFolder) -> None:
    result = runner.run(task("repeated", pack_call(("x", 4000), {})), 1)
    reference = read_reference(result.value)
    content = folder.result(reference.blob_id).read_bytes()
    assert (reference.size, reference.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert unpack_value(content) == "x" * 4000


def test_a_value_that_cannot_be_left_there_is_told(runner: Runner, folder: LargeFolder) -> None:
    folder.result(BlobId("x")).parent.rmdir()
    result = runner.run(task("repeated", pack_call(("x", 4000), {})), 1)
    assert (result.error.code, "No such file" in result.error.message) == ("result_too_large", True)


def test_arguments_that_did_not_travel_are_read_where_the_agent_put_them(runner: Runner, folder: LargeFolder) -> None:
    payload = pack_call((12, 4), {})
    reference = BlobReference(new_blob_id(), len(payload), "0" * 64)
    folder.argument(reference.blob_id).write_bytes(payload)
    assert unpack_value(runner.run(task("divide", reference.to_payload()), 1).value) == 3
    folder.argument(reference.blob_id).write_bytes(payload[1:])
    assert runner.run(task("divide", reference.to_payload()), 2).error.code == "argument_load_error"


def test_a_task_that_is_to_be_stopped_does_not_begin(runner: Runner, page: Page) -> None:
    page.numbers[TARGET] = 4
    assert runner.run(task("divide", pack_call((1, 1), {})), 3).state is TaskState.SUCCESS
    assert runner.run(task("divide", pack_call((1, 1), {})), 4).error.type_name == "KeyboardInterrupt"


def test_a_worker_keeps_so_many_functions_and_no_more() -> None:
    functions = Functions()
    functions.add([Function(FunctionId(str(n)), "f", b"") for n in range(CAPACITY + 1)])
    assert FunctionId("0") not in functions
    assert FunctionId(str(CAPACITY)) in functions


def test_who_sends_text_may_have_an_older_python(runner: Runner) -> None:
    def protocol(payload: bytes) -> int:
        return runner.run(task("divide", payload), 1).value.removeprefix(b"pb\n")[1]

    assert protocol(pack_call((6, 3), {})) == 5
    assert protocol(as_text(pack_call((6, 3), {})).encode()) == 4
