"""Order between a task's log, which is read from the store for a stream, and what happens to the task meanwhile.

Theory of operation. A stream follows a group before it reads logs, so that nothing falls between. What is published while a log is
read would then overtake it, and a client takes events by rising `seq` only: what comes late would be lost to it. So events and
results of the tasks whose logs are being read wait here, and follow their logs.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskEvent, TaskResult


class CatchingUp:
    """Pure: `begin`, let everything pass through, and send what `end` returns. For one group of tasks at a time."""

    def __init__(self) -> None:
        self._events: dict[TaskId, list[TaskEvent]] = {}
        self._results: list[TaskResult] = []

    def __bool__(self) -> bool:
        return bool(self._events)

    def begin(self, task_ids: Iterable[TaskId]) -> None:
        """The logs of these tasks are read from now on."""
        self._events = {task_id: [] for task_id in task_ids}

    def pass_events(self, events: list[TaskEvent]) -> list[TaskEvent]:
        """Return those that may be sent now; keep the others."""
        for event in events:
            if event.task_id in self._events:
                self._events[event.task_id].append(event)
        return [event for event in events if event.task_id not in self._events]

    def pass_results(self, results: list[TaskResult]) -> list[TaskResult]:
        """Return those that may be sent now; keep the others."""
        self._results += [result for result in results if result.task_id in self._events]
        return [result for result in results if result.task_id not in self._events]

    def end(self, sent_to: dict[TaskId, int]) -> tuple[list[TaskEvent], list[TaskResult]]:
        """Return what waited and was not in the logs, which were sent up to these `seq`."""
        waited = [
            event for task_id, events in self._events.items() for event in events if event.seq > sent_to.get(task_id, 0)
        ]
        results, self._results, self._events = self._results, [], {}
        return waited, results
