"""Small cells of ours about one value on an endpoint: to bring it here, to look at a part of it, to remove it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from funcx_core.cells.elements import variable_of
from funcx_core.cells.pickling import CellPickler
from funcx_core.cells.rebuild import Arrivals, from_kept
from funcx_core.cells.spec import CellSpec, KeptFacts, outcome_decoder
from funcx_core.errors import (
    DependencyError,
    FuncxError,
    RemoteProtocolError,
    RemoteTaskError,
    ResultTooLarge,
    TaskFailed,
    TaskNotFound,
    ValueNotKept,
)
from funcx_core.ids import TaskId, new_task_id
from funcx_core.protocol.task import TaskOptions
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.capture.elsewhere import RemoteUse
from funcx_jupyter.display import words
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.session.expired import missing
from funcx_jupyter.session.outcome import Finished, open_outcome
from funcx_jupyter.session.size_limits import most_returned
from funcx_jupyter.session.watch import Mailbox

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session

_of_element: Final = re.compile(r".+__\d+")
VARIABLE: Final = "value"
"""What the value is called in these cells."""


class Whose(Protocol):
    """Which value is meant."""

    @property
    def name(self) -> str:
        """What it is called there."""

    @property
    def task_id(self) -> TaskId:
        """The task that left it there."""

    @property
    def endpoint(self) -> str:
        """The name of where it is."""


def fetch(session: Session, use: RemoteUse, namespace: dict[str, Any]) -> Any:
    """Return a value that is on an endpoint, whatever its size.

    Raises:
        ValueNotKept: it is not there any more.
        FuncxError: it cannot be brought here now.
    """
    finished = run(session, use, "", namespace, outputs=[VARIABLE])
    if finished.kept:
        limit = finished.kept[0].over
        raise shown_in_one_line(
            ValueNotKept(
                f"`{use.called}` is {words.size(finished.kept[0].size)}, and at most {words.size(limit)} come back from {use.endpoint} "
                f"at a time. Take a part of it in a cell there.",
                details={"why": "large", "task": use.task_id, "name": use.name},
            )
        )
    return finished.outputs[VARIABLE]


def run(
    session: Session,
    use: RemoteUse,
    source: str,
    namespace: dict[str, Any],
    *,
    outputs: list[str] | None = None,
    brings: bool = True,
) -> Finished:
    """Run `source` where the value is, which is called `VARIABLE` there unless it is not to be loaded (`brings`).

    Raises:
        BaseException: what it raised, or why it cannot be run.
    """
    bound = _Reference(use) if brings else None
    return _run(session, use, source, namespace, outputs=outputs or [], bound=bound)


def fetch_all(session: Session, uses: Sequence[RemoteUse], namespace: dict[str, Any]) -> list[Any]:
    """Return values that are on one endpoint, in one go. They are there, and fit into one result. Raises as `fetch` does."""
    bound = [_Reference(use) for use in uses]
    return list(_run(session, uses[0], "", namespace, outputs=[VARIABLE], bound=bound).outputs[VARIABLE])


def _run(
    session: Session, use: RemoteUse, source: str, namespace: dict[str, Any], *, outputs: list[str], bound: Any
) -> Finished:
    """Run `source` where `use` says, with `VARIABLE` bound to something unless that is None."""
    connection = session.connection
    session.endpoint(use.endpoint_id)  # Offline, it is told now.
    limit = most_returned(connection.limits())
    spec = CellSpec(
        source=source,
        filename="<funcx>",
        names=[] if bound is None else [VARIABLE],
        values=b"" if bound is None else _pickled(bound),
        outputs=outputs,
        value_limit=limit,
        result_limit=limit,
        brings=True,
    )
    after = () if use.is_there else (use.task_id,)
    options = TaskOptions(tags={"kind": "fetch"}, after=after)
    future = connection.submit(use.endpoint_id, spec, options, Mailbox(), new_task_id())
    error = _ended(session, future)
    if error is not None:
        raise plainly(error, use)
    is_trusted = connection.trusts(use.endpoint_id)
    return open_outcome(future.result(), outputs, namespace, is_trusted=is_trusted)


def facts_of(session: Session, at: Whose, namespace: dict[str, Any]) -> KeptFacts:
    """Return what is known of a value, when its task has ended.

    Raises:
        BaseException: what the task raised.
        ValueNotKept: the task left no such value.
    """
    del namespace
    handle = session.asynchronous.get(at.task_id)
    found = handle.finished().kept if handle is not None else _kept_by(session, at.task_id)
    for facts in found:
        if facts.name == at.name:
            return facts
    raise shown_in_one_line(
        ValueNotKept(
            f"Task {words.short_id(at.task_id)} has left no `{at.name}` on {at.endpoint}.", details={"why": "never"}
        )
    )


def _kept_by(session: Session, task_id: TaskId) -> list[KeptFacts]:
    try:
        value = session.connection.result(task_id)
        return outcome_decoder.decode(value if isinstance(value, bytes) else b"").kept
    except RemoteProtocolError:
        return []
    except TaskNotFound:
        raise missing(session, task_id) from None
    except FuncxError as error:
        raise shown_in_one_line(error) from None


def _pickled(bound: Any) -> bytes:
    pickler = CellPickler(Arrivals({}))
    pickler.add(bound)
    return pickler.getvalue()


class _Reference:
    def __init__(self, use: RemoteUse) -> None:
        self._use = use

    def __reduce__(self) -> tuple[Any, ...]:
        return from_kept, (self._use.task_id, self._use.name)


def _ended(session: Session, future: FuncXFuture) -> BaseException | None:
    """Wait for the end; an interrupt stops the task."""
    try:
        return future.exception()
    except KeyboardInterrupt:
        if future.task_id is not None:
            session.connection.cancel(future.task_id)
        raise


def plainly(error: BaseException, use: Whose) -> BaseException:
    """Return an error of a task that was about a value on an endpoint, as the user is to see it."""
    if isinstance(error, ValueNotKept):
        error.args = (not_kept(error, use.endpoint),)
    if isinstance(error, ResultTooLarge) and "cause" in error.details:
        error.args = (_still_there(error, use),)  # The value is where it was: nothing is lost.
    if isinstance(error, DependencyError):
        error.args = (
            f"There is no `{use.name}`: {words.short_id(TaskId(error.upstream))}, which was to leave it, did not succeed.",
        )
    if isinstance(error, FuncxError) and not isinstance(error, RemoteTaskError):
        return shown_in_one_line(error)
    return error


def _still_there(error: ResultTooLarge, use: Whose) -> str:
    size = words.size(int(error.details["size"]))
    return (
        f"`{use.name}` stays on {use.endpoint}: it is {size}, and the service does not take it. {error.details['cause']} "
        "Or take a part of it in a cell there; `pin()` keeps it until there is room."
    )


def not_kept(error: TaskFailed, endpoint: str) -> str:
    """Return what is said of a value that is not where it was."""
    if error.details.get("why") != "gone":
        return str(error)
    short = words.short_id(str(error.details["task"]))
    hours = error.details.get("hours")
    kept = f"kept {hours:g} h after its last use" if hours else "it was not kept, or deleted"
    name = error.details["name"]
    if _of_element.fullmatch(name):
        return f"`{variable_of(name)}` of an element of a map is not on {endpoint} any more ({kept}). Run the map again to make it."
    called = "the value" if name == "_" else f"`{name}`"
    return f"{called[:1].upper()}{called[1:]} of {short} is not on {endpoint} any more ({kept}). `%funcx rerun {short}` makes it again."
