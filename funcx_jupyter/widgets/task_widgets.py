"""A `TaskModel` as core ipywidgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from funcx_jupyter.display import words
from funcx_jupyter.widgets import controls, markup, task_forms
from funcx_jupyter.widgets.task_model import TaskModel

CANCEL: Final = "Stop this task; its output so far is kept."
RESULT: Final = "Show what this task has returned or raised."
RETRY: Final = "Run this cell again with the same inputs, as a new task."


class Actions(Protocol):
    """What the buttons do."""

    def cancel(self) -> None:
        """Ask for the end of the task."""

    def retry(self) -> None:
        """Run it again."""

    def result(self) -> None:
        """Show what it returned or raised."""

    def why_not_retry(self) -> str:
        """Return why it cannot be run again, or nothing."""

    def freeze(self) -> None:
        """Replace the widget by what it shows."""

    def refresh_soon(self) -> None:
        """Ask the service now."""


class TaskWidgets:
    """The widgets of one task. `show` brings them up to date."""

    def __init__(self, model: TaskModel, actions: Actions, clock: Callable[[], float]) -> None:
        self._model = model
        self._actions = actions
        self._clock = clock
        self._head = controls.html()
        self._log = controls.html()
        self._notice = controls.html()
        self._cancel = controls.button("Cancel", CANCEL, actions.cancel)
        self._retry = controls.button("Retry", RETRY, actions.retry)
        self._result = controls.button("Result", RESULT, actions.result)
        self._details = controls.html()
        refresh = controls.button("Refresh", "Ask the service now.", actions.refresh_soon)
        freeze = controls.button("Freeze", "Keep this as plain HTML, for readers without a kernel.", actions.freeze)
        buttons = controls.line(self._cancel, self._retry, self._result, refresh, freeze)
        self._again = controls.again(actions.refresh_soon)
        self.root = controls.stack(self._head, self._again, buttons, self._notice, self._log, self._details)
        self.show()

    def show(self) -> None:
        """Show what the model knows now."""
        row = self._model.row
        controls.show(self._head, markup.block(task_forms.head(self._model, self._clock())))
        controls.visible(self._again, yes=bool(self._model.outage))
        controls.show(self._log, task_forms.log(self._model))
        ended = "" if row.is_open else f"It has ended: {words.STATES[row.state]}."
        controls.allow(self._cancel, ended, CANCEL)
        controls.allow(self._result, "It has not ended yet." if row.is_open else "", RESULT)
        controls.allow(self._retry, self._actions.why_not_retry(), RETRY)

    def notice(self, text: str) -> None:
        """Say what became of a click."""
        controls.show(self._notice, markup.paragraph(text, role="status") if text else "")

    def details(self, title: str, content: str) -> None:
        """Show what it returned or raised."""
        controls.show(self._details, markup.block(markup.text(title, bold=True), markup.preformatted(content)))

    def close(self) -> None:
        """Close all widgets."""
        controls.close(self.root)
