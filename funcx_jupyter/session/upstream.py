"""The tasks that a cell waits for: those after --after, and those whose values it uses where they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from funcx_core.ids import TaskId
from funcx_core.protocol.task import MOST_AFTER
from funcx_jupyter.capture.elsewhere import RemoteUse
from funcx_jupyter.display import words
from funcx_jupyter.errors import CaptureError, RemoteValueElsewhere
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.state import Session


def check_place(uses: Sequence[RemoteUse], endpoint: Endpoint) -> None:
    """Refuse values that are on another endpoint.

    Raises:
        RemoteValueElsewhere: says what to type.
    """
    for use in uses:
        if use.endpoint_id != endpoint.endpoint_id:
            raise RemoteValueElsewhere(
                f"`{use.called}` is on {use.endpoint}, and this cell runs on {endpoint.name}. "
                f"Type `{use.bring}` first, or run the cell on {use.endpoint}."
            )


def check_there_none(uses: Sequence[RemoteUse]) -> None:
    """Refuse values that are on an endpoint, for cells that run here.

    Raises:
        RemoteValueElsewhere: says what to type.
    """
    for use in uses:
        raise RemoteValueElsewhere(
            f"`{use.called}` is on {use.endpoint}, and this cell runs here. Type `{use.bring}` first."
        )


def upstream_of(session: Session, after: Iterable[str], uses: Iterable[RemoteUse]) -> tuple[TaskId, ...]:
    """Return the tasks that have to succeed first. Of a map those that run its elements: one in which an element fails has run it.

    Raises:
        TaskNotFound: for a name that no task has.
        CaptureError: those of a map are too many.
    """
    named = [task_id for name in after for task_id in _tasks_of(session, session.find_task(name), name)]
    return tuple(dict.fromkeys([*named, *(use.task_id for use in uses if not use.is_there)]))


def _tasks_of(session: Session, task_id: TaskId, name: str) -> list[TaskId]:
    found = session.maps.get(task_id)
    if found is None:
        return [task_id]
    waits_for = found.unfinished()
    if len(waits_for) > MOST_AFTER:
        raise CaptureError(
            f"--after {name}: {len(waits_for):,} tasks run its elements, and a cell can wait for {MOST_AFTER}. "
            f"`%funcx wait {name}` first, then run the cell."
        )
    return waits_for


def called(session: Session, task_ids: Iterable[TaskId]) -> dict[str, str]:
    """Return what the user calls these tasks, by their ids."""
    of_maps = {one: task_id for task_id, found in session.maps.items() for one in found.grid.task_ids()}
    return {task_id: _called(session, of_maps.get(task_id, task_id)) for task_id in task_ids}


def _called(session: Session, task_id: TaskId) -> str:
    record, short = session.tasks.get(task_id), words.short_id(task_id)
    title = f", `{record.cell}`" if record is not None and record.cell else ""
    return f"{record.name} ({short}{title})" if record is not None and record.name else f"{short}{title}"
