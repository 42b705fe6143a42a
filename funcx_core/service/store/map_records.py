"""What is known of maps, as it comes out of the store."""

from __future__ import annotations

import msgspec

from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId, TaskId
from funcx_core.protocol.task import TaskError, TaskState


class MapCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls of a map are in which state; each counts once.

    Attributes:
        submitted: how many there are by now.
        ranges: how many tasks have run them, run them or will.
        waiting: their range has not started.
        running: their range runs, or its state is not known to be another; `progressed` of them have ended in it.
        cancelling: their range is being stopped.
        succeeded: have a value.
        failed: ended with an error.
        cancelled: were not run, because their range was cancelled.
        lost: were not run to their end: their range was lost with its worker, or was stopped by its walltime.
    """

    submitted: int = 0
    ranges: int = 0
    waiting: int = 0
    running: int = 0
    cancelling: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    progressed: int = 0


class MapRow(msgspec.Struct, frozen=True, kw_only=True):
    """A map as its owner may see it. Times are Unix nanoseconds. `size` is None while calls may still be added."""

    map_id: MapId
    name: str
    endpoint_id: EndpointId
    group_id: GroupId
    function_id: FunctionId
    size: int | None
    received_at: int
    is_cancelled: bool


class RangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A range: a task that runs the calls at `positions` of the span that begins at `start`, all of them if it is None.

    `number` rises in the order in which ranges were made.
    """

    number: int
    task_id: TaskId
    start: int
    size: int
    positions: list[int] | None
    state: TaskState
    succeeded: int
    failed: int
    not_run: int


class RangeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls of a map a range still answers for, and what became of it.

    Attributes:
        places: index by place in the range; only of calls that no later range was given.
        states: a `CallState` per place of the range; empty if it has not ended.
        value: the container of outcomes, empty if there is none.
        error: why the range as a whole ended as it did.
    """

    task_id: TaskId
    state: TaskState
    places: dict[int, int]
    states: bytes = b""
    value: bytes = b""
    error: TaskError | None = None
    completed_at: int = 0


class Resumed(msgspec.Struct, frozen=True):
    """New ranges, and how many calls are in them. `endpoint_id` is empty if there is no such map."""

    endpoint_id: EndpointId = EndpointId("")
    task_ids: list[TaskId] = []
    calls: int = 0
