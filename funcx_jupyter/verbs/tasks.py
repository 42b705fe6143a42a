"""The verbs of `%funcx` about one task or several."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

from funcx_core.ids import TaskId
from funcx_jupyter.cellmaps.task import CellMapTask
from funcx_jupyter.display import words
from funcx_jupyter.display.log_text import LogText
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.session.asynchronous import show_in_background
from funcx_jupyter.session.attach import Attacher, watched_of
from funcx_jupyter.session.cell_task import CellTask
from funcx_jupyter.session.following import Following
from funcx_jupyter.session.outcome import Finished
from funcx_jupyter.session.watch import Mailbox
from funcx_jupyter.verbs import maps
from funcx_jupyter.verbs.desk import Desk
from funcx_jupyter.verbs.kept import finished_task

_FOLLOW: Final = 10.0
"""Seconds that the service lets a question for more of a log wait."""


def attach(desk: Desk, *names: str) -> Any:
    """Show tasks again from their first line, and take their outputs; without TASK those that this kernel does not know yet."""
    attacher = _attacher(desk)
    if len(names) == 1 and (found := maps.map_named(desk, names[0])) is not None:
        return maps.attach(desk, found)
    if len(names) == 1:
        return desk.shown(attacher.one(names[0]))
    return Text(attacher.several(names) if names else attacher.everything())


def wait(desk: Desk, *names: str) -> Text:
    """Wait for tasks to end, and take their outputs; without TASK for all asynchronous cells of this kernel. If one failed, raise that."""
    attacher = _attacher(desk)
    tasks: list[CellTask | CellMapTask] = [maps.map_named(desk, name) or attacher.handle(name) for name in names] or [
        *desk.session.asynchronous.values(),
        *(one for one in desk.session.maps.values() if one.is_async),
    ]
    if not tasks:
        return Text("There is nothing to wait for: no asynchronous cell (`%%funcx -a`) was started here.")
    failed = [error for task in tasks if (error := _ended(task)) is not None]
    told = [f"{task.name or words.short_id(task.task_id)} {words.STATES[task.state]}" for task in tasks]
    if failed and len(tasks) > 1:
        desk.screen().notice(", ".join(told))
    if failed:
        raise failed[0]
    return Text(", ".join(told))


def _ended(task: CellTask | CellMapTask) -> BaseException | None:
    """Return what the task raised, after all it has shown is shown; take its outputs if it succeeded."""
    task.wait_until_shown()
    if (error := task.exception()) is None:
        task.result()
    return error


def rerun(desk: Desk, name: str, *, e: str | None = None, a: bool = False, failed: bool = False) -> Any:
    """Run a cell of this kernel again with the inputs that it had; -e on another endpoint, -a without waiting, --failed of a map only what has no value."""
    session = desk.session
    if (found := maps.map_named(desk, name)) is not None:
        return maps.rerun(desk, found, e=e, a=a, failed=failed)
    if failed:
        raise MagicArgumentError(f"--failed is for maps; task {words.short_id(session.find_task(name))} is none.")
    endpoint = None if e is None else session.endpoint(e)
    mailbox = Mailbox(session.background.news if a else None)
    submission, future = session.resubmit(session.find_task(name), mailbox, endpoint)
    watched = watched_of(submission, {}, future, mailbox)
    if not a:
        return desk.shown(Following(session, watched, desk.screen()).run(desk.namespace))
    screen = desk.background()
    handle = show_in_background(session, watched, screen, desk.namespace, submission.name)
    if submission.name:
        desk.namespace[submission.name] = handle
    return desk.shown(Finished({}, {}, None, handle)) if screen.is_live else handle


def _attacher(desk: Desk) -> Attacher:
    return Attacher(desk.session, desk.namespace, desk.screen, desk.background)


def result(desk: Desk, name: str, *, o: bool = False) -> Any:
    """Return the value of a task; of a cell, that of its last expression. With -o also assign its outputs."""
    if (found := maps.map_named(desk, name)) is not None:
        return maps.result(desk, found, assigns=o)
    task_id = desk.session.find_task(name)
    submission = desk.session.find_submission(task_id)
    wanted = submission.outputs if o and submission is not None else []
    if o and not wanted:
        raise MagicArgumentError(f"Nothing is known to come back from task {words.short_id(task_id)}: it has no -o.")
    finished = finished_task(desk, task_id, submission, wanted)
    desk.namespace.update(finished.outputs)
    return desk.shown(finished)


def cancel(desk: Desk, *names: str, all: bool = False) -> Text:  # noqa: A002 - the option is `--all`
    """Stop tasks; with --all every task of this kernel that has not ended."""
    if bool(names) == all:
        raise MagicArgumentError("Name the tasks to stop, or all: `%funcx cancel TASK` or `%funcx cancel --all`.")
    task_ids = [desk.session.find_task(name) for name in names] if names else _open_tasks(desk)
    for task_id in task_ids:
        if (found := maps.map_named(desk, task_id)) is not None:
            found.cancel()
        else:
            desk.session.connection.cancel(task_id)
    if not task_ids:
        return Text("No task of this kernel is known to run.")
    what = "task" if len(task_ids) == 1 else "tasks"
    return Text(f"Asked {what} {', '.join(map(words.short_id, task_ids))} to stop.")


def _open_tasks(desk: Desk) -> list[TaskId]:
    return [task_id for task_id, record in desk.session.tasks.items() if not record.state.is_terminal]


def logs(desk: Desk, name: str, *, f: bool = False) -> Text | None:
    """Show what a task has printed; with -f also what it prints from now on, until it ends. ■ stops following, not the task."""
    if (found := maps.map_named(desk, name)) is not None:
        if f:
            raise MagicArgumentError("-f follows one task; a map shows what its calls print when they end.")
        return Text(found.logs().rstrip("\n") or f"Map {words.short_id(found.task_id)} has printed nothing yet.")
    task_id = desk.session.find_task(name)
    log = LogText()
    if f:
        try:
            for page in _pages(desk, task_id, follows=True):
                _print(log.feed(page))
        except KeyboardInterrupt:
            short = words.short_id(task_id)
            return Text(f"Stopped following. Task {short} goes on; `%funcx cancel {short}` stops it.")
        _print(log.end())
        return None
    printed = [text for page in _pages(desk, task_id) for _, text in log.feed(page)]
    printed += [text for _, text in log.end()]
    return Text("".join(printed) or f"Task {words.short_id(task_id)} has printed nothing.")


def _pages(desk: Desk, task_id: TaskId, *, follows: bool = False) -> Iterator[list[dict[str, Any]]]:
    """Yield the log of a task as it is; if it `follows`, until the task has ended."""
    connection, after = desk.session.connection, 0
    while True:
        page = connection.log(task_id, after, wait=_FOLLOW if follows else 0.0)
        yield page.events
        after = page.last
        if not page.events and (page.is_over or not follows):
            return


def _print(printed: list[tuple[str, str]]) -> None:
    for stream, text in printed:
        out = getattr(sys, stream)
        out.write(text)
        out.flush()


def task(desk: Desk, name: str) -> Any:
    """Watch one task and what it prints."""
    from funcx_jupyter.widgets.task_view import TaskView  # noqa: PLC0415 - the magics load faster without it

    return TaskView(desk.session.find_task(name), session=desk.session)
