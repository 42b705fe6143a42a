"""What a cell takes with it, in words, before it is sent and after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from funcx_core.protocol.codec import encode
from funcx_jupyter.capture.elsewhere import RemoteUse
from funcx_jupyter.capture.values import Captured
from funcx_jupyter.cellmaps.plan import MapPlan
from funcx_jupyter.display import words
from funcx_jupyter.display.header import describe_inputs
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import EnvironmentMismatch
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.outcome import describe_wanted
from funcx_jupyter.session.preflight import check_requirements
from funcx_jupyter.session.prepare import PreparedCell
from funcx_jupyter.session.sending import code_hash
from funcx_jupyter.session.size_limits import ROOM_FOR_CODE
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.session.upstream import called, check_place, upstream_of


def of_cell(session: Session, endpoint: Endpoint, prepared: PreparedCell, options: CellOptions) -> Text:
    """Return what the cell would take with it."""
    check_place(prepared.captured.remote, endpoint)
    spec, captured = prepared.spec, prepared.captured
    cached = _present(session, captured)
    host, python = endpoint.hostname or "host unknown", endpoint.python_version or "?"
    return _lines(
        f"Would run on {endpoint.name} ({host}, Python {python}).",
        ("in", describe_inputs(captured, cached, verbose=True) or "nothing"),
        ("imports", ", ".join(alias.module for alias in spec.modules) or "none"),
        *([("modules", ", ".join(map(str, prepared.local)))] if prepared.local else []),
        ("out", describe_wanted(spec.outputs, spec.keep, endpoint.name) or "nothing"),
        *_upstream(session, options, prepared),
        ("size", words.size(len(encode(spec)))),
        *_staged(session, captured, cached),
        *_demands(session, endpoint, options),
        ("time", _time(session, endpoint, spec.source)),
    )


def of_map(session: Session, endpoint: Endpoint, plan: MapPlan, options: CellOptions) -> Text:
    """Return what the cell would take with it, and what each of its elements would."""
    check_place([*plan.cell.captured.remote, *plan.remote], endpoint)
    spec, cached = plan.cell.spec, _present(session, plan.cell.captured)
    host, python = endpoint.hostname or "host unknown", endpoint.python_version or "?"
    chunk = plan.chunksize(options.chunk, session.connection.limits().max_payload - ROOM_FOR_CODE)
    count = len(plan.elements)
    ranges = (
        f"{-(-count // chunk):,} tasks of up to {chunk:,} elements"
        if isinstance(chunk, int)
        else "as many elements per task as run for half a second, measured while it runs"
    )
    largest = f", the largest {words.size(plan.largest)}" if plan.largest else ""
    return _lines(
        f"Would run on {endpoint.name} ({host}, Python {python}), once for each of {count:,} elements of `{plan.variable}`.",
        ("in", describe_inputs(plan.cell.captured, cached, verbose=True) or "nothing"),
        ("imports", ", ".join(alias.module for alias in spec.modules) or "none"),
        ("out", _lists(spec.outputs, spec.keep, endpoint.name) or "nothing"),
        *_upstream(session, options, plan.cell, plan.remote),
        ("size", f"{words.size(plan.cell.size)} once, elements {words.size(plan.size)}{largest}"),
        *_staged(session, plan.cell.captured, cached),
        ("tasks", ranges),
        *_demands(session, endpoint, options),
    )


def _lists(outputs: Iterable[str], refs: Iterable[str], endpoint: str) -> str:
    back = [f"{name} (a list)" for name in outputs]
    return ", ".join([*back, *(f"{name} (one of each element, on {endpoint})" for name in refs)])


def _upstream(
    session: Session, options: CellOptions, prepared: PreparedCell, also: Sequence[RemoteUse] = ()
) -> list[tuple[str, str]]:
    waits_for = upstream_of(session, options.after, [*prepared.captured.remote, *also])
    return [("after", ", ".join(called(session, waits_for).values()))] if waits_for else []


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
        ("in", ", ".join(spec.variables) or "nothing"),
        ("imports", ", ".join(alias.module for alias in spec.modules) or "none"),
        ("out", describe_wanted(spec.outputs, spec.keep, record.endpoint) or "nothing"),
        ("size", words.size(record.sent.size)),
        ("limit", limit),
        ("if lost", losses),
        ("time", f"{words.span(record.seconds)} s" if record.seconds else "not known"),
        ("id", record.task_id),
    )


def _demands(session: Session, endpoint: Endpoint, options: CellOptions) -> list[tuple[str, str]]:
    found = [("where", f"in container {options.container}")] if options.container else []
    if options.requires:
        found.append(("needs", f"{', '.join(options.requires)}: {_is_met(session, endpoint, options)}"))
    return found


def _is_met(session: Session, endpoint: Endpoint, options: CellOptions) -> str:
    if options.container or not session.environments.of(endpoint.endpoint_id):
        return "checked where it runs"
    try:
        check_requirements(session, endpoint, options.requires)
    except EnvironmentMismatch as error:
        return f"not met. {error}"
    return "met"


def _present(session: Session, captured: Captured) -> frozenset[str]:
    parts = captured.packed.parts
    return session.staging.present(session.connection.store, parts) if parts else frozenset()


def _staged(session: Session, captured: Captured, cached: frozenset[str]) -> list[tuple[str, str]]:
    """Return what is said of what does not travel inside of the cell."""
    parts = captured.packed.parts
    if not parts:
        return []
    total = sum(part.size for part in parts.values())
    missing = sum(part.size for sha256, part in parts.items() if sha256 not in cached)
    seconds = session.staging.seconds(missing)
    time = "" if seconds is None or not missing else f", about {words.span(seconds)} s"
    return [("staged", f"{words.size(missing)} to send{time}, {words.size(total - missing)} there already")]


def _time(session: Session, endpoint: Endpoint, source: str) -> str:
    last = session.last_run(source)
    usual = session.recall.expected(session.connection.address, endpoint.endpoint_id, code=code_hash(source))
    if last is not None or usual is None:
        return _last_time(last)
    return f"{words.span(usual)} s before, on {endpoint.name}"


def _last_time(last: TaskRecord | None) -> str:
    if last is None:
        return "not known: this cell has not run here yet"
    return f"{words.span(last.seconds)} s the last time, on {last.endpoint}"


def _lines(head: str, *facts: tuple[str, str]) -> Text:
    return Text("\n".join([head, *(f"{name + ':':<9}{value}" for name, value in facts)]))
