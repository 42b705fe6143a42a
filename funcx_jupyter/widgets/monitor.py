"""`TaskMonitor`: tasks as they go, with one request a tick for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from funcx_core.errors import FuncxError, UsageError
from funcx_core.ids import TaskId, parse_id
from funcx_jupyter.display import words
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.widgets import monitor_forms
from funcx_jupyter.widgets.errands import Errands
from funcx_jupyter.widgets.fed import Fed
from funcx_jupyter.widgets.feed import States
from funcx_jupyter.widgets.monitor_model import MonitorModel
from funcx_jupyter.widgets.notebook import notebook_session
from funcx_jupyter.widgets.printed import printed, tail
from funcx_jupyter.widgets.service import Service, the_service
from funcx_jupyter.widgets.task_rows import TaskRow

_TICKS_PER_LISTING: Final = 5
_NAMES_PER_TICK: Final = 10


class _Answer(msgspec.Struct, frozen=True):
    """What one tick brought."""

    members: list[TaskId]
    states: States
    endpoints: dict[str, str]
    functions: dict[str, str]


class TaskMonitor(Fed):
    """Shows tasks while they wait, run and end.

    >>> TaskMonitor()                      # the tasks of this notebook, new ones as they come
    >>> TaskMonitor(futures)               # those of futures, or of ids
    >>> TaskMonitor(group=client.session_task_group_id)

    It asks the service once a second while something changes and more rarely when nothing does, and stops when all tasks have
    ended. While the service does not answer it shows what it knew, and says so.

    Args:
        tasks: futures or ids of tasks; None for the tasks of this notebook, unless a group is given.
        group: id of a task group.
        page_size: rows in sight.
        session: the notebook's; the one of the loaded extension if it is None.
        service: what is asked.
        clock: the time in Unix seconds.

    Raises:
        UsageError: something in `tasks` is no task, or there is no notebook whose tasks could be meant.
    """

    def __init__(
        self,
        tasks: Iterable[Any] | str | None = None,
        *,
        group: str | None = None,
        page_size: int = 10,
        session: Session | None = None,
        service: Service | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._group = None if group is None else parse_id(str(group), "task group id")
        self._session = session or notebook_session()
        follows_notebook = tasks is None and group is None
        super().__init__(service or the_service(), self._session if follows_notebook else None)
        if follows_notebook and self._session is None:
            raise UsageError(
                "There is no notebook whose tasks could be shown: run `%load_ext funcx_jupyter`, or name tasks, as in TaskMonitor(futures)."
            )
        given = [] if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
        self.model = MonitorModel((self._row_of(task_id_of(task)) for task in given), page_size=page_size)
        self._look_around()
        self._errands = Errands(self._notice)
        self._ticks = 0
        self._has_all_names = True
        self._members: list[TaskId] = []

    # --- what the feed asks ------------------------------------------------------------------------------------

    def open_ids(self) -> list[TaskId]:
        """Return the tasks that have not ended."""
        return self.model.open_ids()

    def find_more(self) -> list[TaskId]:
        """Ask for the tasks of the group, now and then: they are many, and new ones rare."""
        self._ticks += 1
        self._members = []
        if self._group is not None and self._ticks % _TICKS_PER_LISTING == 1:
            self._members = [task_id for task_id in self._service.group(self._group) if self.model.row(task_id) is None]
        return self._members

    def look(self, states: States) -> _Answer:
        """Ask for the names of what is new."""
        unnamed = {str(told.get("endpoint_id", "")) for told in states.values()} - self.model.known_endpoints() - {""}
        named = {str(row.endpoint_id): row.name for row in self._service.endpoints()} if unnamed else {}
        # Endpoints of others are not listed: their ids have to do.
        endpoints = {**{known: known[:8] for known in unnamed}, **named}
        functions = sorted(self.model.unnamed_functions(states))
        self._has_all_names = len(functions) <= _NAMES_PER_TICK
        names = {known: self._service.function_name(known) for known in functions[:_NAMES_PER_TICK]}
        return _Answer(self._members, states, endpoints, names)

    def knows_all(self) -> bool:
        """Whether all names are known."""
        return self._has_all_names

    def tell(self, answer: _Answer) -> bool:
        """Take what one tick brought."""
        grew = self.model.add(TaskRow(task_id=task_id) for task_id in answer.members)
        self.model.name(endpoints=answer.endpoints, functions=answer.functions)
        changed = self.model.learn(answer.states) or grew
        self._show()
        if changed and self.is_polling and not self.goes_on():
            self._publish_again()
        return changed

    def fail(self, error: FuncxError) -> None:
        """Say that the service does not answer."""
        self.model.lose_contact(str(error))
        self._show()

    def goes_on(self) -> bool:
        """Whether there is something to wait for."""
        return bool(self.model.outage or self.model.open_ids() or (self._group is not None and not len(self.model)))

    def _take_notebook_tasks(self, session: Session) -> None:
        self.model.add([_row(TaskId(one), record) for one, record in session.tasks_at_service().items()])

    def _row_of(self, task_id: TaskId) -> TaskRow:
        record = None if self._session is None else self._session.tasks.get(task_id)
        return TaskRow(task_id=task_id) if record is None else _row(task_id, record)

    # --- what buttons do ---------------------------------------------------------------------------------------

    def cancel(self, task_id: str) -> None:
        """Ask for the end of a task."""
        self._do(
            lambda: self._service.cancel(TaskId(task_id)), lambda _: f"Asked task {words.short_id(task_id)} to stop."
        )

    def logs(self, task_id: str) -> None:
        """Show what a task has printed, below the table."""
        self._errands.run(
            lambda: tail(printed(self._service.events(TaskId(task_id), 0))), lambda text: self._show_log(task_id, text)
        )

    def result(self, task_id: str) -> None:
        """Show what a task has returned or raised, below the table."""
        self._errands.run(lambda: self._service.result(TaskId(task_id)), lambda text: self._show_result(task_id, text))

    def why_not_result(self, row: TaskRow) -> str:
        """Return why there is no result to show, or nothing."""
        if row.is_open:
            return "It has not ended yet."
        return "The service does not answer." if self.model.outage else ""

    def retry(self, task_id: str) -> None:
        """Run a cell of this notebook again, with the inputs it had, as a new task."""
        if self._session is None:
            return self._notice("There is no notebook whose cell could be run again.")
        try:
            record = self._session.run_again(TaskId(task_id))
        except FuncxError as error:
            return self._notice(str(error))
        self.model.add([self._row_of(record.task_id)])
        self._notice(f"Task {words.short_id(record.task_id)} runs the cell of {words.short_id(task_id)} again.")
        return self.refresh_soon()

    def why_not_cancel(self, row: TaskRow) -> str:
        """Return why a task cannot be cancelled, or nothing."""
        if not row.is_open:
            return f"It has ended: {words.STATES[row.state]}."
        return "The service does not answer." if self.model.outage else ""

    def why_not_retry(self, row: TaskRow) -> str:
        """Return why a task cannot be run again from here, or nothing."""
        if row.is_open:
            return "It has not ended yet."
        if self.model.outage:
            return "The service does not answer."
        if self._session is None:
            return "Only cells of this notebook can be run again here."
        return self._session.why_not_again(row.task_id)

    def _do(self, errand: Callable[[], Any], say: Callable[[Any], str]) -> None:
        def then(done: Any) -> None:
            self._notice(say(done))
            self.refresh_soon()

        self._errands.run(errand, then)

    def _show_log(self, task_id: str, text: str) -> None:
        if self.view is not None:
            short = words.short_id(task_id)
            self.view.details(f"What task {short} has printed", text or "Nothing.")

    def _show_result(self, task_id: str, text: str) -> None:
        if self.view is not None:
            short = words.short_id(task_id)
            self.view.details(f"Result of task {short}, as a value: %funcx result {short}", text or "Nothing.")

    # --- how it looks ------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.view is not None:
            self.view.show()

    def _notice(self, text: str) -> None:
        if self.view is not None:
            self.view.notice(text)

    def _make_view(self) -> Any:
        from funcx_jupyter.widgets.monitor_view import MonitorView  # noqa: PLC0415 - needs ipywidgets

        return MonitorView(self.model, self, self._clock)

    def _as_text(self) -> str:
        return monitor_forms.as_text(self.model, self._clock())

    def _as_html(self) -> str:
        return monitor_forms.as_html(self.model, self._clock())


def _row(task_id: TaskId, record: TaskRecord) -> TaskRow:
    return TaskRow(task_id=task_id, title=record.cell, endpoint=record.endpoint)


def task_id_of(task: Any) -> TaskId:
    """Return the id of a task that is given by its id, its future or a record of it.

    Raises:
        UsageError: it is none of these, or has not been submitted.
    """
    found = task if isinstance(task, str) else getattr(task, "task_id", None)
    if found is None:
        raise UsageError(f"{type(task).__name__} is not a submitted task: give ids of tasks, or futures.")
    return TaskId(parse_id(str(found), "task id"))
