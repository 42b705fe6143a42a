"""What the verbs of `%funcx` do about a cell's map."""

from __future__ import annotations

from typing import Any

from funcx_core.errors import UsageError
from funcx_core.ids import EndpointId, GroupId, TaskId
from funcx_jupyter.cellmaps.run import attach_map
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError, shown_in_one_line
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.verbs.desk import Desk

_END_OF_MAP = "00000000"
"""Ids of maps end so, which those of tasks hardly do."""


def map_named(desk: Desk, name: str) -> CellMapTask | None:
    """Return the map that a user names; None if that is an ordinary task.

    Raises:
        TaskNotFound: there is neither.
    """
    session, task_id = desk.session, desk.session.find_task(name)
    if (known := session.maps.get(task_id)) is not None:
        return known
    submission = session.find_submission(task_id)
    if submission is None and task_id.endswith(_END_OF_MAP):
        submission = _of_another_notebook(desk, task_id)
    if submission is None or not submission.map_of:
        return None
    return attach_map(session, submission, desk.namespace, desk.background())


def _of_another_notebook(desk: Desk, task_id: TaskId) -> Submission:
    row = desk.session.connection.client.map_maker().row(task_id)
    names = {one.endpoint_id: one.name for one in desk.session.connection.endpoints()}
    endpoint_id = EndpointId(str(row["endpoint_id"]))
    return Submission(
        task_id=task_id,
        group_id=GroupId(str(row["task_group_id"])),
        endpoint_id=endpoint_id,
        endpoint=names.get(endpoint_id, endpoint_id[:8]),
        service=desk.session.connection.address,
        at=float(row["received"]) / 1e9,
        title="",
        map_of="element",
    )


def attach(desk: Desk, task: CellMapTask) -> Any:
    """Follow a map to its end, and return or raise what it did."""
    if task.is_async and not task.done():
        task.wait_until_shown()
        return task.result()
    task.move_to(desk.background())
    return desk.shown(task.follow())


def result(desk: Desk, task: CellMapTask, *, assigns: bool) -> Any:
    """Return the values there are; with `assigns` also assign the lists named with -o, if all elements have succeeded."""
    if assigns:
        return task.result()
    counts = task.progress()
    if counts.succeeded < counts.size:
        desk.screen().notice(f"{counts}; None stands where there is no value.")
    return task.results


def rerun(desk: Desk, task: CellMapTask, *, e: str | None, a: bool, failed: bool) -> Any:
    """Run a map again, or only those of its elements that have no value."""
    if not failed:
        if task.again is None:
            raise shown_in_one_line(
                UsageError(
                    "Only what this kernel has sent can be run again as a whole; `--failed` runs what has no value."
                )
            )
        return _followed(desk, task.again(desk.background(), None if e is None else desk.session.endpoint(e)), a=a)
    if e is not None:
        raise MagicArgumentError("What failed of a map runs again where the map does: --failed goes without -e.")
    task.move_to(desk.background())
    if not task.retry():
        return Text(f"All elements of {words.short_id(task.task_id)} have a value, or run.")
    return _followed(desk, task, a=a)


def _followed(desk: Desk, task: CellMapTask, *, a: bool) -> Any:
    if task.name:
        desk.namespace[task.name] = task
    if not a:
        return desk.shown(task.follow())
    task.follow_in_background()
    return desk.shown(Finished({}, {}, None, task))
