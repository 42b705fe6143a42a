"""What a `TaskView` knows of its task. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_jupyter.widgets.printed import printed
from funcx_jupyter.widgets.task_rows import TaskRow, learned


class TaskModel:
    """One task and its log. `seq` is that of the last entry that is known."""

    def __init__(self, row: TaskRow) -> None:
        self.row = row
        self.seq = 0
        self.outage = ""
        self.endpoints: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self._events: list[dict[str, Any]] = []

    def follow(self, row: TaskRow) -> None:
        """Show another task from now on."""
        self.row = row
        self.seq = 0
        self._events = []

    def learn(
        self,
        states: dict[str, dict[str, Any]],
        events: list[dict[str, Any]],
        endpoints: dict[str, str],
        functions: dict[str, str],
    ) -> bool:
        """Take what the service tells; returns whether something changed. What is told of another task is not taken.

        Args:
            states: by task.
            events: of its log, in order.
            endpoints: names by id.
            functions: names by id.
        """
        self.outage = ""
        self.endpoints.update(endpoints)
        self.functions.update(functions)
        if self.row.task_id not in states:
            return False
        new = [event for event in events if event["seq"] > self.seq]
        self._events += new
        self.seq = new[-1]["seq"] if new else self.seq
        before = self.row.state
        row = learned(self.row, states[self.row.task_id])
        self.row = msgspec.structs.replace(
            row,
            endpoint=row.endpoint or self.endpoints.get(row.endpoint_id, ""),
            title=row.title or self.functions.get(row.function_id, ""),
        )
        return bool(new) or self.row.state is not before

    def log(self) -> str:
        """Return what it has printed."""
        return printed(self._events)
