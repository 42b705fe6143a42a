"""What became of the calls of a range, for whoever trusts its endpoint and for whoever does not."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import date

import pytest

from funcx_core.errors import ResultNotTrusted
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.sdk.executor import _values
from funcx_core.sdk.range_results import RangeResult
from funcx_core.sdk.trust import TrustingReader
from funcx_core.serialize.ranges import OutcomesPacker


class NotPlain:
    pass


def a_range(values: list, *, trusted: bool) -> RangeResult:
    packer = OutcomesPacker(
        lambda error: TaskError(code="e", message=str(error)), lambda size: TaskError(code="e", message=""), 1 << 20
    )
    container = packer.pack(len(values), values, [], alone=False)
    return RangeResult(TaskResult("t", 1, TaskState.SUCCESS, container), TrustingReader(lambda _: trusted))


def as_a_map(found: RangeResult) -> list:
    future: Future = Future()
    future.set_result(found)
    return list(_values([future], None))


def test_values_come_in_order() -> None:
    assert as_a_map(a_range([1, "two", date(2026, 1, 1)], trusted=True)) == [1, "two", date(2026, 1, 1)]


def test_values_that_are_not_trusted_are_an_exception_and_no_values() -> None:
    with pytest.raises(ResultNotTrusted):
        as_a_map(a_range([NotPlain(), NotPlain()], trusted=False))


def test_plain_values_need_no_trust() -> None:
    assert as_a_map(a_range([1, 2, 3], trusted=False)) == [1, 2, 3]
