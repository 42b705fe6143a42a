"""The verbs of `%funcx`: each is a function of the session and its arguments, and returns something to show."""

from __future__ import annotations

import difflib
import html
import shlex
from collections.abc import Callable, Sequence
from typing import Any, Final

from funcx_core.cells.spec import outcome_decoder
from funcx_core.errors import FuncxError, RemoteProtocolError
from funcx_core.protocol.task import EventKind, TaskState
from funcx_jupyter.display import words
from funcx_jupyter.display.header import describe_inputs
from funcx_jupyter.errors import MagicArgumentError, shown_in_one_line
from funcx_jupyter.session.endpoints import Endpoint, choose
from funcx_jupyter.session.outcome import LeftBehind, open_outcome
from funcx_jupyter.session.prepare import PreparedCell
from funcx_jupyter.session.state import Session


class Table:
    """Rows with a heading, as text and as HTML."""

    def __init__(self, heading: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
        self._heading = heading
        self._rows = rows
        self._nothing = nothing

    def __repr__(self) -> str:
        if not self._rows:
            return self._nothing
        lines = [self._heading, *self._rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self._heading))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<p>{html.escape(self._nothing)}</p>"
        # Jupyter aligns to the right, which suits numbers only.
        left = "style='text-align: left'"
        heading = "".join(f"<th scope='col' {left}>{html.escape(cell)}</th>" for cell in self._heading)
        rows = "".join(
            "<tr>" + "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows
        )
        return f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"


class Text:
    """Words to show as they are, without quotation marks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def run(session: Session, line: str) -> Any:
    """Do what a `%funcx` line says; without a verb, show the status."""
    words_ = _split(line)
    verb, arguments = (words_[0], words_[1:]) if words_ else ("status", [])
    known = VERBS.get(verb)
    if known is None:
        near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.5)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise MagicArgumentError(f"`{verb}` is not a verb of %funcx.{hint} See `%funcx help`.")
    do, needs = known
    if len(arguments) > len(needs) or len(arguments) < sum(not need.startswith("[") for need in needs):
        raise MagicArgumentError(f"The form is `%funcx {' '.join([verb, *needs])}`. See `%funcx help`.")
    try:
        return do(session, *arguments)
    except FuncxError as error:
        raise shown_in_one_line(error) from None


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise MagicArgumentError(f"{str(error).capitalize()} in `%funcx {line.strip()}`.") from None


def use(session: Session, name: str) -> Text:
    """Run the cells that name no endpoint there from now on."""
    rows = session.connection.endpoints()
    # An endpoint that is offline now may be chosen for later; a name that does not exist may not.
    online = [row for row in rows if name in {row.name, row.endpoint_id}]
    chosen = online[0] if online else choose([name], rows)
    session.used = name
    return Text(f"Cells run on {chosen.name} from now on ({_state(chosen)}).")


def endpoints(session: Session) -> Table:
    """List your endpoints."""
    rows = sorted(session.connection.endpoints(), key=lambda row: (not row.is_online, row.name))
    heading = ("endpoint", "state", "workers", "idle", "waiting", "python", "host", "id")
    return Table(heading, [_endpoint_row(row) for row in rows], "There is no endpoint yet. Start one with `funcx up`.")


def _endpoint_row(row: Endpoint) -> tuple[str, ...]:
    counts = (str(row.workers), str(row.idle_workers), str(row.pending_tasks)) if row.is_online else ("", "", "")
    return (row.name, _state(row), *counts, row.python_version, row.hostname, row.endpoint_id)


def _state(row: Endpoint) -> str:
    if row.is_online:
        return "● online"
    return "○ offline" if row.last_seen is None else f"○ offline, last seen {words.ago(row.last_seen)}"


def status(session: Session) -> Table:
    """List the tasks of this kernel."""
    for record in session.tasks.values():
        if not record.state.is_terminal:
            record.state = TaskState(session.connection.task(record.task_id)["status"])
    rows = [
        (words.short_id(record.task_id), words.STATES[record.state], record.endpoint, record.cell[:60], record.task_id)
        for record in reversed(session.tasks.values())
    ]
    return Table(
        ("task", "state", "endpoint", "cell", "id"), rows, f"No tasks yet. Service: {session.connection.address}"
    )


def result(session: Session, name: str) -> Any:
    """Return the value of a task; of a cell, that of its last expression."""
    task_id = session.find_task(name)
    value = session.connection.result(task_id)
    if not isinstance(value, bytes):
        return value
    try:
        outcome_decoder.decode(value)
    except RemoteProtocolError:
        return value  # A task of the SDK that returned bytes.
    import __main__  # noqa: PLC0415 - the notebook

    endpoint_id = str(session.connection.task(task_id).get("endpoint_id", ""))
    finished = open_outcome(value, [], vars(__main__), is_trusted=session.connection.trusts(endpoint_id))
    return finished.value if finished.value is not None or finished.shown is None else LeftBehind(finished.shown, "")


def cancel(session: Session, name: str) -> Text:
    """Stop a task."""
    task_id = session.find_task(name)
    session.connection.cancel(task_id)
    return Text(f"Asked task {words.short_id(task_id)} to stop.")


def logs(session: Session, name: str) -> Text:
    """Show what a task has printed."""
    task_id = session.find_task(name)
    kinds = {EventKind.STDOUT.value, EventKind.STDERR.value, EventKind.LOG.value}
    printed = [event["body"] for event in session.connection.events(task_id) if event["kind"] in kinds]
    return Text("".join(printed) or f"Task {words.short_id(task_id)} has printed nothing.")


def pick(session: Session) -> Any:
    """Choose an endpoint in a list that shows how each of them is."""
    from funcx_jupyter.widgets.picker import EndpointPicker  # noqa: PLC0415 - the magics load faster without it

    return EndpointPicker(session=session)


def monitor(session: Session, group: str = "") -> Any:
    """Watch the tasks of this notebook, or those of a task group, while they run."""
    from funcx_jupyter.widgets.monitor import TaskMonitor  # noqa: PLC0415 - the magics load faster without it

    return TaskMonitor(group=group or None, session=session)


def task(session: Session, name: str) -> Any:
    """Watch one task and what it prints."""
    from funcx_jupyter.widgets.task_view import TaskView  # noqa: PLC0415 - the magics load faster without it

    return TaskView(session.find_task(name), session=session)


def help_(_: Session, verb: str = "") -> Text:
    """Show this."""
    if not verb:
        return Text(HELP)
    if verb not in VERBS:
        raise MagicArgumentError(f"`{verb}` is not a verb of %funcx. See `%funcx help`.")
    return Text(_line(verb))


def explain(endpoint: Endpoint, prepared: PreparedCell) -> Text:
    """Say what a cell would take with it."""
    spec = prepared.spec
    lines = [
        f"Would run on {endpoint.name} ({endpoint.hostname or 'host unknown'}, Python {endpoint.python_version or '?'}).",
        f"in:      {describe_inputs(prepared.captured, verbose=True) or 'nothing'}",
        f"imports: {', '.join(alias.module for alias in spec.modules) or 'none'}",
        f"out:     {', '.join(spec.outputs) or 'nothing'}",
        f"size:    {words.size(len(spec.values) + len(spec.source))}",
    ]
    return Text("\n".join(lines))


VERBS: Final[dict[str, tuple[Callable[..., Any], tuple[str, ...]]]] = {
    "use": (use, ("ENDPOINT",)),
    "endpoints": (endpoints, ()),
    "status": (status, ()),
    "result": (result, ("TASK",)),
    "cancel": (cancel, ("TASK",)),
    "logs": (logs, ("TASK",)),
    "pick": (pick, ()),
    "monitor": (monitor, ("[GROUP]",)),
    "panel": (monitor, ("[GROUP]",)),
    "task": (task, ("TASK",)),
    "help": (help_, ("[VERB]",)),
}


def _line(verb: str) -> str:
    do, needs = VERBS[verb]
    return f"  %funcx {' '.join([verb, *needs]):<22} {(do.__doc__ or '').strip()}"


HELP: Final = "\n".join(
    ["%funcx alone shows the status. TASK is the four letters in a header line, or a whole id.", *map(_line, VERBS)]
)
