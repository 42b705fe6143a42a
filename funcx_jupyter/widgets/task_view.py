"""`TaskView`: one task, with where its time goes and what it prints."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from funcx_core.errors import FuncxError
from funcx_core.ids import TaskId
from funcx_jupyter.display import words
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets import task_forms
from funcx_jupyter.widgets.errands import Errands
from funcx_jupyter.widgets.fed import Fed
from funcx_jupyter.widgets.feed import States
from funcx_jupyter.widgets.monitor import task_id_of
from funcx_jupyter.widgets.notebook import notebook_session
from funcx_jupyter.widgets.service import Service, the_service
from funcx_jupyter.widgets.task_model import TaskModel
from funcx_jupyter.widgets.task_rows import TaskRow

_Answer = tuple[States, list[dict[str, Any]], dict[str, str], dict[str, str]]


class TaskView(Fed):
    """Shows one task while it waits, runs and ends, and what it prints.

    >>> TaskView(future)
    >>> TaskView("0198c5d2-…")

    Args:
        task: a future, or an id.
        session: the notebook's, which knows what its tasks run; the one of the loaded extension if it is None.
        service: what is asked.
        clock: the time in Unix seconds.
    """

    def __init__(
        self,
        task: Any,
        *,
        session: Session | None = None,
        service: Service | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(service or the_service())
        self._session = session or notebook_session()
        self._clock = clock
        task_id = task_id_of(task)
        record = self._session.tasks.get(task_id) if self._session is not None else None
        title, endpoint = (record.cell, record.endpoint) if record is not None else ("", "")
        self.model = TaskModel(TaskRow(task_id=task_id, title=title, endpoint=endpoint))
        self._errands = Errands(self._notice)
        self._told: States = {}

    @property
    def task_id(self) -> TaskId:
        """The task that is shown."""
        return self.model.row.task_id

    def cancel(self) -> None:
        """Ask for the end of the task."""

        def then(_: None) -> None:
            self._notice(f"Asked task {words.short_id(self.task_id)} to stop.")
            self.refresh_soon()

        self._errands.run(lambda: self._service.cancel(self.task_id), then)

    def retry(self) -> None:
        """Run the cell again, with the inputs it had, as a new task; this view goes on with that one."""
        if self._session is None:
            return self._notice("There is no notebook whose cell could be run again.")
        try:
            record = self._session.run_again(self.task_id)
        except FuncxError as error:
            return self._notice(str(error))
        self.model.follow(TaskRow(task_id=record.task_id, title=record.cell, endpoint=record.endpoint))
        return self.refresh_soon()

    def result(self) -> None:
        """Show what the task returned or raised, below its output."""
        task_id = self.task_id

        def then(text: str) -> None:
            if self.view is not None:
                self.view.details(f"Result of task {words.short_id(task_id)}", text)

        self._errands.run(lambda: self._service.result(task_id), then)

    def why_not_retry(self) -> str:
        """Return why it cannot be run again from here, or nothing."""
        if self.model.row.is_open:
            return "It has not ended yet."
        if self._session is None:
            return "Only cells of this notebook can be run again here."
        return self._session.why_not_again(self.task_id)

    # --- what the feed asks ------------------------------------------------------------------------------------

    def open_ids(self) -> list[TaskId]:
        """Return the task: also one that has ended is asked for once."""
        return [self.task_id]

    def look(self, states: States) -> _Answer:
        """Ask for what it has printed since, and for the names of what is new."""
        # The state came first: a task that has ended prints no more, so its log is whole then.
        self._told = states = states or self._told
        (task_id,) = states
        is_known = "reason" not in states[task_id]
        events = self._service.events(TaskId(task_id), self.model.seq) if is_known else []
        endpoints = self._service.endpoints() if not self.model.row.endpoint and not self.model.endpoints else []
        function_id = str(states[task_id].get("function_id") or "")
        is_named = bool(self.model.row.title) or function_id in self.model.functions
        functions = {} if is_named or not function_id else {function_id: self._service.function_name(function_id)}
        return states, events, {str(row.endpoint_id): row.name for row in endpoints}, functions

    def tell(self, answer: _Answer) -> bool:
        """Take what one tick brought."""
        changed = self.model.learn(*answer)
        self._show()
        if changed and not self.model.row.is_open:
            self._publish_again()
        return changed

    def fail(self, error: FuncxError) -> None:
        """Say that the service does not answer."""
        self.model.outage = str(error)
        self._show()

    def goes_on(self) -> bool:
        """Whether there is something to wait for."""
        return bool(self.model.outage) or self.model.row.is_open

    # --- how it looks ------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.view is not None:
            self.view.show()

    def _notice(self, text: str) -> None:
        if self.view is not None:
            self.view.notice(text)

    def _make_view(self) -> Any:
        from funcx_jupyter.widgets.task_widgets import TaskWidgets  # noqa: PLC0415 - needs ipywidgets

        return TaskWidgets(self.model, self, self._clock)

    def _as_text(self) -> str:
        return task_forms.as_text(self.model, self._clock())

    def _as_html(self) -> str:
        return task_forms.as_html(self.model, self._clock())
