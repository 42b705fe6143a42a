import sys
import threading

import pytest

from funcx_core.errors import MissingPackage, ServiceUnavailable
from funcx_core.ids import new_task_id
from funcx_core.protocol.ranges import Head, Segment, write_outcomes
from funcx_core.protocol.task import TaskResult, TaskState, TaskTimes
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.grids.grid import Grid
from funcx_core.sdk.grids.points import points_of
from funcx_core.sdk.grids.record import GridRecord
from funcx_core.sdk.map_feed import Range
from funcx_core.sdk.map_progress import MapProgress
from funcx_core.sdk.range_results import RangeResult
from funcx_core.sdk.trust import STRANGER
from funcx_core.serialize import pack_value


class Calls:
    """A map of one range of two calls, without a service."""

    map_id, name = "a map", "pilot"
    range_count = 1

    def __init__(self):
        self.one = Range(new_task_id(), 0, range(2), FuncXFuture())

    def ranges(self):
        return [self.one]

    def task_ids(self):
        return [self.one.task_id]

    def follow(self, listener, events=None):
        self.one.future.add_done_callback(lambda _: listener(self.one))

    def end(self, *values):
        pickled = pack_value(list(values))[len(b"pb\n") :]
        value = write_outcomes(Head(2, 2, [Segment(2, len(pickled))]), [pickled])
        result = RangeResult(TaskResult(self.one.task_id, 1, TaskState.SUCCESS, value), STRANGER)
        self.one.future.times = TaskTimes()
        self.one.future.set_result(result)


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def study(calls):
    grid = Grid(calls, GridRecord(points_of({"x": [1, 2]})), "theta")
    grid.start()
    return grid


def test_results_are_there_when_they_have_come(calls, study):
    assert [row["state"] for row in study] == ["waiting", "waiting"]
    calls.end(10, 20)
    assert [row["result"] for row in study] == [10, 20]
    assert study.wait(30)
    assert study.task_ids() == [calls.one.task_id]


class EndedCalls(Calls):
    """Has ended at the service; the results come a while after they were asked for."""

    def follow(self, listener, events=None):
        super().follow(listener)
        threading.Thread(target=self.end, args=(10, 20)).start()

    def progress(self):
        return MapProgress(size=2, submitted=2, succeeded=2)


def test_what_had_ended_is_there_when_a_grid_is_got_again():
    grid = Grid(EndedCalls(), GridRecord(points_of({"x": [1, 2]})), "theta")
    grid.start(patience=30)
    assert [row["result"] for row in grid] == [10, 20]


def test_without_pandas_there_are_rows(monkeypatch, study):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackage, match=r"pandas is not installed here: pip install pandas\. Or use rows\(\)"):
        study.table()
    assert len(study.rows()) == 2


def test_a_value_that_cannot_be_fetched_now_is_fetched_later(monkeypatch, calls, study):
    answers = [ServiceUnavailable("Cannot reach it.")]

    def exception(self, timeout=None):
        if answers:
            raise answers.pop()

    monkeypatch.setattr(FuncXFuture, "exception", exception)
    calls.end(10, 20)
    assert study.progress().open == 2
    assert study.progress().succeeded == 2
    assert study[1] == 20


def test_before_there_are_results_a_plot_says_so(study):
    assert repr(study.plot("x", "result")) == "result over x: no results yet"
