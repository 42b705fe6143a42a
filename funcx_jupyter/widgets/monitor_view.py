"""A `MonitorModel` as core ipywidgets: a window of a few rows, made once and filled anew, however many tasks there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from funcx_core.ids import TaskId
from funcx_jupyter.widgets import controls, markup, monitor_forms
from funcx_jupyter.widgets.monitor_model import GROUPS, SORTS, MonitorModel
from funcx_jupyter.widgets.task_rows import TaskRow

CANCEL: Final = "Stop this task; its output so far is kept."
RETRY: Final = "Run this cell again with the same inputs, as a new task."
LOGS: Final = "Show what this task has printed."
RESULT: Final = "Show what this task has returned or raised."


class Actions(Protocol):
    """What the buttons do."""

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""

    def retry(self, task_id: TaskId) -> None:
        """Run a task again."""

    def logs(self, task_id: TaskId) -> None:
        """Show what a task has printed."""

    def result(self, task_id: TaskId) -> None:
        """Show what a task has returned."""

    def why_not_result(self, row: TaskRow) -> str:
        """Return why there is no result to show, or nothing."""

    def why_not_cancel(self, row: TaskRow) -> str:
        """Return why a task cannot be cancelled, or nothing."""

    def why_not_retry(self, row: TaskRow) -> str:
        """Return why a task cannot be run again, or nothing."""

    def refresh_soon(self) -> None:
        """Ask the service now."""

    def freeze(self) -> None:
        """Replace the widget by what it shows."""


class _Row:
    """One line of the window."""

    def __init__(self, actions: Actions) -> None:
        self._actions = actions
        self._task_id = TaskId("")
        self._cells = controls.html(wide=True)
        self._cancel = controls.action("Cancel", CANCEL, lambda: actions.cancel(self._task_id))
        self._retry = controls.action("Retry", RETRY, lambda: actions.retry(self._task_id))
        self._logs = controls.action("Logs", LOGS, lambda: actions.logs(self._task_id))
        self._result = controls.action("Result", RESULT, lambda: actions.result(self._task_id))
        buttons = controls.row(self._cancel, self._retry, self._logs, self._result)
        self.root = controls.folding(self._cells, buttons)

    def show(self, row: TaskRow | None, now: float) -> None:
        controls.visible(self.root, yes=row is not None)
        if row is None:
            return
        self._task_id = row.task_id
        controls.show(self._cells, markup.grid(monitor_forms.GRID, monitor_forms.html_cells(row, now)))
        controls.allow(self._cancel, self._actions.why_not_cancel(row), CANCEL)
        controls.allow(self._retry, self._actions.why_not_retry(row), RETRY)
        controls.allow(self._result, self._actions.why_not_result(row), RESULT)


class MonitorView:
    """The widgets of one monitor. `show` brings them up to date; they change the model and call `actions`.

    Args:
        model: what is shown.
        actions: what the buttons do.
        clock: the time in Unix seconds.
    """

    def __init__(self, model: MonitorModel, actions: Actions, clock: Callable[[], float]) -> None:
        self._model = model
        self._clock = clock
        self._head = controls.html()
        self._again = controls.again(actions.refresh_soon)
        self._failures = controls.html()
        self._notice = controls.html()
        self._details = controls.html()
        self._count = controls.html()
        self._rows = [_Row(actions) for _ in range(model.page_size)]
        self._previous = controls.button("◀ Previous", "The rows before these.", lambda: self._turn(-1))
        self._next = controls.button("Next ▶", "The rows after these.", lambda: self._turn(1))
        heading = controls.html(wide=True)
        heading.value = markup.grid(monitor_forms.GRID, monitor_forms.HEADING, heading=True)
        self.root = controls.stack(
            self._head,
            self._again,
            self._toolbar(actions),
            controls.folding(heading, controls.gap(4)),
            *(row.root for row in self._rows),
            controls.line(self._previous, self._count, self._next),
            self._notice,
            self._failures,
            self._details,
        )
        self.show()

    def _toolbar(self, actions: Actions) -> object:
        states = [("all states", ""), *((name, name) for name in GROUPS)]
        sorts = [(f"by {name}" if name != "newest" else "newest first", name) for name in SORTS]
        return controls.line(
            controls.search("Search: task, code, endpoint, failure", lambda text: self._choose(search=text)),
            controls.choice("Show", states, "Only tasks in this state", lambda name: self._choose(group=name)),
            controls.choice("Order", sorts, "In which order", lambda name: self._choose(sort=name)),
            controls.switch("▲ Reverse", "The other way round", self._reverse),
            controls.button("Refresh", "Ask the service now.", actions.refresh_soon),
            controls.button("Freeze", "Keep this as a plain table, for readers without a kernel.", actions.freeze),
        )

    def show(self) -> None:
        """Show what the model knows now."""
        now = self._clock()
        page = self._model.page(now)
        rows = [*page.rows, *([None] * (len(self._rows) - len(page.rows)))]
        for place, row in zip(self._rows, rows, strict=True):
            place.show(row, now)
        controls.show(self._head, markup.block(monitor_forms.head(self._model, now)))
        controls.visible(self._again, yes=bool(self._model.outage))
        controls.show(self._failures, monitor_forms.failures(self._model))
        controls.show(self._count, markup.paragraph(page.describe()))
        controls.allow(self._previous, "" if page.first > 1 else "These are the first rows.", "The rows before these.")
        is_last = page.last >= page.total
        controls.allow(self._next, "These are the last rows." if is_last else "", "The rows after these.")

    def notice(self, text: str) -> None:
        """Say what became of a click."""
        controls.show(self._notice, markup.paragraph(text, role="status") if text else "")

    def details(self, title: str, printed: str) -> None:
        """Show what a task has printed."""
        controls.show(self._details, markup.block(markup.text(title, bold=True), markup.preformatted(printed)))

    def close(self) -> None:
        """Close all widgets."""
        controls.close(self.root)

    def _choose(self, **what: str) -> None:
        self._model.choose(**what)
        self.show()

    def _reverse(self, is_reversed: bool) -> None:
        self._model.is_reversed = is_reversed
        self.show()

    def _turn(self, pages: int) -> None:
        self._model.turn(pages)
        self.show()
