"""The verbs of `%funcx` that list tasks and endpoints."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.display.tables import Rows, Table
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.session.endpoints import Endpoint, endpoint_of
from funcx_jupyter.verbs.desk import Desk

_NEWEST: Final = 200
_TASKS: Final = ("task", "state", "endpoint", "cell", "id")
_GROUPS: Final = {
    "open": frozenset(state for state in TaskState if not state.is_terminal),
    "waiting": frozenset(state for state in TaskState if not state.is_terminal and state is not TaskState.RUNNING)
    - {TaskState.CANCELLING},
    "ended": frozenset(state for state in TaskState if state.is_terminal),
}
STATES: Final = (*_GROUPS, "running", "done", "failed", "stopped")
"""What can be asked for; the states of the service are known by their own names, too."""


def tasks(desk: Desk, *, mine: bool = False, notebook: bool = False, state: str = "") -> Table:
    """List the tasks of this kernel; --notebook also those of its earlier kernels, --mine your newest ones from anywhere."""
    if mine and notebook:
        raise MagicArgumentError("Either --mine or --notebook: `%funcx tasks --mine` or `%funcx tasks --notebook`.")
    wanted = _states(state)
    rows = _mine(desk) if mine else _of_notebook(desk) if notebook else _of_kernel(desk)
    shown = [(task, words.STATES[now], *more) for task, now, *more in rows if now in wanted]
    which = f" that are {state}" if state else ""
    return Table(_TASKS, shown, f"No tasks{which} yet. Service: {desk.session.connection.address}")


def status(desk: Desk) -> Table:
    """List the tasks of this kernel."""
    return tasks(desk)


def _states(text: str) -> frozenset[TaskState]:
    """Return the states that a word means: ours, those of the service, and a few for several.

    Raises:
        MagicArgumentError: no state is called so.
    """
    if not text:
        return frozenset(TaskState)
    named = frozenset(state for state in TaskState if text in {state.value, words.STATES[state]})
    found = named | _GROUPS.get(text, frozenset())
    if not found:
        raise MagicArgumentError(f"`{text}` is no state of a task. It can be {', '.join(STATES)}.")
    return found


def _of_kernel(desk: Desk) -> list[tuple[Any, ...]]:
    still_open = [record for record in desk.session.tasks.values() if not record.state.is_terminal]
    known = desk.session.connection.states([record.task_id for record in still_open]) if still_open else {}
    for record in still_open:
        if (cell_map := desk.session.maps.get(record.task_id)) is not None:
            record.state = cell_map.state
            continue
        record.state = _state(known.get(record.task_id, {})) or record.state  # It may be deleted by now.
    return [
        (words.short_id(record.task_id), record.state, record.endpoint, record.cell[:60], record.task_id)
        for record in reversed(desk.session.tasks.values())
    ]


def _of_notebook(desk: Desk) -> list[tuple[Any, ...]]:
    sent = desk.session.known_submissions()[::-1][:_NEWEST]
    known = desk.session.connection.states([one.task_id for one in sent]) if sent else {}
    rows = [(one, _state(known.get(one.task_id, {})) or desk.session.recall.end_of(one.task_id)) for one in sent]
    return [
        (words.short_id(one.task_id), now, one.endpoint, one.title[:60], one.task_id)
        for one, now in rows
        if now is not None
    ]


def _mine(desk: Desk) -> list[tuple[Any, ...]]:
    names = {row.endpoint_id: row.name for row in desk.session.connection.endpoints()}
    titles = {one.task_id: one.title for one in desk.session.known_submissions()}
    found = desk.session.connection.ask("tasks", query=f"limit={_NEWEST}")["tasks"]
    return [
        (
            words.short_id(row["task_id"]),
            _state(row) or TaskState.RECEIVED,
            names.get(row["endpoint_id"], row["endpoint_id"]),
            titles.get(row["task_id"], str(row.get("function_name") or ""))[:60],
            row["task_id"],
        )
        for row in found
    ]


def _state(row: dict[str, Any]) -> TaskState | None:
    said = str(row.get("status", ""))
    return TaskState(said) if said in set(TaskState) else None


def endpoints(desk: Desk, *, all: bool = False, json: bool = False) -> Table | Rows:  # noqa: A002 - the option is `--all`
    """List your endpoints; with --all also those that are shared with you, with --json as rows of plain values."""
    if all:
        rows = [endpoint_of(row, now=time.time()) for row in desk.session.connection.ask("endpoints", query="role=any")]
    else:
        rows = desk.session.connection.endpoints()
    rows = sorted(rows, key=lambda row: (not row.is_online, row.name))
    if json:
        return _as_json(rows)
    heading = ("endpoint", "state", "workers", "idle", "waiting", "python", "host", "id")
    nothing = "There is no endpoint yet. Start one with `%funcx start local`."
    return Table(heading, [_endpoint_row(row) for row in rows], nothing)


def _as_json(rows: list[Endpoint]) -> Rows:
    return Rows(msgspec.to_builtins(row, order="sorted") for row in rows)


def _endpoint_row(row: Endpoint) -> tuple[str, ...]:
    counts = (str(row.workers), str(row.idle_workers), str(row.pending_tasks)) if row.is_online else ("", "", "")
    return (row.name, state_of(row), *counts, row.python_version, row.hostname, row.endpoint_id)


def state_of(row: Endpoint) -> str:
    """Return in words how an endpoint is."""
    if row.is_online:
        return "● online"
    return "○ offline" if row.last_seen is None else f"○ offline, last seen {words.ago(row.last_seen)}"
