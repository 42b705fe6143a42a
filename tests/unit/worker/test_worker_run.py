"""One task from payload to result, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.task import Function, Task, TaskState
from funcx_core.serialize import pack_call, pack_calls, pack_function, unpack_value
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.page import TARGET, Page
from funcx_endpoint.worker.run import CAPACITY, Functions, Runner


def divide(a, b):
    return a / b


def unsendable():
    return (number for number in range(3))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page.create(tmp_path / "page")[0]


@pytest.fixture
def runner(page: Page) -> Runner:
    functions = Functions()
    functions.add(
        [Function(FunctionId(f.__name__), f.__name__, pack_function(f)) for f in (divide, unsendable)]
        + [Function(FunctionId("broken"), "broken", b"garbage")]
    )
    return Runner(functions, Interrupts(page), max_result=100)


def task(function: str, payload: bytes) -> Task:
    return Task(TaskId("t"), 3, FunctionId(function), payload)


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


def test_a_value_over_the_limit_tells_both_sizes(page: Page) -> None:
    functions = Functions()
    functions.add([Function(FunctionId("divide"), "divide", pack_function(divide))])
    result = Runner(functions, Interrupts(page), max_result=5).run(task("divide", pack_call((1, 2), {})), 1)
    assert result.error.code == "result_too_large"
    assert result.error.details["limit"] == 5


def test_a_task_that_is_to_be_stopped_does_not_begin(runner: Runner, page: Page) -> None:
    page.numbers[TARGET] = 4
    assert runner.run(task("divide", pack_call((1, 1), {})), 3).state is TaskState.SUCCESS
    assert runner.run(task("divide", pack_call((1, 1), {})), 4).error.type_name == "KeyboardInterrupt"


def test_a_worker_keeps_so_many_functions_and_no_more() -> None:
    functions = Functions()
    functions.add([Function(FunctionId(str(n)), "f", b"") for n in range(CAPACITY + 1)])
    assert FunctionId("0") not in functions
    assert FunctionId(str(CAPACITY)) in functions
