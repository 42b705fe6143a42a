import dataclasses
from collections import Counter
from typing import NamedTuple

import pytest

from funcx_core.errors import TaskCancelled, TaskTimeout, UsageError, WorkerLost
from funcx_core.ids import new_task_id
from funcx_core.protocol.task import TaskError, TaskTimes
from funcx_core.sdk.grids import progress
from funcx_core.sdk.grids.curve import as_text, curves, sparkline
from funcx_core.sdk.grids.outcomes import Outcomes, PointState, Run, made_at
from funcx_core.sdk.grids.rows import rows, spread
from funcx_core.sdk.range_results import Failed

WRONG = Failed(TaskError(code="remote_task_error", message="x is 0", type_name="builtins.ValueError"), "t")


def a_run(points=1, *, queue=1.0, run=2.0):
    task_id = new_task_id()
    started = int((made_at(task_id) + queue) * 1e9)
    return Run(task_id, points, TaskTimes(0, 0, started, started + int(run * 1e9)))


def test_a_point_belongs_to_the_newest_range_that_has_it():
    outcomes = Outcomes(3)
    outcomes.announce([0, 1, 2], 0)
    outcomes.started([0, 1, 2], 0)
    assert outcomes.counts() == {PointState.RUNNING: 3}
    outcomes.ended([0, 1, 2], 0, [10, WRONG, 12], a_run(3))
    assert outcomes.counts() == {PointState.SUCCEEDED: 2, PointState.FAILED: 1}
    outcomes.announce([1], 1)
    assert (outcomes[1].state, outcomes[1].attempts, outcomes[1].failed) == (PointState.WAITING, 2, None)
    outcomes.ended([0, 1, 2], 0, [0, 0, 0], a_run(3))
    assert outcomes[1].state is PointState.WAITING
    outcomes.ended([1], 1, [11], a_run())
    assert [outcomes[point].value for point in range(3)] == [0, 11, 0]
    assert outcomes.counts() == {PointState.SUCCEEDED: 3}


@pytest.mark.parametrize(
    ("error", "points", "state"),
    [
        (TaskCancelled("no"), 2, PointState.CANCELLED),
        (WorkerLost("no"), 2, PointState.LOST),
        (WorkerLost("no"), 1, PointState.FAILED),
        (TaskTimeout("no"), 1, PointState.LOST),
        (ValueError("no"), 2, PointState.FAILED),
    ],
)
def test_what_was_not_run_to_its_end_is_told_from_what_failed(error, points, state):
    outcomes = Outcomes(points)
    outcomes.announce(range(points), 0)
    outcomes.ended(range(points), 0, [Failed(error, "t")] * points, a_run(points))
    assert outcomes.counts() == {state: points}


def test_times_are_those_of_a_point():
    run = a_run(4, queue=1.5, run=2.0)
    assert run.queue == pytest.approx(1.5, abs=0.002)
    assert run.run == pytest.approx(0.5)
    assert (Run("t", 1, None).queue, Run("t", 1, None).run) == (None, None)


class Pair(NamedTuple):
    mean: int
    spread: int


@dataclasses.dataclass
class Fit:
    slope: float


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (3, {"result": 3}),
        ((1, 2), {"result": (1, 2)}),
        ({"a": 1, 2: 3}, {"a": 1, "2": 3}),
        (Pair(1, 2), {"mean": 1, "spread": 2}),
        (Fit(0.5), {"slope": 0.5}),
        (None, {"result": None}),
    ],
)
def test_results_are_spread_over_columns(value, columns):
    assert spread(value) == columns


def table_of(names, points, results):
    outcomes = Outcomes(len(points))
    outcomes.announce(range(len(points)), 0)
    for point, result in enumerate(results):
        if result is not ...:
            outcomes.ended([point], 0, [result], a_run())
    return rows(names, zip(points, (outcomes[point] for point in range(len(points))), strict=True), "theta")


def test_a_row_for_each_point_also_for_those_without_a_result():
    layout, found = table_of(("x",), [(1,), (0,), (2,)], [{"loss": 0.5}, WRONG, ...])
    assert layout.columns == ["x", "loss", "state", "error", "attempts", "queue", "run", "task_id", "endpoint"]
    assert [(row["x"], row["loss"], row["state"], row["error"]) for row in found] == [
        (1, 0.5, "succeeded", None),
        (0, None, "failed", "ValueError: x is 0"),
        (2, None, "waiting", None),
    ]
    assert found[0]["run"] == pytest.approx(2.0)
    assert found[2]["task_id"] is None


def test_no_column_hides_another():
    layout, found = table_of(("x", "state"), [(1, "CA")], [{"x": 5, "run": 9}])
    assert layout.columns[:4] == ["x", "state", "x_result", "run"]
    assert found[0] | {"queue": 0, "task_id": 0, "_run": 0} == {
        "x": 1, "state": "CA", "x_result": 5, "run": 9, "_state": "succeeded", "error": None, "attempts": 1,
        "queue": 0, "_run": 0, "task_id": 0, "endpoint": "theta",
    }  # fmt: skip


def test_progress_says_what_matters():
    counts = Counter({PointState.SUCCEEDED: 50, PointState.FAILED: 3, PointState.WAITING: 47})
    line = progress.line("pilot", counts, elapsed=10.0, before=3)
    assert line == "pilot   53%|██████████▋         | 53/100 [00:10<00:09, 5.0/s] 3 failed"
    assert "<?, " in progress.line("", counts, elapsed=10.0, before=53)
    assert progress.clock(3 * 3600 + 62) == "3:01:02"
    assert (progress.bar(0.0, 4), progress.bar(1.0, 4)) == ("    ", "████")


def test_curves_are_drawn_of_what_is_there():
    found = [{"x": 2, "loss": 4.0, "k": "a"}, {"x": 1, "loss": 2, "k": "a"}, {"x": 3, "loss": None, "k": "b"}]
    (curve,) = curves(found, "x", "loss")
    assert (curve.xs, curve.ys, curve.means) == ([1, 2], [2.0, 4.0], [])
    assert [curve.label for curve in curves(found, "x", "loss", "k")] == ["k = a"]
    (curve,) = curves([{"x": 1, "loss": 2}, {"x": 1, "loss": 4}, {"x": 2, "loss": 5}], "x", "loss")
    assert curve.means == [(1, 3.0), (2, 5.0)]
    assert as_text([], "x", "loss") == "loss over x: no results yet"
    assert "▁█" in as_text([curve], "x", "loss")


def test_a_column_that_cannot_be_plotted_is_named():
    with pytest.raises(UsageError, match=r"no column 'z'\. There are: x, loss"):
        curves([{"x": 1, "loss": 2}], "z", "loss")
    with pytest.raises(UsageError, match="no column 'y'"):
        curves([{"x": 1, "loss": 2, "state": "succeeded"}], "x", "y")
    with pytest.raises(UsageError, match="has no numbers"):
        curves([{"x": 1, "loss": "high", "state": "succeeded"}], "x", "loss")
    assert curves([{"x": 1, "state": "waiting"}], "x", "loss") == []


def test_a_sparkline_has_the_shape_of_its_numbers():
    assert sparkline([0, 1, 2, 3]) == "▁▃▆█"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([float("nan")]) == ""
    assert len(sparkline(range(1000))) == 60
