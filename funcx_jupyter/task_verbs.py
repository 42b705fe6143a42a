"""The verbs of `%funcx` about one task or several."""

from __future__ import annotations

from typing import Any

from funcx_core.protocol.task import EventKind
from funcx_jupyter.desk import Desk
from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.session.attach import Attacher
from funcx_jupyter.session.outcome import open_outcome

_PRINTED = frozenset({EventKind.STDOUT.value, EventKind.STDERR.value, EventKind.LOG.value})


def attach(desk: Desk, *names: str) -> Any:
    """Show tasks again from their first line, and take their outputs; without TASK those that this kernel does not know yet."""
    attacher = Attacher(desk.session, desk.namespace, desk.screen)
    if len(names) == 1:
        return desk.shown(attacher.one(names[0]))
    return Text(attacher.several(names) if names else attacher.everything())


def result(desk: Desk, name: str, *, o: bool = False) -> Any:
    """Return the value of a task; of a cell, that of its last expression. With -o also assign its outputs."""
    task_id = desk.session.find_task(name)
    submission = desk.session.find_submission(task_id)
    wanted = submission.outputs if o and submission is not None else []
    if o and not wanted:
        raise MagicArgumentError(f"Nothing is known to come back from task {words.short_id(task_id)}: it has no -o.")
    value = desk.session.connection.result(task_id)
    endpoint_id = str(desk.session.connection.task(task_id).get("endpoint_id", ""))
    is_trusted = desk.session.connection.trusts(endpoint_id)
    finished = open_outcome(value, wanted, desk.namespace, is_trusted=is_trusted)
    desk.namespace.update(finished.outputs)
    return desk.shown(finished)


def cancel(desk: Desk, name: str) -> Text:
    """Stop a task."""
    task_id = desk.session.find_task(name)
    desk.session.connection.cancel(task_id)
    return Text(f"Asked task {words.short_id(task_id)} to stop.")


def logs(desk: Desk, name: str) -> Text:
    """Show what a task has printed."""
    task_id = desk.session.find_task(name)
    printed = [event["body"] for event in desk.session.connection.events(task_id) if event["kind"] in _PRINTED]
    return Text("".join(printed) or f"Task {words.short_id(task_id)} has printed nothing.")


def task(desk: Desk, name: str) -> Any:
    """Watch one task and what it prints."""
    from funcx_jupyter.widgets.task_view import TaskView  # noqa: PLC0415 - the magics load faster without it

    return TaskView(desk.session.find_task(name), session=desk.session)
