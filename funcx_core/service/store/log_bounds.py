"""Keeps the log of a task within its bounds without reading all of it at each append.

What a log has is counted once and then reckoned with. The reckoning is never too low while it is kept: what was there already, or was
rolled back, counts as well. When it reaches the bounds the log is counted anew, and cut back far enough that this is rare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskEvent
from funcx_core.service.store.writer import Transaction

MAX_EVENTS: Final = 5_000
MAX_BYTES: Final = 4 * 1024 * 1024
_KEPT: Final = 0.9
"""How much of the bounds is left of a log that went over them."""


class LogBounds:
    """What is in the logs of open tasks, about. Of the writer."""

    def __init__(self) -> None:
        self._reckoned: dict[TaskId, tuple[int, int]] = {}

    def appended(self, transaction: Transaction, events: Iterable[TaskEvent]) -> None:
        """These were added: drop the oldest entries of logs that grew too long."""
        added: dict[TaskId, tuple[int, int]] = {}
        for event in events:
            count, size = added.get(event.task_id, (0, 0))
            added[event.task_id] = count + 1, size + len(event.body)
        for task_id, more in added.items():
            self._grown(transaction, task_id, more)

    def forget(self, task_ids: Iterable[TaskId]) -> None:
        """These tasks have ended: nothing is added to their logs."""
        if self._reckoned:
            for task_id in task_ids:
                self._reckoned.pop(task_id, None)

    def _grown(self, transaction: Transaction, task_id: TaskId, more: tuple[int, int]) -> None:
        known = self._reckoned.pop(task_id, None)
        reckoned = None if known is None else (known[0] + more[0], known[1] + more[1])
        if reckoned is None or _is_over(reckoned):
            reckoned = _counted(transaction, task_id)
            if _is_over(reckoned):
                _cut(transaction, task_id)
                return  # A rollback brings back what was dropped, so the next one counts again.
        self._reckoned[task_id] = reckoned


def _is_over(log: tuple[int, int]) -> bool:
    return log[0] > MAX_EVENTS or log[1] > MAX_BYTES


def _counted(transaction: Transaction, task_id: TaskId) -> tuple[int, int]:
    count, size = transaction.run(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM task_events WHERE task_id = ?", (task_id,)
    ).fetchone()
    return count, size


def _cut(transaction: Transaction, task_id: TaskId) -> None:
    newest_first = transaction.run(
        "SELECT seq, length(body) FROM task_events WHERE task_id = ? ORDER BY seq DESC LIMIT ?",
        (task_id, int(MAX_EVENTS * _KEPT)),
    )
    keep_from, left = None, int(MAX_BYTES * _KEPT)
    for seq, length in newest_first.fetchall():
        left -= length
        if left < 0 and keep_from is not None:
            break
        keep_from = seq
    transaction.run("DELETE FROM task_events WHERE task_id = ? AND seq < ?", (task_id, keep_from))
