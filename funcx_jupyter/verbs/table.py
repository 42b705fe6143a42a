"""The verbs of `%funcx`: each is a function of the desk and its arguments, and returns something to show."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.errors import FuncxError, TaskNotFound
from funcx_jupyter import explain
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.verbs import (
    account,
    automatic,
    doctor,
    environments,
    kept,
    lists,
    names,
    places,
    records,
    settings,
    tasks,
)
from funcx_jupyter.verbs.desk import Desk
from funcx_jupyter.verbs.lines import Verb, read


def pick(desk: Desk) -> Any:
    """Choose an endpoint in a list that shows how each of them is."""
    from funcx_jupyter.widgets.picker import EndpointPicker  # noqa: PLC0415 - the magics load faster without it

    return EndpointPicker(session=desk.session)


def monitor(desk: Desk, group: str = "") -> Any:
    """Watch the tasks of this notebook, or those of a task group, while they run."""
    from funcx_jupyter.widgets.monitor import TaskMonitor  # noqa: PLC0415 - the magics load faster without it

    return TaskMonitor(group=group or None, session=desk.session)


def help_(_: Desk, verb: str = "") -> Text:
    """Show this."""
    if not verb:
        return Text(HELP)
    if verb not in VERBS:
        raise MagicArgumentError(f"`{verb}` is not a verb of %funcx. See `%funcx help`.")
    return Text(_line(verb))


def explain_(desk: Desk, name: str = "") -> Text:
    """Say what went with a task, the last one if none is named. `%%funcx --explain` says it before a cell is sent."""
    if not name and not desk.session.tasks:
        return Text("No cell was sent yet. `%%funcx --explain` says what would go with a cell, and sends nothing.")
    task_id = desk.session.find_task(name) if name else next(reversed(desk.session.tasks))
    record = desk.session.tasks.get(task_id)
    if record is None:
        raise TaskNotFound(name, "Only what cells of this kernel took with them is known.")
    return explain.of_task(record)


VERBS: Final[dict[str, Verb]] = {
    "use": Verb(places.use, ("ENDPOINT",)),
    "endpoints": Verb(lists.endpoints, ("[--all]", "[--json]")),
    "env": Verb(environments.env, ("[ENDPOINT]", "[--diff]", "[--lock]")),
    "fix-env": Verb(environments.fix_env, ("[MODULE...]", "[-e ENDPOINT]")),
    "start": Verb(places.start, ("ENDPOINT",)),
    "stop": Verb(places.stop, ("ENDPOINT",)),
    "restart": Verb(places.restart, ("ENDPOINT",)),
    "connect": Verb(places.connect, ("ADDRESS",)),
    "login": Verb(account.login, ("[--code]", "[--token]", "[--globus]")),
    "logout": Verb(account.logout),
    "whoami": Verb(account.whoami),
    "status": Verb(lists.status),
    "tasks": Verb(lists.tasks, ("[--mine]", "[--notebook]", "[--state STATE]")),
    "attach": Verb(tasks.attach, ("[TASK...]",)),
    "result": Verb(tasks.result, ("TASK", "[-o]")),
    "fetch": Verb(kept.fetch, ("TASK.VARIABLE",)),
    "wait": Verb(tasks.wait, ("[TASK...]",)),
    "cancel": Verb(tasks.cancel, ("[TASK...]", "[--all]")),
    "logs": Verb(tasks.logs, ("TASK", "[-f]")),
    "config": Verb(settings.config, ("[KEY]", "[VALUE]", "[--save user|project]", "[--unset]")),
    "alias": Verb(names.alias, ("[NAME]", "[ENDPOINT]", "[--save user|project]", "[--unset]")),
    "magic": Verb(
        names.magic,
        ("[NAME]", "[-e ENDPOINT]", "[OPTION...]", "[--save user|project]", "[--unset]"),
        reads_words=True,
    ),
    "auto": Verb(automatic.auto, ("[on|off]", "[ENDPOINT]", "[OPTION...]"), reads_words=True),
    "doctor": Verb(doctor.doctor),
    "pick": Verb(pick),
    "rerun": Verb(tasks.rerun, ("TASK", "[-e ENDPOINT]", "[-a]", "[--failed]")),
    "explain": Verb(explain_, ("[TASK]",)),
    "monitor": Verb(monitor, ("[GROUP]",)),
    "panel": Verb(monitor, ("[GROUP]",)),
    "task": Verb(tasks.task, ("TASK",)),
    "timeline": Verb(records.timeline, ("[TASK...]", "[--group GROUP]")),
    "provenance": Verb(records.provenance, ("TASK", "[--json FILE]", "[--ro-crate FOLDER]")),
    "help": Verb(help_, ("[VERB]",)),
}


def begins(line: str) -> bool:
    """Whether a line is a verb with its arguments, or empty; everything else is an expression."""
    words = line.split(maxsplit=1)
    return not words or words[0] in VERBS


def run(desk: Desk, line: str) -> Any:
    """Do what a `%funcx` line says; without a verb, show the status."""
    wanted = read(line, VERBS, default="status")
    try:
        return wanted.verb.do(desk, *wanted.arguments, **wanted.options)
    except FuncxError as error:
        raise desk.session.presented(error) from None


_FORM_WIDTH: Final = 38
"""Longer forms have a line of their own."""


def _line(name: str) -> str:
    verb = VERBS[name]
    form = f"  %funcx {' '.join([name, *verb.form])}".ljust(_FORM_WIDTH)
    gap = "\n" + " " * _FORM_WIDTH if len(form) > _FORM_WIDTH else ""
    return f"{form}{gap} {(verb.do.__doc__ or '').strip()}"


HELP: Final = "\n".join(
    ["%funcx alone shows the status. TASK is the four letters in a header line, or a whole id.", *map(_line, VERBS)]
)
