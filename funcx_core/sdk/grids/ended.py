"""What a range tells of its points when it has ended."""

from __future__ import annotations

from typing import Any

from funcx_core.errors import TaskCancelled
from funcx_core.ids import TaskId
from funcx_core.sdk.map_feed import Range
from funcx_core.sdk.range_results import Failed, RangeResult


def points_of(one: Range) -> list[int]:
    """Return the numbers of the points that a range runs, in that order."""
    return [one.start + position for position in one.positions]


def results_of(ended: Range, size: int) -> list[Any]:
    """Return what became of the points of a range that has ended."""
    future = ended.future
    assert future is not None  # noqa: S101 - it is told of with the future that has ended
    if future.cancelled():
        return [Failed(TaskCancelled("The point was not run."), TaskId(ended.task_id))] * size
    error = future.exception()
    if error is not None:
        return [Failed(error, TaskId(ended.task_id))] * size
    result = future.result()
    assert isinstance(result, RangeResult)  # noqa: S101 - the outcome of a range is one
    return result.results()
