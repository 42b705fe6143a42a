"""Results that wait until the log before them has come. Pure.

Theory of operation. Who attaches to a task asks for its log from the beginning, while the service may be sending the task's result
because somebody here waits for it already. That result would end the future before its log is there. So it waits here for the
service to say that all it was asked for has been sent. On a new connection everything is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskResult


class Replays:
    """The requests for logs that are under way, by the numbers of their `Watch` messages."""

    def __init__(self) -> None:
        self._number_of: dict[TaskId, int] = {}
        self._held: dict[TaskId, TaskResult] = {}

    def __bool__(self) -> bool:
        return bool(self._number_of)

    def begin(self, number: int, task_ids: Iterable[TaskId]) -> None:
        """The logs of these tasks are asked for; an earlier request for them counts no more."""
        self._number_of.update(dict.fromkeys(task_ids, number))

    def pass_results(self, results: list[TaskResult]) -> list[TaskResult]:
        """Return those that may be taken in now; keep the others."""
        self._held.update({result.task_id: result for result in results if result.task_id in self._number_of})
        return [result for result in results if result.task_id not in self._number_of]

    def end(self, number: int) -> list[TaskResult]:
        """The service has sent what it was asked for, or refuses to. Return the results that waited for that."""
        ended = [task_id for task_id, current in self._number_of.items() if current == number]
        for task_id in ended:
            del self._number_of[task_id]
        return [self._held.pop(task_id) for task_id in ended if task_id in self._held]

    def restart(self) -> None:
        """The connection was lost, and with it the answers: what is still open is asked for again, its results, too."""
        self._number_of.clear()
        self._held.clear()
