"""What a `TaskMonitor` knows and what the user chose to see of it. Pure: no clock, no widget, no service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, Final

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.widgets.task_rows import TaskRow, learned

WAITING: Final = "waiting"
OUTAGE_WORDS: Final = "Showing what was last known."
_BARS: Final = "▁▂▃▄▅▆▇█"
_SPARKS: Final = 24
_EXAMPLES: Final = 3
_SETTLED: Final = frozenset(
    {TaskState.RUNNING, TaskState.CANCELLING, TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED}
)

GROUPS: Final[dict[str, frozenset[TaskState]]] = {
    WAITING: frozenset(TaskState) - _SETTLED,
    "running": frozenset({TaskState.RUNNING, TaskState.CANCELLING}),
    "done": frozenset({TaskState.SUCCESS}),
    "failed": frozenset({TaskState.FAILED}),
    "stopped": frozenset({TaskState.CANCELLED}),
}
"""Groups of states that a user tells apart at a glance, in the order of a task's life."""
_GROUP_OF: Final = {state: name for name, states in GROUPS.items() for state in states}
_ORDER: Final = {state: place for place, state in enumerate(TaskState)}

SORTS: Final[dict[str, Callable[[TaskRow, float], Any]]] = {
    "newest": lambda row, _: -row.received,
    "state": lambda row, _: _ORDER[row.state],
    "duration": lambda row, now: -(spans.total if (spans := row.spans(now)) else 0.0),
    "task": lambda row, _: row.title.lower(),
    "endpoint": lambda row, _: row.endpoint.lower(),
    "failure": lambda row, _: (not row.failure, row.failure.lower(), row.message),
}


class FailureGroup(msgspec.Struct, frozen=True):
    """Tasks that failed in the same way."""

    failure: str
    count: int
    message: str
    examples: tuple[TaskId, ...]


class Page(msgspec.Struct, frozen=True):
    """The rows in sight: `rows` are number `first` to `last` (from 1) of the `total` that were asked for."""

    rows: tuple[TaskRow, ...]
    first: int
    last: int
    total: int

    def describe(self) -> str:
        """Return it in words."""
        return f"{self.first:,}-{self.last:,} of {self.total:,}" if self.total else "no task"


class MonitorModel:
    """Tasks, and a window on them. Only rows in sight are ever made into something to look at."""

    def __init__(self, rows: Iterable[TaskRow] = (), *, page_size: int = 10) -> None:
        self.page_size = page_size
        self.search = ""
        self.group = ""
        self.sort = "newest"
        self.is_reversed = False
        self.outage = ""
        self._rows: dict[TaskId, TaskRow] = {row.task_id: row for row in rows}
        self._endpoints: dict[str, str] = {}
        self._functions: dict[str, str] = {}
        self._first = 0

    # --- what is known -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[TaskRow]) -> bool:
        """Watch these tasks, too; returns whether one of them is new."""
        before = len(self._rows)
        for row in rows:
            self._rows.setdefault(row.task_id, self._named(row))
        return len(self._rows) > before

    def row(self, task_id: str) -> TaskRow | None:
        """Return a task, if it is watched."""
        return self._rows.get(TaskId(task_id))

    def open_ids(self) -> list[TaskId]:
        """Return the tasks that have not ended: nothing changes in the others."""
        return [row.task_id for row in self._rows.values() if row.is_open]

    def learn(self, told: dict[str, dict[str, Any]]) -> bool:
        """Take what the service tells by task id; returns whether a state changed."""
        self.outage = ""
        changed = False
        for task_id, about in told.items():
            old = self._rows.get(TaskId(task_id))
            if old is None:
                continue
            new = self._named(learned(old, about))
            changed = changed or new.state is not old.state
            self._rows[old.task_id] = new
        return changed

    def name(self, *, endpoints: dict[str, str], functions: dict[str, str]) -> None:
        """Take names of endpoints and functions by their ids; later rows are named by them, too."""
        if not endpoints and not functions:
            return
        self._endpoints.update(endpoints)
        self._functions.update(functions)
        self._rows = {task_id: self._named(row) for task_id, row in self._rows.items()}

    def known_endpoints(self) -> set[str]:
        """Return the ids of the endpoints whose names are known."""
        return set(self._endpoints)

    def unnamed_functions(self, told: dict[str, dict[str, Any]]) -> set[str]:
        """Return the functions of tasks that nothing else tells what they run."""
        untitled = [about for task_id, about in told.items() if (row := self.row(task_id)) is None or not row.title]
        return {str(about["function_id"]) for about in untitled if "function_id" in about} - set(self._functions)

    def lose_contact(self, reason: str) -> None:
        """The service does not answer. What was known stays."""
        self.outage = reason

    def _named(self, row: TaskRow) -> TaskRow:
        endpoint = row.endpoint or self._endpoints.get(row.endpoint_id, "")
        title = row.title or self._functions.get(row.function_id, "")
        if (endpoint, title) == (row.endpoint, row.title):
            return row
        return msgspec.structs.replace(row, endpoint=endpoint, title=title)

    # --- what it amounts to ------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Return how many tasks there are in each of `GROUPS`."""
        found = Counter(_GROUP_OF[row.state] for row in self._rows.values())
        return {name: found[name] for name in GROUPS}

    def summary(self) -> str:
        """Return the counts in words; what there is none of is left out."""
        parts = [f"{count:,} {name}" for name, count in self.counts().items() if count]
        return " · ".join(parts) or "no tasks yet"

    def failures(self) -> list[FailureGroup]:
        """Return the failed tasks by what went wrong, the most frequent first."""
        found: dict[str, list[TaskRow]] = {}
        for row in self._rows.values():
            if row.state is TaskState.FAILED:
                found.setdefault(row.failure or "failed", []).append(row)
        groups = [
            FailureGroup(failure, len(rows), rows[0].message, tuple(row.task_id for row in rows[:_EXAMPLES]))
            for failure, rows in found.items()
        ]
        return sorted(groups, key=lambda group: (-group.count, group.failure))

    def durations(self, now: float) -> str:
        """Return the run times of the newest successes as a line of bars and the median, or nothing."""
        done = [row for row in self._rows.values() if row.state is TaskState.SUCCESS and row.started]
        done.sort(key=lambda row: row.completed)
        runs = [spans.run for row in done if (spans := row.spans(now)) is not None]
        if not runs:
            return ""
        return f"run time {sparkline(runs[-_SPARKS:])} median {words.span(median(runs))} s, longest {words.span(max(runs))} s"

    # --- what is in sight --------------------------------------------------------------------------------------

    def page(self, now: float) -> Page:
        """Return the rows in sight."""
        rows = self.matching(now)
        self._first = max(0, min(self._first, (len(rows) - 1) // self.page_size * self.page_size))
        shown = tuple(rows[self._first : self._first + self.page_size])
        return Page(shown, self._first + 1 if shown else 0, self._first + len(shown), len(rows))

    def turn(self, pages: int) -> None:
        """Go forward, or back."""
        self._first = max(0, self._first + pages * self.page_size)

    def choose(self, *, search: str | None = None, group: str | None = None, sort: str | None = None) -> None:
        """Change what is asked for; the first page comes into sight."""
        self.search = self.search if search is None else search
        self.group = self.group if group is None else group
        self.sort = self.sort if sort is None else sort
        self._first = 0

    def matching(self, now: float) -> list[TaskRow]:
        """Return all rows that are asked for, in order."""
        rows: Iterable[TaskRow] = self._rows.values()
        if self.group:
            rows = [row for row in rows if row.state in GROUPS[self.group]]
        if wanted := self.search.lower().split():
            rows = [row for row in rows if all(word in _searched(row) for word in wanted)]
        # Of equal ones the latest that was added is first.
        newest_first = list(rows)[::-1]
        key = SORTS[self.sort]
        newest_first.sort(key=lambda row: key(row, now))
        return newest_first[::-1] if self.is_reversed else newest_first


def _searched(row: TaskRow) -> str:
    parts = (row.task_id, row.title, row.endpoint, words.STATES[row.state], row.failure, row.message)
    return "\n".join(parts).lower()


def sparkline(values: Sequence[float]) -> str:
    """Return a bar for each value, the highest for the largest."""
    top = max(values, default=0.0) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in values)
