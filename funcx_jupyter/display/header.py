"""The line above a cell's output that says what becomes of its task. Pure: text and HTML of a record."""

from __future__ import annotations

import html
from typing import Any, Final

import msgspec

from funcx_core.protocol.task import TaskState
from funcx_jupyter.capture.streams import LEAST
from funcx_jupyter.capture.values import Captured, CapturedValue, Kind
from funcx_jupyter.display import words

_MOST_INPUTS: Final = 4
_GLYPHS: Final = {TaskState.SUCCESS: "✓", TaskState.FAILED: "✗", TaskState.CANCELLED: "■"}
# The theme's own colours, so that the line fits into light and dark; words carry the meaning, colour only repeats it.
_COLOURS: Final = {
    TaskState.SUCCESS: "var(--jp-success-color1, #2e7d32)",
    TaskState.FAILED: "var(--jp-error-color1, #c62828)",
    TaskState.CANCELLED: "var(--jp-warn-color1, #b26a00)",
}
TASK_MIME: Final = "application/vnd.funcx.task+json"
"""For front ends that know tasks: which one it is and how it is. Whoever does not shows the HTML or the text beside it."""
_STYLE: Final = "font-family: var(--jp-ui-font-family, sans-serif); font-size: 90%; opacity: 0.85; padding-left: var(--jp-code-padding, 0)"


class Timing(msgspec.Struct, frozen=True):
    """Where the time of a task went, in seconds."""

    total: float
    queue: float
    run: float
    transfer: float


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the line says now. `expected`: seconds for which it will run, probably; `left`: of these."""

    endpoint: str
    task_id: str
    state: TaskState = TaskState.RECEIVED
    elapsed: float = 0.0
    inputs: str = ""
    outputs: str = ""
    demands: str = ""
    timing: Timing | None = None
    expected: float | None = None
    left: float | None = None
    note: str = ""
    verbose: bool = False
    endpoint_id: str = ""
    name: str = ""
    elements: str = ""
    origin: tuple[tuple[str, str], ...] = ()

    def status(self) -> str:
        """Return the state in words, with its time."""
        if self.note:
            return self.note
        if not self.state.is_terminal:
            left = "" if self.left is None else f" · ≈ {words.lasting(self.left)} left"
            return f"{words.STATES[self.state]} {words.clock(self.elapsed)}{left}"
        glyph = _GLYPHS[self.state]
        word = "" if self.state is TaskState.SUCCESS else f"{words.STATES[self.state]} after "
        if self.timing is None:
            return f"{glyph} {word}{words.span(self.elapsed)} s"
        t = self.timing
        parts = f"queue {words.span(t.queue)} · run {words.span(t.run)} · transfer {words.span(t.transfer)}"
        return f"{glyph} {word}{words.span(t.total)} s ({parts})"

    def as_text(self) -> str:
        """Return the line for front ends without HTML."""
        return " · ".join([self.endpoint, self.status(), *self._details()])

    def as_html(self) -> str:
        """Return the line as HTML."""
        colour = _COLOURS.get(self.state)
        status = html.escape(self.status())
        glyph, _, rest = status.partition(" ")
        # The glyph alone: words in these colours are hard to read on the background of some themes.
        shown = f'<span style="color: {colour}; font-weight: 600">{glyph}</span> {rest}' if colour else status
        details = [html.escape(detail) for detail in self._details()]
        line = " · ".join([f"<b>{html.escape(self.endpoint)}</b>", shown, *details])
        return f'<div class="funcx-header" style="{_STYLE}" title="task {html.escape(self.task_id)}">{line}{self._origin()}</div>'

    def _origin(self) -> str:
        """Return where the result comes from, folded up. The text of the line does without."""
        if not self.origin:
            return ""
        rows = "".join(f"<div>{html.escape(name)}: {html.escape(value)}</div>" for name, value in self.origin)
        return f"<details><summary>where this comes from</summary>{rows}</details>"

    def as_bundle(self) -> dict[str, Any]:
        """Return both, and the facts for front ends that have a view of their own."""
        return {"text/plain": self.as_text(), "text/html": self.as_html(), TASK_MIME: self.as_facts()}

    def as_facts(self) -> dict[str, Any]:
        """Return what front ends need to follow the task. A notebook is passed on: there is nothing secret here."""
        facts = {
            "version": 1,
            "task_id": self.task_id,
            "name": self.name,
            "endpoint": self.endpoint,
            "endpoint_id": self.endpoint_id,
            "state": self.state.value,
            "seconds": round(self.elapsed, 3),
            "outputs": self.outputs,
        }
        return {key: value for key, value in facts.items() if value != ""}

    def _details(self) -> list[str]:
        found = []
        if self.name:
            found.append(self.name)
        if self.elements:
            found.append(self.elements)
        if self.inputs:
            found.append(f"in: {self.inputs}")
        if self.outputs:
            found.append(f"out: {self.outputs}")
        if self.demands:
            found.append(self.demands)
        found.append(f"task {self.task_id if self.verbose else words.short_id(self.task_id)}")
        return found


def describe_inputs(captured: Captured, cached: frozenset[str] = frozenset(), *, verbose: bool = False) -> str:
    """Return what goes with the cell: ``df 1.1 MB, model 80 kB (cached), helper()``; the largest first.

    Args:
        captured: what goes with it.
        cached: parts that do not have to be sent.
        verbose: all of it.
    """
    values = sorted((v for v in captured.values if v.kind is Kind.VALUE), key=lambda value: -value.size)
    parts = [f"{value.name} {words.size(value.size)}{_note(value, cached)}" for value in values]
    parts = [f"{value.name} (on {value.place})" for value in captured.values if value.kind is Kind.REMOTE] + parts
    parts += [f"{value.name}()" for value in captured.values if value.kind is Kind.FUNCTION]
    parts += [value.name for value in captured.values if value.kind is Kind.CLASS]
    if verbose:
        parts += [value.name for value in captured.values if value.kind is Kind.IMPORTED]
        return ", ".join([*parts, *(alias.name for alias in captured.modules)])
    hidden = len(parts) - _MOST_INPUTS
    return ", ".join([*parts[:_MOST_INPUTS], f"{hidden} more"] if hidden > 1 else parts)


def _note(value: CapturedValue, cached: frozenset[str]) -> str:
    return " (cached)" if value.parts and value.size >= LEAST and value.parts <= cached else ""
