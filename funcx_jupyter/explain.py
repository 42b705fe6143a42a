"""What a cell takes with it, in words, before it is sent and after."""

from __future__ import annotations

from funcx_jupyter.display import words
from funcx_jupyter.display.header import describe_inputs
from funcx_jupyter.display.tables import Text
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.prepare import PreparedCell
from funcx_jupyter.session.state import Session, TaskRecord


def of_cell(session: Session, endpoint: Endpoint, prepared: PreparedCell) -> Text:
    """Return what the cell would take with it."""
    spec = prepared.spec
    host, python = endpoint.hostname or "host unknown", endpoint.python_version or "?"
    return _lines(
        f"Would run on {endpoint.name} ({host}, Python {python}).",
        ("in", describe_inputs(prepared.captured, verbose=True) or "nothing"),
        ("imports", ", ".join(alias.module for alias in spec.modules) or "none"),
        ("out", ", ".join(spec.outputs) or "nothing"),
        ("size", words.size(len(spec.values) + len(spec.source))),
        ("time", _last_time(session.last_run(spec.source))),
    )


def of_task(record: TaskRecord) -> Text:
    """Return what a task of this kernel took with it."""
    head = (
        f"Task {words.short_id(record.task_id)} ran `{record.cell}` on {record.endpoint}: {words.STATES[record.state]}."
    )
    if record.sent is None:
        return _lines(head, ("in", "not kept any more"))
    spec, options = record.sent.spec, record.sent.options
    limit = "none" if options.walltime is None else f"{options.walltime:g} s"
    losses = f"run again up to {options.retry_on_loss} times" if options.retry_on_loss else "not run again"
    return _lines(
        head,
        ("in", ", ".join(spec.names) or "nothing"),
        ("imports", ", ".join(alias.module for alias in spec.modules) or "none"),
        ("out", ", ".join(spec.outputs) or "nothing"),
        ("size", words.size(record.sent.size)),
        ("limit", limit),
        ("if lost", losses),
        ("time", f"{words.span(record.seconds)} s" if record.seconds else "not known"),
        ("id", record.task_id),
    )


def _last_time(last: TaskRecord | None) -> str:
    if last is None:
        return "not known: this cell has not run here yet"
    return f"{words.span(last.seconds)} s the last time, on {last.endpoint}"


def _lines(head: str, *facts: tuple[str, str]) -> Text:
    return Text("\n".join([head, *(f"{name + ':':<9}{value}" for name, value in facts)]))
