"""What is known of one task, for people. Pure: the service's JSON and the time in, words and numbers out."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import error_class
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words

GLYPHS: Final[dict[TaskState, str]] = {
    **dict.fromkeys(TaskState, "○"),
    TaskState.RUNNING: "▶",
    TaskState.CANCELLING: "◼",
    TaskState.SUCCESS: "✓",
    TaskState.FAILED: "✗",
    TaskState.CANCELLED: "■",
}
UNKNOWN: Final = "unknown task"
NO_SUCH_TASK: Final = "The service knows no such task of yours."
PATIENCE: Final = 20
"""Answers that a task may be missing in: one that was just sent reaches the service a moment later."""


class Span(msgspec.Struct, frozen=True):
    """Seconds of a task: waiting until a worker started it, running, and on the way back."""

    queue: float
    run: float
    transfer: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.queue + self.run + self.transfer


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task. Times are Unix seconds, 0 where it never came.

    Attributes:
        title: what it runs: the first telling line of a cell, or the name of a function.
        place: the node and the worker that ran it, in words; empty where they are not known.
        failure: the name of what went wrong: a class of the user's, or one of ours.
        message: one line about it.
        misses: how many answers in a row said that there is no such task.
    """

    task_id: TaskId
    title: str = ""
    endpoint: str = ""
    endpoint_id: str = ""
    function_id: str = ""
    state: TaskState = TaskState.RECEIVED
    received: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    completed: float = 0.0
    place: str = ""
    failure: str = ""
    message: str = ""
    misses: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.state.is_terminal

    @property
    def word(self) -> str:
        """Its state in a glyph and words."""
        return f"{GLYPHS[self.state]} {words.STATES[self.state]}"

    def spans(self, now: float) -> Span | None:
        """Return where its time went until it ended, or until now; None if nothing is known yet.

        Each hop stamps by its own clock: what would be negative is 0.
        """
        if not self.received:
            return None
        end = self.completed or (max(now, self.received) if self.is_open else self.ended or self.started)
        if not self.started:
            return Span(max(0.0, end - self.received), 0.0, 0.0)
        run_end = self.ended or end
        return Span(max(0.0, self.started - self.received), max(0.0, run_end - self.started), max(0.0, end - run_end))

    def duration(self, now: float) -> str:
        """Return its time in words."""
        spans = self.spans(now)
        if spans is None:
            return ""
        return words.clock(spans.total) if self.is_open else f"{words.span(spans.total)} s"


def learned(row: TaskRow, told: dict[str, Any]) -> TaskRow:
    """Return the row with what the service tells of its task. What has ended stays as it is."""
    if not row.is_open:
        return row
    if "reason" in told:
        return _missed(row)
    times = told.get("times") or {}
    error = told.get("error") or {}
    return msgspec.structs.replace(
        row,
        state=_state(told.get("status"), row.state),
        endpoint_id=str(told.get("endpoint_id") or row.endpoint_id),
        function_id=str(told.get("function_id") or row.function_id),
        received=_seconds(times, "received"),
        started=_seconds(times, "started"),
        ended=_seconds(times, "ended"),
        completed=_seconds(times, "completed"),
        place=_place(told) or row.place,
        failure=str(error.get("type_name") or _name(str(error.get("code") or ""))),
        misses=0,
        message=" ".join(str(error.get("message", "")).split()),
    )


def _name(code: str) -> str:
    """Return the name of our class with this code, which is what the notebook raises."""
    cls = error_class(code)
    return cls.__name__ if cls.code == code else code


def _place(told: dict[str, Any]) -> str:
    return f"{host_of(str(told['node']))}, worker {told['worker']}" if "worker" in told else ""


def host_of(node: str) -> str:
    """Return the host's name in that of a node, see `TaskTimes`."""
    return node.rpartition(":")[0] or node


def _missed(row: TaskRow) -> TaskRow:
    """Return the row of a task that the service does not know: it is on its way there, or gone, or somebody else's."""
    misses = row.misses + 1
    if misses < PATIENCE:
        return msgspec.structs.replace(row, misses=misses, message="The service does not know it yet.")
    return msgspec.structs.replace(row, state=TaskState.FAILED, failure=UNKNOWN, message=NO_SUCH_TASK)


def _seconds(times: dict[str, Any], name: str) -> float:
    return float(times.get(name) or 0) / 1e9


def _state(word: Any, known: TaskState) -> TaskState:
    """Return the state of that name; a newer service may have one that we do not know."""
    return TaskState(word) if word in set(TaskState) else known
