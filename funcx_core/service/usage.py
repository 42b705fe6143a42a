"""Usage, counted: so many tasks in which state, where, of which function, on which day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from funcx_core.ids import EndpointId, FunctionId, UserId
from funcx_core.protocol.task import TaskState
from funcx_core.service.store.usage_catalog import UsedTask

DAYS: Final = 30
_DAY: Final = 86_400 * 1_000_000_000


@dataclass(slots=True)
class Count:
    """Tasks by state, and how long they ran together."""

    states: Counter[TaskState] = field(default_factory=Counter)
    run_seconds: float = 0.0

    def add(self, task: UsedTask) -> None:
        """Count a task."""
        self.states[task.state] += 1
        self.run_seconds += task.run_seconds

    def __add__(self, other: Count) -> Count:
        return Count(self.states + other.states, self.run_seconds + other.run_seconds)


class Counts:
    """Tasks, counted in all and by what they have in common."""

    def __init__(self) -> None:
        self.all = Count()
        self.by_endpoint: defaultdict[EndpointId, Count] = defaultdict(Count)
        self.by_function: defaultdict[FunctionId, Count] = defaultdict(Count)
        self.by_day: Counter[int] = Counter()
        self.owners: set[UserId] = set()

    def add(self, tasks: Iterable[UsedTask]) -> None:
        """Count tasks. Days are numbered from 1970-01-01 UTC."""
        for task in tasks:
            self.all.add(task)
            self.by_endpoint[task.endpoint_id].add(task)
            self.by_function[task.function_id].add(task)
            self.by_day[task.received_at // _DAY] += 1
            self.owners.add(task.owner_id)

    def __add__(self, other: Counts) -> Counts:
        total = Counts()
        total.all = self.all + other.all
        for mine in (self, other):
            for endpoint_id, count in mine.by_endpoint.items():
                total.by_endpoint[endpoint_id] = total.by_endpoint[endpoint_id] + count
            for function_id, count in mine.by_function.items():
                total.by_function[function_id] = total.by_function[function_id] + count
        total.by_day = self.by_day + other.by_day
        total.owners = self.owners | other.owners
        return total


class Tally:
    """Counts every task once when it has ended, and those that are open anew each time.

    A pass goes so: `open_now` with what is open, then `ended` with what ended of what is after `position` and of
    `missing`, which was open before and is not any more; then `finish`.
    """

    def __init__(self) -> None:
        self.position = 0
        self._ended = Counts()
        self._open: dict[int, UsedTask] = {}
        self._missing: set[int] = set()

    def open_now(self, tasks: Collection[UsedTask]) -> None:
        """These have not ended, of all up to a position that is given to `finish`."""
        now = {task.position: task for task in tasks}
        # What is after `position` is looked at anyway.
        self._missing |= {each for each in self._open.keys() - now.keys() if each <= self.position}
        self._open = now

    @property
    def missing(self) -> list[int]:
        """Positions of tasks that were open and are not any more."""
        return sorted(self._missing)

    def ended(self, tasks: Collection[UsedTask]) -> None:
        """These ended; some of them may have done so since `open_now`."""
        self._ended.add(tasks)
        for task in tasks:
            self._open.pop(task.position, None)
            self._missing.discard(task.position)

    def finish(self, position: int) -> None:
        """Everything up to `position` was looked at. What is missing still was removed."""
        self.position = position
        self._missing.clear()

    def counts(self) -> Counts:
        """Return what is known."""
        still_open = Counts()
        still_open.add(self._open.values())
        return self._ended + still_open
