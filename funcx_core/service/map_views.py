"""Maps as the JSON that clients read."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from funcx_core.protocol.payload import VALUE, as_text
from funcx_core.protocol.ranges import CallState
from funcx_core.protocol.task import TaskError, TaskState
from funcx_core.service.operations.map_calls import Told, read
from funcx_core.service.store.map_records import MapCounts, MapRow, RangeOutcome, RangeRow
from funcx_core.service.views import exception_text


def map_view(row: MapRow) -> dict[str, Any]:
    """Return a map without its counts."""
    return {
        "map_id": row.map_id,
        "name": row.name,
        "endpoint_id": row.endpoint_id,
        "function_id": row.function_id,
        "task_group_id": row.group_id,
        "size": row.size,
        "received": row.received_at,
        "cancelled": row.is_cancelled,
    }


def counts_view(counts: MapCounts) -> dict[str, int]:
    """Return how many calls are in which state."""
    found: dict[str, int] = msgspec.to_builtins(counts)
    return found


def range_view(row: RangeRow) -> dict[str, Any]:
    """Return a range."""
    return {
        "number": row.number,
        "task_id": row.task_id,
        "start": row.start,
        "size": row.size,
        "positions": row.positions,
        "status": row.state.value,
        "succeeded": row.succeeded,
        "failed": row.failed,
        "not_run": row.not_run,
    }


def outcomes_view(outcomes: Sequence[RangeOutcome]) -> dict[str, Any]:
    """Return what became of calls: values by pickle, errors by index, and the indices of the others by state."""
    segments: list[dict[str, Any]] = []
    failures: dict[str, Any] = {}
    others: dict[str, list[int]] = {}
    for outcome in outcomes:
        if not outcome.states:
            others.setdefault(outcome.state.value, []).extend(outcome.places.values())
            continue
        container = read(outcome)
        errors = {} if container is None else container.errors()
        for place, index in outcome.places.items():
            if outcome.states[place] == CallState.FAILED:
                failures[str(index)] = error_view(errors.get(place) or outcome.error)
            elif outcome.states[place] == CallState.NOT_RUN:
                others.setdefault(left_as(outcome), []).append(index)
        segments += [] if container is None else _segments(outcome, container.segments())
    return {"segments": segments, "failures": failures, "others": others}


def call_view(told: Told) -> dict[str, Any]:
    """Return what became of one call."""
    view: dict[str, Any] = {"index": told.index, "status": told.state.value}
    if told.state is TaskState.SUCCESS:
        if told.shared == 1:
            return {**view, "result": as_text(VALUE + told.pickled)}
        return {**view, "pickle": _base64(told.pickled), "position": told.position}
    if told.error is not None:
        view |= {"exception": exception_text(told.error), "error": error_view(told.error)}
    return view


def error_view(error: TaskError | None) -> Any:
    """Return an error as plain values."""
    return msgspec.to_builtins(error or TaskError(code="task_failed", message="The call ended without a value."))


def left_as(outcome: RangeOutcome) -> str:
    """Return what calls are called that a range did not run to their end."""
    return "cancelled" if outcome.state is TaskState.CANCELLED else "lost"


def _segments(outcome: RangeOutcome, segments: list[tuple[Sequence[int], bytes]]) -> list[dict[str, Any]]:
    found = []
    for places, pickled in segments:
        indices = [outcome.places.get(place) for place in places]
        if any(index is not None for index in indices):
            found.append({"indices": indices, "pickle": _base64(pickled)})
    return found


def _base64(pickled: bytes) -> str:
    return base64.b64encode(pickled).decode()
