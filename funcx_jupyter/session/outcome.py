"""What a cell gave back, loaded; and where its time went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from funcx_core.cells.rebuild import Arrivals, load_values
from funcx_core.cells.spec import LAST_VALUE, Bundle, CellOutcome, KeptFacts, outcome_decoder
from funcx_core.errors import DeserializationError, RemoteProtocolError, TaskCancelled
from funcx_core.protocol.task import TaskState, TaskTimes
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Timing
from funcx_jupyter.origin.facts import told


class LeftBehind:
    """Stands for a value that is shown but was not sent back. Its repr says why."""

    def __init__(self, shown: Bundle | None, reason: str) -> None:
        self._shown = shown
        self._reason = reason

    @classmethod
    def of_text(cls, text: str, reason: str) -> LeftBehind:
        """Return one for a value of which only its text is known."""
        return cls(Bundle({"text/plain": text}), reason)

    def __repr__(self) -> str:
        text = self._shown.data.get("text/plain", "") if self._shown else ""
        return f"{text}\n(not sent back: {self._reason})".lstrip()


class Finished(msgspec.Struct, frozen=True):
    """What a cell gave back.

    Attributes:
        outputs: the variables named with -o.
        sizes: their sizes on the way, in bytes.
        shown: what the last expression looks like; None to show nothing.
        value: its value; None if there is none.
        hostname: where the cell ran.
        kept: what stayed on the endpoint.
        changed: captured variables that the cell changed in place, there.
        left: what was not sent back, and why; nothing if the cell has not assigned it.
        origin: where it comes from, in names and values for people.
        is_plain: the task was no cell: `value` is what its function returned, and shows itself.
    """

    outputs: dict[str, Any]
    sizes: dict[str, int]
    shown: Bundle | None
    value: Any
    hostname: str = ""
    kept: list[KeptFacts] = []
    changed: list[str] = []
    left: dict[str, str] = {}
    is_plain: bool = False
    origin: tuple[tuple[str, str], ...] = ()


def describe_back(sizes: Mapping[str, int], kept: Iterable[KeptFacts], endpoint: str) -> str:
    """Return what came back, and what stayed, in words: ``df 1.9 MB, model 80 MB (on theta)``."""
    there = [f"{facts.name} {words.size(facts.size)} (on {endpoint})" for facts in kept if facts.name != LAST_VALUE]
    return ", ".join([*(f"{name} {words.size(size)}" for name, size in sizes.items()), *there])


def changed_there(names: Sequence[str]) -> str:
    """Return what to say of variables that a cell has changed where it ran."""
    told, listed = ", ".join(f"`{name}`" for name in names), ",".join(names)
    copies = "local copy is" if len(names) == 1 else "local copies are"
    return f"{told} changed remotely; {copies} unchanged. Add -o {listed}"


def describe_wanted(outputs: Iterable[str], refs: Iterable[str], endpoint: str) -> str:
    """Return what is to come back, and what is to stay, in words: ``df, model (on theta)``."""
    return ", ".join([*outputs, *(f"{name} (on {endpoint})" for name in refs)])


def sizes_of(outcome: CellOutcome, outputs: Iterable[str]) -> dict[str, int]:
    """Return the sizes of the outputs that came back, of those that were wanted."""
    stayed = {facts.name for facts in outcome.kept} | outcome.left.keys()
    return dict(zip([name for name in outputs if name not in stayed], outcome.sizes, strict=True))


def open_outcome(encoded: Any, outputs: list[str], namespace: dict[str, Any], *, is_trusted: bool) -> Finished:
    """Return what a task gave back, loaded for `namespace`. Nothing is assigned.

    Args:
        encoded: the value of the task. A task that was no cell has given whatever it is.
        outputs: the variables that it was asked for.
        namespace: where notebook code lives.
        is_trusted: whether the endpoint may run code here; if not, plain data is taken and nothing else.

    Raises:
        DeserializationError: naming the output that cannot be loaded here.
    """
    try:
        outcome = outcome_decoder.decode(encoded if isinstance(encoded, bytes) else b"")
    except RemoteProtocolError:
        return Finished({}, {}, None, encoded, is_plain=True)
    arrivals = Arrivals(namespace)
    sizes = sizes_of(outcome, outputs)
    values = dict(load_values(outcome.values, list(sizes), arrivals, data_only=not is_trusted))
    last = _last_value(outcome, arrivals, data_only=not is_trusted)
    return Finished(
        values,
        sizes,
        outcome.shown,
        last,
        outcome.hostname,
        outcome.kept,
        outcome.changed,
        outcome.left,
        origin=told(outcome),
    )


def _last_value(outcome: CellOutcome, arrivals: Arrivals, *, data_only: bool) -> Any:
    if outcome.value is None:
        return LeftBehind(outcome.shown, outcome.left_behind) if outcome.left_behind else None
    try:
        return next(load_values(outcome.value, ["the value of the last expression"], arrivals, data_only=data_only))[1]
    except DeserializationError as error:
        return LeftBehind(outcome.shown, str(error))


def timing_of(times: TaskTimes | None, *, sent_at: float, total: float) -> Timing | None:
    """Return where the time went, None if the task never ran.

    Args:
        times: when the task passed each hop, by the clocks of the hops.
        sent_at: when it was sent, in Unix seconds by our clock.
        total: seconds from then until its result was here.
    """
    if times is None or not times.started or not times.ended:
        return None
    run = min(max(0.0, (times.ended - times.started) / 1e9), total)
    # Clocks of two machines differ; whatever they say, the parts add up to the total.
    queue = min(max(0.0, times.started / 1e9 - sent_at), total - run)
    return Timing(total, queue, run, total - run - queue)


def end_state(error: BaseException | None) -> TaskState:
    """Return the state in which a task ended that has this error."""
    if error is None:
        return TaskState.SUCCESS
    return TaskState.CANCELLED if isinstance(error, TaskCancelled) else TaskState.FAILED
