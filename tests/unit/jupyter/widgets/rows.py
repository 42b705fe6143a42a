"""Builders of what a service tells, for the tests of widgets."""

from __future__ import annotations

import asyncio

from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import TaskId

BEGIN = 1_700_000_000.0


def an_id(number: int) -> TaskId:
    return TaskId(f"00000000-0000-7000-8{number // 0x10000:03x}-{number % 0x10000:012x}")


def told(status="running", *, received=0.0, started=None, ended=None, completed=None, **more):
    stamps = {"received": received, "started": started, "ended": ended, "completed": completed}
    times = {name: 0 if at is None else int((BEGIN + at) * 1e9) for name, at in stamps.items()}
    return {"status": status, "endpoint_id": "e" * 36, "times": times, **more}


def failed(type_name, message="", **times):
    error = {"code": "remote_task_error", "type_name": type_name, "message": message}
    return told("failed", error=error, **times)


class FakeService:
    """Answers from what a test puts in, and keeps what it was asked."""

    def __init__(self) -> None:
        self.tasks: dict[TaskId, dict] = {}
        self.rows: list = []
        self.members: list[TaskId] = []
        self.log: list[dict] = []
        self.asked: list[tuple] = []
        self.is_down = False

    def _hear(self, *question) -> None:
        self.asked.append(question)
        if self.is_down:
            raise ServiceUnavailable("Cannot reach http://127.0.0.1:1 (connection refused")

    def count(self, name: str) -> int:
        return sum(question[0] == name for question in self.asked)

    def endpoints(self, *, fresh=False):
        self._hear("endpoints")
        return self.rows

    def states(self, task_ids):
        self._hear("states", list(task_ids))
        return {task_id: self.tasks[task_id] for task_id in task_ids}

    def function_name(self, function_id):
        self._hear("function_name", function_id)
        return f"name_of_{function_id}"

    def group(self, group_id):
        self._hear("group", group_id)
        return self.members

    def events(self, task_id, after):
        self._hear("events", task_id, after)
        return [event for event in self.log if event["seq"] > after]

    def result(self, task_id):
        self._hear("result", task_id)
        return "42"

    def cancel(self, task_id):
        self._hear("cancel", task_id)
        self.tasks[task_id] = told("cancelled", completed=1.0)


async def until(condition) -> None:
    """Let the loop run until `condition` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - widgets tell nobody that they have changed
            await asyncio.sleep(0.01)
