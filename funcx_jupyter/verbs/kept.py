"""The verbs of `%funcx` about values that stayed on their endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from funcx_core.cells.spec import LAST_VALUE, KeptFacts
from funcx_core.errors import ResultTooLarge, TaskNotFound, UsageError
from funcx_core.ids import EndpointId, TaskId
from funcx_jupyter.cellmaps.refs import MapRef
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.display import words
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.session.expired import missing
from funcx_jupyter.session.journal import Submission
from funcx_jupyter.session.opening import kept_at, opened
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.remote_ref import KeptAt, RemoteRef
from funcx_jupyter.verbs import maps
from funcx_jupyter.verbs.desk import Desk


def fetch(desk: Desk, name: str) -> Any:
    """Bring a value here that stayed on its endpoint: `y = %funcx fetch 3f2a.y`, of any size."""
    task, _, variable = name.rpartition(".")
    if not task:
        return _known(desk, name).get()
    if not variable.isidentifier():
        raise MagicArgumentError(f"`{name}` is not TASK.VARIABLE, such as `3f2a.y`. See `%funcx help fetch`.")
    if (found := maps.map_named(desk, task)) is not None:
        return _of_elements(found, variable)
    task_id = desk.session.find_task(task)
    if (handle := desk.session.asynchronous.get(task_id)) is not None:
        handle.wait_until_shown()
    submission = desk.session.find_submission(task_id)
    try:
        value = _value(desk, task_id, submission, variable)
    except ResultTooLarge as error:
        if variable != LAST_VALUE or not error.details.get("kept"):
            raise
        facts = KeptFacts(name=LAST_VALUE, size=int(error.details["size"]))
        at = msgspec.structs.replace(_origin(desk, task_id, submission), name=LAST_VALUE)
        value = RemoteRef(desk.session, at, desk.namespace, facts)
    return value.get() if isinstance(value, RemoteRef) else value


def _of_elements(task: CellMapTask, variable: str) -> list[Any] | None:
    """Return the values of a variable of all elements of a map, None at the places of those that have none."""
    if variable == LAST_VALUE:
        return task.results
    found = task.grid.collected_by_end()
    if variable not in found:
        raise _no_such(task.task_id, variable, found)
    values = found[variable]
    return values.get() if isinstance(values, MapRef) else [_value_of(one) for one in values]


def _value_of(one: Any) -> Any:
    return one.get() if isinstance(one, RemoteRef) else one


def _no_such(task_id: TaskId, variable: str, found: Iterable[str]) -> UsageError:
    there = ", ".join(f"`{one}`" for one in found) or "none"
    return UsageError(f"{words.short_id(task_id)} has left no `{variable}`; its variables are: {there}.")


def _known(desk: Desk, name: str) -> RemoteRef | MapRef:
    value = desk.namespace.get(name)
    if not isinstance(value, RemoteRef | MapRef):
        raise MagicArgumentError(
            f"`{name}` is neither TASK.VARIABLE, such as `3f2a.y`, nor the name of a reference here."
        )
    return value


def _value(desk: Desk, task_id: TaskId, submission: Submission | None, variable: str) -> Any:
    try:
        finished = finished_task(desk, task_id, submission, submission.outputs if submission is not None else [])
    except TaskNotFound:
        if submission is None:
            raise
        # The service has deleted it; the endpoint may have the value still.
        return RemoteRef(desk.session, kept_at(submission, variable), desk.namespace)
    if variable == LAST_VALUE:
        return finished.value
    if variable not in finished.outputs:
        raise _no_such(task_id, variable, finished.outputs)
    return finished.outputs[variable]


def finished_task(desk: Desk, task_id: TaskId, submission: Submission | None, outputs: list[str]) -> Finished:
    """Return what a task gave back; nothing is assigned. Raises what it raised, and `TaskPending` if it has not ended.

    Raises:
        TaskNotFound: the service has deleted it, or never had it.
    """
    try:
        value = desk.session.connection.result(task_id)
    except TaskNotFound:
        raise missing(desk.session, task_id) from None
    return opened(desk.session, _origin(desk, task_id, submission), value, outputs, desk.namespace)


def _origin(desk: Desk, task_id: TaskId, submission: Submission | None) -> KeptAt:
    if submission is not None:
        return kept_at(submission, "")
    endpoint_id = EndpointId(str(desk.session.connection.task(task_id).get("endpoint_id", "")))
    return KeptAt(name="", task_id=task_id, endpoint_id=endpoint_id, endpoint=endpoint_id[:8])
