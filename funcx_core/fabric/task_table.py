"""The table of tasks that the demo ends with: where the time of each one went."""

from __future__ import annotations

import itertools
import statistics
from typing import Any, Final

import msgspec

HEADER: Final = ["task", "function", "state", "queue", "run", "transfer"]
LONGEST_RUN: Final = 5
"""So many tasks of one function in a row are shown one by one; of more, only the medians."""

_SHOWN = slice(4, 18)
"""The characters of a task id that tell the tasks of one client apart."""


class TaskRow(msgspec.Struct, frozen=True):
    """One task, with seconds spent waiting to start, running, and on the way back; None where it never came."""

    task_id: str
    function: str
    state: str
    queue: float | None
    run: float | None
    transfer: float | None


def task_row(task: dict[str, Any]) -> TaskRow:
    """Return the row for one task as the service describes it."""
    times = task.get("times") or {}
    return TaskRow(
        task_id=str(task.get("task_id", "")),
        function=str(task.get("function_name") or ""),
        state=str(task.get("status", "")),
        queue=_seconds(times, "received", "started"),
        run=_seconds(times, "started", "ended"),
        transfer=_seconds(times, "ended", "completed"),
    )


def lines(rows: list[TaskRow]) -> list[list[str]]:
    """Return the rows as text for a table under `HEADER`; a long row of like tasks becomes one line."""
    found: list[list[str]] = []
    for _, alike in itertools.groupby(rows, key=lambda row: (row.function, row.state)):
        together = list(alike)
        if len(together) > LONGEST_RUN:
            found.append(_many(together))
        else:
            found += [_cells(row.task_id[_SHOWN], row) for row in together]
    return found


def _many(rows: list[TaskRow]) -> list[str]:
    typical = msgspec.structs.replace(
        rows[0],
        queue=_median([row.queue for row in rows]),
        run=_median([row.run for row in rows]),
        transfer=_median([row.transfer for row in rows]),
    )
    return _cells(f"{len(rows)} tasks, medians", typical)


def _cells(name: str, row: TaskRow) -> list[str]:
    return [name, row.function, row.state, *(_text(part) for part in (row.queue, row.run, row.transfer))]


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _seconds(times: dict[str, int], start: str, end: str) -> float | None:
    first, last = times.get(start) or 0, times.get(end) or 0
    return max(0.0, (last - first) / 1e9) if first and last else None


def _text(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
