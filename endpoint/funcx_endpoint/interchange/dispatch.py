"""Who gets which waiting task, when all that wait are alike; `placing` is for the others.

Theory of operation. Tasks leave the queue in order. A manager is first given one task for each idle worker. What
it gets ahead of its workers depends on how long a task of that function is expected to run (a moving average): nothing
when that is unknown or long, because the task would wait there while another manager idles; one task a worker up to
`PREFETCH_LIMIT`; and for short ones `AHEAD` seconds of work a worker, so that a worker never waits for a round trip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final

from funcx_core.ids import FunctionId
from funcx_endpoint.interchange.records import Held, ManagerRecord

PREFETCH_LIMIT: Final = 0.050
AHEAD: Final = 0.020
SMALLEST_COST: Final = 20e-6
"""Seconds a task costs a worker even if its function does nothing."""
WEIGHT_OF_OLD: Final = 0.8
REMEMBERED_FUNCTIONS: Final = 4096


class RunTimes:
    """How long a task of each function runs: an exponential moving average, in seconds."""

    def __init__(self) -> None:
        self._expected: dict[FunctionId, float] = {}

    def observe(self, function_id: FunctionId, seconds: float, number: int) -> None:
        """`number` tasks of this function ran for `seconds` together."""
        mean = max(seconds / number, 0.0)  # a clock may have been set back while they ran
        old = self._expected.pop(function_id, None)
        if old is not None:
            mean += (old - mean) * WEIGHT_OF_OLD**number
        self._expected[function_id] = mean
        if len(self._expected) > REMEMBERED_FUNCTIONS:
            del self._expected[next(iter(self._expected))]

    def expected(self, function_id: FunctionId) -> float | None:
        """Return the expected seconds of one task; None when none has ended yet."""
        return self._expected.get(function_id)

    def work(self, manager: ManagerRecord) -> float:
        """Return the seconds of work that a manager holds, all its workers added up."""
        expected = self._expected
        return sum(
            number * max(expected.get(function_id, PREFETCH_LIMIT), SMALLEST_COST)
            for function_id, number in manager.counts.items()
        )


def deal(
    waiting: deque[Held], managers: Iterable[ManagerRecord], run_times: RunTimes, most_ahead: int | None = None
) -> list[tuple[ManagerRecord, list[Held]]]:
    """Take tasks from `waiting` and lease them to `managers` as far as these may be given more.

    `most_ahead`: how many a manager may have beyond its workers; None for as many as short ones need.
    """
    emptiest_first = sorted(
        (manager for manager in managers if manager.is_open), key=lambda manager: manager.occupied / manager.capacity
    )
    dealt = [(manager, _fill_idle(waiting, manager)) for manager in emptiest_first]
    if waiting:
        _prefetch(waiting, dealt, run_times, most_ahead)
    return [(manager, taken) for manager, taken in dealt if taken]


def _fill_idle(waiting: deque[Held], manager: ManagerRecord) -> list[Held]:
    taken: list[Held] = []
    free = manager.capacity - manager.occupied
    while waiting and free > 0:
        held = waiting.popleft()
        if held.is_over:
            continue
        free -= 1
        held.manager = manager
        manager.take(held.task.function_id, 1)
        taken.append(held)
    return taken


def _prefetch(
    waiting: deque[Held],
    dealt: Sequence[tuple[ManagerRecord, list[Held]]],
    run_times: RunTimes,
    most_ahead: int | None,
) -> None:
    slots = sum([manager.capacity for manager, _ in dealt])
    number = len(waiting)
    for manager, taken in dealt:
        if manager.extra:
            continue  # What waits would be run in the slots that a large task keeps idle.
        # A fair share, so that the first manager does not take what the last one could run now.
        share = ceil(number * manager.capacity / slots)
        if most_ahead is not None:
            share = min(share, manager.capacity + most_ahead - manager.occupied)
        taken.extend(_fill_ahead(waiting, manager, run_times, share))


def _fill_ahead(waiting: deque[Held], manager: ManagerRecord, run_times: RunTimes, most: int) -> list[Held]:
    taken: list[Held] = []
    work = run_times.work(manager)
    enough = AHEAD * manager.capacity
    while (function_id := _head(waiting)) is not None:
        expected = run_times.expected(function_id)
        if expected is None or expected > PREFETCH_LIMIT:
            break
        cost = max(expected, SMALLEST_COST)
        number = min(most - len(taken), max(2 * manager.capacity - manager.occupied, ceil((enough - work) / cost)))
        if number <= 0:
            break
        run = _take_run(waiting, function_id, number)
        for held in run:
            held.manager = manager
        manager.take(function_id, len(run))
        work += len(run) * cost
        taken += run
    return taken


def _head(waiting: deque[Held]) -> FunctionId | None:
    """Return the function of the first task that still waits, which is then at the head."""
    while waiting:
        if not waiting[0].is_over:
            return waiting[0].task.function_id
        waiting.popleft()
    return None


def _take_run(waiting: deque[Held], function_id: FunctionId, most: int) -> list[Held]:
    """Take at most `most` tasks at the head that are of one function."""
    run: list[Held] = []
    while waiting and len(run) < most:
        held = waiting[0]
        if not held.is_over:
            if held.task.function_id != function_id:
                break
            run.append(held)
        waiting.popleft()
    return run
