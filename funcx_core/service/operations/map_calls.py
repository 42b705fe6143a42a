"""Calls of maps, told as if each were a task: for clients that know nothing but tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import MapId, TaskId, UserId, call_id, split_call_id
from funcx_core.protocol.payload import VALUE
from funcx_core.protocol.ranges import CallState, Outcomes
from funcx_core.protocol.task import TaskError, TaskState
from funcx_core.service.store.map_records import MapRow, RangeOutcome
from funcx_core.service.store.maps import MapStore
from funcx_core.service.store.records import TaskRow

PAGE: Final = 1000
PAGE_BYTES: Final = 8 * 1024 * 1024

_NOT_ALONE: Final = TaskError(
    code="usage_error",
    message="This call's value came in one pickle with others. Read it from its map: GET maps/{map_id}/{index}.",
)


async def calls_as_tasks(maps: MapStore, owner_id: UserId, task_ids: Sequence[TaskId]) -> dict[TaskId, TaskRow]:
    """Return those of the ids that name calls of this owner's maps."""
    indices: dict[MapId, list[int]] = defaultdict(list)
    for task_id in task_ids:
        map_id, index = split_call_id(task_id)
        if index >= 0:
            indices[map_id].append(index)
    found: dict[TaskId, TaskRow] = {}
    for map_id, wanted in indices.items():
        row = await maps.find(owner_id, map_id)
        if row is not None:
            found |= await _calls_of(maps, row, wanted)
    return found


async def _calls_of(maps: MapStore, row: MapRow, indices: list[int]) -> dict[TaskId, TaskRow]:
    found: dict[TaskId, TaskRow] = {}
    wanted = set(indices)
    while wanted:
        first = min(wanted)
        page = range(first, min(max(wanted) + 1, first + PAGE))
        outcomes, left_at = await maps.outcomes(row.map_id, page, only_failed=False, at_most_bytes=PAGE_BYTES)
        for outcome in outcomes:
            for each in told(outcome):
                if each.index in wanted:
                    found[call_id(row.map_id, each.index)] = each.as_task(row, outcome)
        wanted = {index for index in wanted if index >= (left_at if outcomes else page.stop)}
    return found


class Told:
    """What is known of one call.

    Attributes:
        index: in its map.
        state: of the call, not of its range.
        error: why it has no value, if it ended.
        pickled: the pickle with its value; of the values of `shared` calls, among which it is at `position`.
    """

    def __init__(
        self,
        index: int,
        state: TaskState,
        *,
        error: TaskError | None = None,
        pickled: bytes = b"",
        shared: int = 1,
        position: int = 0,
    ) -> None:
        self.index = index
        self.state = state
        self.error = error
        self.pickled = pickled
        self.shared = shared
        self.position = position

    def as_task(self, row: MapRow, outcome: RangeOutcome) -> TaskRow:
        """Return the call as a task."""
        is_alone = self.state is not TaskState.SUCCESS or self.shared == 1
        return TaskRow(
            task_id=call_id(row.map_id, self.index),
            function_id=row.function_id,
            endpoint_id=row.endpoint_id,
            group_id=row.group_id,
            state=self.state if is_alone else TaskState.FAILED,
            attempt=1,
            value=VALUE + self.pickled if self.state is TaskState.SUCCESS and is_alone else b"",
            error=self.error if is_alone else _NOT_ALONE,
            received_at=row.received_at,
            completed_at=outcome.completed_at,
        )


def told(outcome: RangeOutcome) -> Iterator[Told]:
    """Yield what an outcome says of each of its calls that were asked for."""
    if not outcome.states:
        for index in outcome.places.values():
            yield Told(index, outcome.state)
        return
    container = read(outcome)
    errors = {} if container is None else container.errors()
    for place, index in outcome.places.items():
        if outcome.states[place] == CallState.FAILED:
            yield Told(index, TaskState.FAILED, error=errors.get(place) or outcome.error)
        elif outcome.states[place] == CallState.NOT_RUN:
            yield not_run(index, outcome)
    for places, pickled in [] if container is None else container.segments():
        for position, place in enumerate(places):
            if place in outcome.places:
                index = outcome.places[place]
                yield Told(index, TaskState.SUCCESS, pickled=pickled, shared=len(places), position=position)


def not_run(index: int, outcome: RangeOutcome) -> Told:
    """Return a call that was not run to its end, with the reason of its range."""
    state = TaskState.CANCELLED if outcome.state is TaskState.CANCELLED else TaskState.FAILED
    return Told(index, state, error=outcome.error)


def read(outcome: RangeOutcome) -> Outcomes | None:
    """Return the container of a range that has one."""
    try:
        return Outcomes(outcome.value) if outcome.value else None
    except RemoteProtocolError:
        return None  # Its calls are known as not run.
