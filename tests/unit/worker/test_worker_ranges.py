"""A range of a map from payload to outcomes, in this process."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
from pathlib import Path

import pytest

from funcx_core.cells.inputs import remembering
from funcx_core.ids import BlobId, FunctionId, TaskId
from funcx_core.protocol.blob import BlobReference, with_blobs
from funcx_core.protocol.payload import VALUE, as_text
from funcx_core.protocol.ranges import CallState, Outcomes, a_range, listed
from funcx_core.protocol.task import Function, Task, TaskResult, TaskState
from funcx_core.serialize import pack_call, pack_calls, pack_function, rebuild_exception, unpack_value
from funcx_core.serialize.ranges import FULL_ERRORS, SEGMENT, pack_range
from funcx_endpoint.large import LargeFolder
from funcx_endpoint.worker import ranges
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.page import TARGET, Page
from funcx_endpoint.worker.run import Functions, LargeValues, Runner


def divide(a, b):
    return a / b


def echo(value):
    return value


def leave(value):
    raise SystemExit(value)


def lazily(value):
    return (number for number in range(value)) if value else value


def beside(sha256):
    from funcx_core.cells.inputs import read_input

    return bytes(read_input(sha256))


LIMIT = 2 * SEGMENT
NOT_LARGE = LargeValues(LargeFolder(Path("not-used")), 0)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page.create(tmp_path / "page")[0]


@pytest.fixture
def runner(page: Page) -> Runner:
    functions = Functions()
    functions.add(
        [Function(FunctionId(f.__name__), f.__name__, pack_function(f)) for f in (divide, echo, leave, lazily, beside)]
        + [Function(FunctionId("broken"), "broken", b"garbage")]
    )
    return Runner(functions, Interrupts(page), large=NOT_LARGE, max_result=LIMIT)


def task(function: str, payload: bytes) -> Task:
    return Task(TaskId("t"), 3, FunctionId(function), payload)


def values(result: TaskResult) -> dict[int, object]:
    found: dict[int, object] = {}
    for places, pickled in Outcomes(result.value).segments():
        value = unpack_value(VALUE + pickled)
        found.update(zip(places, [value] if len(places) == 1 else value, strict=True))
    return found


def test_the_failure_of_a_call_does_not_end_the_others(runner: Runner) -> None:
    result = runner.run(task("divide", pack_range([(6, 3), (1, 0), (8, 2)])), 1)
    assert result.state is TaskState.SUCCESS
    assert values(result) == {0: 2, 2: 4}
    errors = Outcomes(result.value).errors()
    assert list(errors) == [1]
    assert isinstance(rebuild_exception(errors[1]), ZeroDivisionError)


def test_a_call_that_wants_to_leave_fails_alone(runner: Runner) -> None:
    errors = Outcomes(runner.run(task("leave", pack_range([(1,), (2,)])), 1).value).errors()
    assert [error.type_name for error in errors.values()] == ["SystemExit", "SystemExit"]


def test_only_the_named_positions_are_run(runner: Runner) -> None:
    payload = a_range(pack_calls([(n,) for n in range(10)]), [2, 7])
    assert values(runner.run(task("echo", payload), 1)) == {0: 2, 1: 7}


def test_calls_with_payloads_of_their_own_have_values_of_their_own(runner: Runner) -> None:
    body = listed([pack_call((6,), {"b": 3}), b"garbage", as_text(pack_call((9, 3), {})).encode()])
    result = runner.run(task("divide", a_range(body)), 1)
    assert [list(places) for places, _ in Outcomes(result.value).segments()] == [[0], [2]]
    assert values(result) == {0: 2, 2: 3}
    assert Outcomes(result.value).errors()[1].code == "argument_load_error"


def test_a_value_that_cannot_be_sent_fails_alone(runner: Runner) -> None:
    result = runner.run(task("lazily", pack_range([(0,), (3,), (0,)])), 1)
    assert values(result) == {0: 0, 2: 0}
    assert Outcomes(result.value).errors()[1].code == "result_not_serializable"


def test_large_values_come_in_several_pickles_and_too_many_fail(runner: Runner) -> None:
    calls = [(bytes([n]) * (SEGMENT // 4),) for n in range(5)]
    result = runner.run(task("echo", pack_range(calls)), 1)
    assert len(Outcomes(result.value).segments()) > 1
    assert values(result) == {n: call[0] for n, call in enumerate(calls)}
    result = runner.run(task("echo", pack_range([(bytes(SEGMENT + n),) for n in range(3)])), 1)
    assert list(values(result)) == [0]
    assert [error.code for error in Outcomes(result.value).errors().values()] == ["result_too_large"] * 2
    one = Outcomes(runner.run(task("echo", pack_range([(bytes(LIMIT),), (1,)])), 1).value).errors()
    assert "Return less" in one[0].message


def test_many_failures_are_told_by_a_line_after_the_first_ones(runner: Runner) -> None:
    result = runner.run(task("divide", pack_range([(1, 0)] * 2000)), 1)
    errors = Outcomes(result.value).errors()
    assert len(errors) == 2000
    assert errors[0].traceback
    assert not errors[1999].traceback
    assert isinstance(rebuild_exception(errors[1999]), ZeroDivisionError)
    assert len(result.value) < 3 * FULL_ERRORS


@pytest.mark.parametrize(
    ("function", "payload", "code"),
    [
        ("broken", pack_range([(1,)]), "function_load_error"),
        ("echo", b"mr\ngarbage", "argument_load_error"),
        ("echo", a_range(b"mb\ngarbage"), "argument_load_error"),
        ("echo", a_range(pack_calls([(1,)]), [1]), "argument_load_error"),
    ],
)
def test_a_range_that_cannot_begin_fails_as_a_whole(runner: Runner, function: str, payload: bytes, code: str) -> None:
    result = runner.run(task(function, payload), 1)
    assert (result.state, result.value, result.error.code) == (TaskState.FAILED, b"", code)


class TestInterrupts:
    """Calls run in this process, so they may ask for their own end as the manager would."""

    def run(self, page: Page, function) -> TaskResult:
        functions = Functions()
        functions.add([Function(FunctionId("f"), "f", b"")])
        functions._loaded[FunctionId("f")] = function
        self.interrupts = interrupts = Interrupts(page)
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        interrupts.install()
        try:
            return Runner(functions, interrupts, large=NOT_LARGE, max_result=1000).run(
                task("f", pack_range([(n,) for n in range(5)])), 7
            )
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    def press(self, page: Page) -> None:
        page.numbers[TARGET] = 7
        os.kill(os.getpid(), signal.SIGINT)

    def test_what_is_complete_is_kept(self, page: Page) -> None:
        result = self.run(page, lambda n: self.press(page) if n == 3 else n)
        assert (result.state, result.error.type_name) == (TaskState.FAILED, "KeyboardInterrupt")
        assert values(result) == {0: 0, 1: 1, 2: 2}
        assert Outcomes(result.value).head.states()[3:] == bytes([CallState.NOT_RUN] * 2)

    def test_that_something_was_interrupted_is_known_once_whatever_the_result_says(self, page: Page) -> None:
        self.run(page, lambda n: n)
        assert not self.interrupts.has_raised()

        def careless(n):
            with contextlib.suppress(KeyboardInterrupt):
                self.press(page)

        self.run(page, careless)
        assert [self.interrupts.has_raised() for _ in range(2)] == [True, False]

    def test_a_call_that_turns_the_interrupt_into_its_own_error_counts_as_not_run(self, page: Page) -> None:
        def stubborn(n):
            try:
                return self.press(page) if n == 1 else n
            except KeyboardInterrupt:
                raise ValueError("no") from None

        result = self.run(page, stubborn)
        assert Outcomes(result.value).head.ran == 1

    def test_a_call_that_swallows_the_interrupt_is_the_last(self, page: Page, monkeypatch) -> None:
        monkeypatch.setattr(ranges, "PROGRESS_SECONDS", 0)
        monkeypatch.setattr(ranges, "MOST_AT_ONCE", 1)

        def deaf(n):
            try:
                return self.press(page) if n == 1 else n
            except KeyboardInterrupt:
                return "deaf"

        result = self.run(page, deaf)
        assert values(result) == {0: 0, 1: "deaf"}

    def test_an_interrupt_of_the_users_own_is_a_failure_of_that_call(self, page: Page) -> None:
        def own(n):
            if n == 1:
                raise KeyboardInterrupt
            return n

        result = self.run(page, own)
        assert result.state is TaskState.SUCCESS
        assert list(Outcomes(result.value).errors()) == [1]


def test_calls_find_what_travels_beside_their_range(page: Page, tmp_path: Path) -> None:
    folder = LargeFolder(tmp_path / "large")
    folder.open(())
    sha256 = hashlib.sha256(b"content").hexdigest()
    folder.input("alice", sha256).write_bytes(b"content")
    functions = Functions()
    functions.add([Function(FunctionId("beside"), "beside", pack_function(beside))])
    runner = Runner(functions, Interrupts(page), large=LargeValues(folder, 0), max_result=LIMIT)
    reference = BlobReference(BlobId("019a" + "0" * 4 + "-0000-7000-8000-" + "0" * 12), 7, sha256)
    payload = with_blobs(pack_range([(sha256,), ("cd" * 32,)]), [reference])
    result = runner.run(Task(TaskId("t"), 1, FunctionId("beside"), payload, owner="alice"), 1)
    head = Outcomes(result.value).head
    assert bytes(head.states()) == bytes((CallState.SUCCEEDED, CallState.FAILED))
    assert head.failures[0].error.code == "input_lost"
    broken = runner.run(Task(TaskId("t"), 1, FunctionId("beside"), b"wb\n\0\0\0\x05nonse", owner="alice"), 2)
    assert broken.error is not None
    assert broken.error.code == "argument_load_error"


def test_calls_of_a_range_read_an_input_once_and_have_a_copy_each() -> None:
    asked = []

    def read(sha256: str) -> bytes:
        asked.append(sha256)
        return b"content"

    own = remembering(read, room=10)
    first = own("a")
    second = own("a")
    assert (first, second, asked) == (b"content", b"content", ["a"])
    assert isinstance(second, bytearray)
    second[:] = b"changed"
    assert own("a") == b"content"
    assert [own("b"), own("b"), asked] == [b"content", b"content", ["a", "b", "b"]]  # There is no room for another one.
