"""What is known of each point of a grid. Pure: ranges and their outcomes in, states and values out.

Theory of operation. A point belongs to the newest range that has it; its *turn* is the number of that range among those of its span.
A range is announced when it is known to exist: its points are open from then on, also those that failed before. When
it ends, it tells of the points that are still its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskTimes
from funcx_core.sdk.range_results import Failed

_NOT_RUN: Final = {
    "task_cancelled": "cancelled",
    **dict.fromkeys(
        ("worker_lost", "manager_lost", "endpoint_lost", "task_poisoned", "task_timeout", "task_expired"), "lost"
    ),
}
_CULPRIT: Final = frozenset({"worker_lost", "task_poisoned"})
_ID_TIME: Final = slice(0, 13)


class PointState(StrEnum):
    """What became of a point. `cancelled` and `lost` were not run to their end; `Grid.resume` runs them again."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_open(self) -> bool:
        """Whether something is still to come."""
        return self in {PointState.WAITING, PointState.RUNNING}


class Run(msgspec.Struct, frozen=True):
    """The task that ran a point, maybe with others.

    Attributes:
        task_id: the task.
        points: how many it ran.
        times: when it passed each hop; None if it never ran.
    """

    task_id: TaskId
    points: int
    times: TaskTimes | None

    @property
    def queue(self) -> float | None:
        """Seconds until a worker started it."""
        if self.times is None or not self.times.started:
            return None
        return max(0.0, self.times.started / 1e9 - made_at(self.task_id))

    @property
    def run(self) -> float | None:
        """Seconds that a point ran, on the average of those in the task."""
        if self.times is None or not self.times.started or not self.times.ended:
            return None
        return max(0.0, (self.times.ended - self.times.started) / 1e9) / self.points


class Outcome(msgspec.Struct, frozen=True):
    """What is known of one point: `value` if it succeeded, `failed` if it has none; `run` once its task has ended."""

    state: PointState
    attempts: int
    value: Any = None
    failed: Failed | None = None
    run: Run | None = None


class Outcomes:
    """The outcomes of a grid of `size` points."""

    def __init__(self, size: int) -> None:
        self._found: list[Any] = [None] * size
        self._runs: list[Run | None] = [None] * size
        self._states = [PointState.WAITING] * size
        self._turns = [-1] * size
        self._attempts = [0] * size
        self._counts = Counter({PointState.WAITING: size})

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, point: int) -> Outcome:
        found = self._found[point]
        is_failed = isinstance(found, Failed)
        return Outcome(
            self._states[point],
            self._attempts[point],
            None if is_failed else found,
            found if is_failed else None,
            self._runs[point],
        )

    def announce(self, points: Iterable[int], turn: int) -> None:
        """There is a range of these points, the `turn`-th of its span."""
        for point in points:
            if point < len(self._states) and turn > self._turns[point]:
                self._turns[point] = turn
                self._attempts[point] += 1
                self._found[point] = self._runs[point] = None
                self._become(point, PointState.WAITING)

    def started(self, points: Iterable[int], turn: int) -> None:
        """The range runs."""
        for point in points:
            if self._turns[point] == turn and self._states[point] is PointState.WAITING:
                self._become(point, PointState.RUNNING)

    def ended(self, points: Sequence[int], turn: int, results: Sequence[Any], run: Run) -> None:
        """The range ended with a value, or a `Failed`, for each of the points."""
        for point, result in zip(points, results, strict=True):
            if point >= len(self._states) or self._turns[point] != turn:
                continue
            self._found[point] = result
            self._runs[point] = run
            self._become(point, _state_of(result, run))

    def counts(self) -> Counter[PointState]:
        """Return how many points are in which state."""
        return +self._counts

    def _become(self, point: int, state: PointState) -> None:
        self._counts[self._states[point]] -= 1
        self._counts[state] += 1
        self._states[point] = state


@lru_cache(maxsize=4096)
def made_at(task_id: str) -> float:
    """Return when an id was made, in Unix seconds: ids of tasks begin with that."""
    return int(task_id[_ID_TIME].replace("-", ""), 16) / 1e3


def _state_of(result: Any, run: Run) -> PointState:
    if not isinstance(result, Failed):
        return PointState.SUCCEEDED
    if result.code in _CULPRIT and run.points == 1:
        return PointState.FAILED  # Alone with its worker, it was the one.
    return PointState(_NOT_RUN.get(result.code, "failed"))
