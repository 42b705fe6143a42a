"""Asks the service what it knows of a task, and adds what is known here."""

from __future__ import annotations

import inspect
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from funcx_core.cells.spec import LAST_VALUE, CellOutcome, outcome_decoder
from funcx_core.errors import FuncxError, RemoteProtocolError, UsageError
from funcx_core.ids import parse_id
from funcx_core.protocol.blob import is_reference, read_reference
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.provenance.pickles import cut
from funcx_core.sdk.provenance.place import author_here
from funcx_core.sdk.provenance.record import Code, Piece, Provenance, Times, Where, moment, sha256
from funcx_core.sdk.tasks import is_ended

CELL: Final = "funcx_cell"
_SETTLE_SECONDS: Final = 5.0
_HOPS: Final = ("received", "interchange", "manager", "started", "ended", "completed")


class KnownHere(msgspec.Struct, frozen=True, kw_only=True):
    """What a notebook remembers of a cell that it sent.

    Attributes:
        source: the cell's text.
        title: its first telling line.
        inputs: the variables that went with it; None if they are not kept.
        outputs: the variables that were asked for.
        folder: of the notebook.
    """

    source: str = ""
    title: str = ""
    inputs: list[Piece] | None = None
    outputs: tuple[str, ...] = ()
    folder: str = ""


class Asked(Protocol):
    """What is needed of a client. All of it may raise `FuncxError`."""

    @property
    def funcx_service_address(self) -> str:
        """The service's address."""

    def raw_task(self, task_id: str) -> dict[str, Any]:
        """Return what the service tells of a task, with its result as it travelled."""

    def opened(self, task: dict[str, Any]) -> Any:
        """Return the value of such a task."""

    def get_function(self, function_id: str) -> dict[str, Any]:
        """Return what the service tells of a function."""

    def get_endpoints(self) -> list[dict[str, Any]]:
        """Return the endpoints that may be used."""

    def get_endpoint_environment(self, endpoint_uuid: str) -> list[Environment]:
        """Return what there is on an endpoint."""


def gather(
    client: Asked, task: Any, *, function: Callable[..., Any] | None = None, known: KnownHere | None = None
) -> Provenance:
    """Return how the result of a task came to be.

    Args:
        client: whom to ask.
        task: its id, its future, or what has a `task_id`.
        function: the function that it ran, for its source.
        known: what is known of it here; what the notebook remembers if it is None.

    Raises:
        UsageError: it is no task.
        TaskNotFound: the service does not know it, or not any more.
    """
    task_id = task_id_of(task)
    told = _settled(client, task, task_id)
    known = known or _remembered(task_id) or KnownHere()
    unknown: list[str] = []
    about = _asked(lambda: client.get_function(str(told["function_id"])), {}, "the function", unknown)
    outcome = _cell_outcome(client, told, unknown) if about.get("function_name") == CELL else None
    is_cell = about.get("function_name") == CELL
    origin = {} if outcome is None else outcome.origin
    code = _cell_code(told, known, origin, unknown) if is_cell else _function_code(told, about, function, unknown)
    if known.inputs is None:
        unknown.append(
            "the inputs: this kernel has not sent the cell, or has not kept what went with it."
            if is_cell
            else "the inputs: the service keeps the arguments of a task for its worker only, and not after its end."
        )
    return Provenance(
        task_id=task_id,
        group_id=str(told.get("task_group_id", "")),
        state=str(told["status"]),
        attempt=int(told.get("attempt") or 0),
        code=code,
        inputs=known.inputs,
        inputs_sha256=origin.get("inputs", ""),
        seed=origin.get("seed", ""),
        commit=origin.get("commit", ""),
        results=_results(told, outcome, known),
        where=_where(client, told, about, outcome, unknown),
        times=Times(**{hop: moment(int((told.get("times") or {}).get(hop) or 0)) for hop in _HOPS}),
        author=author_here(
            Path(known.folder or Path.cwd()),
            service=client.funcx_service_address,
            user=str(about.get("owner") or "") if about.get("owned") else "",
        ),
        error=_error(told),
        unknown=unknown,
        recorded=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def task_id_of(task: Any) -> str:
    """Return the id of a task that is given by its id, its future or a record of it.

    Raises:
        UsageError: it is none of these, or has not been submitted.
    """
    found = task if isinstance(task, str) else getattr(task, "task_id", None)
    if found is None:
        raise UsageError(f"{type(task).__name__} is not a submitted task: give the id of a task, or its future.")
    return parse_id(str(found), "task id")


def _settled(client: Asked, task: Any, task_id: str) -> dict[str, Any]:
    """Return what the service tells of a task. The result of a future is here a moment before the service has it on disk."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        told = client.raw_task(task_id)
        is_done = isinstance(task, Future) and task.done()
        if not is_done or is_ended(told) or time.monotonic() > deadline:
            return told
        time.sleep(0.05)


def _asked(ask: Callable[[], Any], default: Any, what: str, unknown: list[str]) -> Any:
    try:
        return ask()
    except FuncxError as error:
        unknown.append(f"{what}: {error}")
        return default


def _function_code(
    told: dict[str, Any], about: dict[str, Any], function: Callable[..., Any] | None, unknown: list[str]
) -> Code:
    source = str(about.get("function_source") or "") or _source_of(function)
    if not source:
        unknown.append(
            "the source of the function: the service has it only as it travels. Name it: provenance(task, function=simulate)."
        )
    return Code(
        kind="function",
        name=str(about.get("function_name") or getattr(function, "__name__", "")),
        source=source,
        sha256=sha256(source) if source else "",
        function_id=str(told.get("function_id", "")),
        content_hash=str(about.get("content_hash") or ""),
    )


def _source_of(function: Callable[..., Any] | None) -> str:
    if function is None:
        return ""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return ""


def _cell_code(told: dict[str, Any], known: KnownHere, origin: dict[str, str], unknown: list[str]) -> Code:
    if not known.source:
        unknown.append("the text of the cell: it was not sent by this kernel.")
    sent = origin.get("code", "")
    return Code(
        kind="cell",
        name=known.title,
        source=known.source,
        sha256=sha256(known.source) if known.source else sent,
        function_id=str(told.get("function_id", "")),
    )


def _cell_outcome(client: Asked, told: dict[str, Any], unknown: list[str]) -> CellOutcome | None:
    if told["status"] != TaskState.SUCCESS:
        return _where_it_failed(told)
    value = _asked(lambda: client.opened(told), b"", "what the cell gave back", unknown)
    try:
        return outcome_decoder.decode(value if isinstance(value, bytes) else b"")
    except RemoteProtocolError:
        return None


def _where_it_failed(told: dict[str, Any]) -> CellOutcome | None:
    """Return where a cell ran that has raised, as its error tells it; it has no results."""
    details = (told.get("error") or {}).get("details")
    ran = details.get("ran") if isinstance(details, dict) else None
    try:
        return None if ran is None else msgspec.convert(ran, CellOutcome)
    except msgspec.ValidationError:
        return None


def _results(told: dict[str, Any], outcome: CellOutcome | None, known: KnownHere) -> list[Piece]:
    if outcome is not None:
        stayed = {facts.name: facts.size for facts in outcome.kept}
        names = tuple(name for name in known.outputs if name not in stayed)
        names = names if len(names) == len(outcome.sizes) else _numbered(len(outcome.sizes))
        last = [] if outcome.value is None else [_piece("last expression", outcome.value)]
        kept = [Piece(name=_kept_name(name), size=size) for name, size in stayed.items()]
        return [*cut(names, outcome.sizes, outcome.values), *last, *kept]
    payload = str(told.get("result") or "").encode()
    if not payload:
        return []
    if is_reference(payload):
        reference = read_reference(payload)
        return [Piece(name="result", sha256=reference.sha256, size=reference.size)]
    return [_piece("result", payload)]


def _kept_name(name: str) -> str:
    return f"{'last expression' if name == LAST_VALUE else name} (stayed on the endpoint)"


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"output {number}" for number in range(1, count + 1))


def _piece(name: str, content: bytes) -> Piece:
    return Piece(name=name, sha256=sha256(content), size=len(content))


def _where(
    client: Asked, told: dict[str, Any], about: dict[str, Any], outcome: CellOutcome | None, unknown: list[str]
) -> Where:
    endpoint_id = str(told.get("endpoint_id", ""))
    rows = _asked(client.get_endpoints, [], "the endpoint's name", unknown)
    row: dict[str, Any] = next((row for row in rows if row.get("uuid") == endpoint_id), {})
    environments = _asked(
        lambda: client.get_endpoint_environment(endpoint_id), [], "what is installed on the endpoint", unknown
    )
    only = environments[0] if len(environments) == 1 else None
    if outcome is None:
        unknown.append("the node, and the packages that were used: only cells tell.")
    if outcome is None and only is None:
        unknown.append(
            "the Python that ran it: the endpoint has reported "
            + ("several kinds of nodes." if environments else "none.")
        )
    container = str(
        (outcome and outcome.origin.get("container")) or about.get("container_uuid") or (only.container if only else "")
    )
    image = "" if outcome is None else outcome.image
    if container and not image:
        unknown.append("which image the container was made from: cells tell it, where the runtime has a name for it.")
    return Where(
        endpoint_id=endpoint_id,
        endpoint=str(row.get("name") or ""),
        version=str(row.get("version") or ""),
        hostname="" if outcome is None else outcome.hostname,
        python_version=(outcome and outcome.python_version) or (only.python_version if only else ""),
        platform=(outcome and outcome.platform) or (only.platform if only else ""),
        processor=(outcome and outcome.processor) or (only.processor if only else ""),
        accelerators=_accelerators(outcome, only),
        container=container,
        image=image,
        packages={} if outcome is None else outcome.packages,
        environments=environments,
    )


def _accelerators(outcome: CellOutcome | None, only: Environment | None) -> str:
    """Return what accelerators the task had: their names if all nodes have the same, and the numbers of those that it was given."""
    names = ", ".join(dict.fromkeys(one.name for one in only.accelerators)) if only else ""
    given = outcome.devices if outcome is not None else ""
    return " ".join(filter(None, (names, f"({given})" if given else "")))


def _error(told: dict[str, Any]) -> dict[str, str] | None:
    error = told.get("error")
    if not isinstance(error, dict):
        return None
    return {name: str(error.get(name) or "") for name in ("code", "type_name", "message")}


def _remembered(task_id: str) -> KnownHere | None:
    """Return what the notebook remembers. It is looked up by name: the SDK stands without the notebook."""
    if "funcx_jupyter.session.state" not in sys.modules:
        return None
    found: KnownHere | None = import_module("funcx_jupyter.provenance").known_here(task_id)
    return found
