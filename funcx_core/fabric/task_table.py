"""The table of tasks that the demo ends with: where the time of each one went."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_ROWS = 40


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


def cells(row: TaskRow) -> list[str]:
    """Return the row as text, for a table under `HEADER`."""
    return [row.task_id[-12:], row.function, row.state, *(_text(part) for part in (row.queue, row.run, row.transfer))]


HEADER = ["task", "function", "state", "queue", "run", "transfer"]


def _seconds(times: dict[str, int], start: str, end: str) -> float | None:
    first, last = times.get(start) or 0, times.get(end) or 0
    return max(0.0, (last - first) / 1e9) if first and last else None


def _text(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
