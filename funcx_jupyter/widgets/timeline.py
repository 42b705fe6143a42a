"""`Timeline`: when tasks waited, ran and came back, with one request a tick for all of them."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from funcx_core.errors import FuncxError, UsageError
from funcx_core.ids import TaskId, parse_id
from funcx_jupyter.session.state import Session
from funcx_jupyter.widgets import markup, timeline_model, timeline_svg
from funcx_jupyter.widgets.fed import Fed
from funcx_jupyter.widgets.feed import States
from funcx_jupyter.widgets.monitor import task_id_of
from funcx_jupyter.widgets.notebook import notebook_session
from funcx_jupyter.widgets.service import Service, the_service
from funcx_jupyter.widgets.timeline_model import TimelineModel

_SVG = "image/svg+xml"
_NAMES_PER_TICK = 10
_PATIENCE = 20
"""Answers that a task may be missing in: one that was just sent reaches the service a moment later."""


class _Answer(msgspec.Struct, frozen=True):
    """What one tick brought."""

    members: list[TaskId]
    states: States
    endpoints: dict[str, str]
    functions: dict[str, str]


class Timeline(Fed):
    """Shows when tasks waited, ran and came back.

    >>> Timeline()                      # the tasks of this notebook
    >>> Timeline(futures)               # those of futures, or of ids
    >>> Timeline(group=executor.task_group_id)
    >>> Timeline(study)                 # the tasks of a `funcx.grid` or `funcx.map`

    It follows the tasks until all have ended. `to_svg` and `save` need no front end.

    Args:
        tasks: futures or ids of tasks, a study or a map; None for the tasks of this notebook, unless a group is given.
        group: id of a task group.
        session: the notebook's; the one of the loaded extension if it is None.
        service: what is asked.
        clock: the time in Unix seconds.

    Raises:
        UsageError: something in `tasks` is no task, or there is no notebook whose tasks could be meant.
    """

    def __init__(
        self,
        tasks: Any = None,
        *,
        group: str | None = None,
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
                "There is no notebook whose tasks could be shown: run `%load_ext funcx_jupyter`, or name tasks, as in Timeline(futures)."
            )
        self._ids_of_more: Callable[[], list[str]] | None = getattr(tasks, "task_ids", None)
        self._misses: dict[TaskId, int] = {}
        given = [] if self._ids_of_more is not None else _listed(tasks)
        self.model = TimelineModel({task_id_of(task): self._title(task_id_of(task)) for task in given})
        self._members: list[TaskId] = []
        self._has_all_names = True
        self._look_around()

    # --- pictures ----------------------------------------------------------------------------------------------

    def to_svg(self) -> str:
        """Return it as an SVG picture, by what is known now."""
        return timeline_svg.as_svg(self.model, self._clock())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a picture to a file, by what is known now, and return its path. The name says the format.

        Raises:
            MissingPackage: formats other than SVG are drawn by matplotlib, which is not installed.
        """
        target = Path(path)
        if target.suffix.lower() == ".svg":
            target.write_text(self.to_svg())
        else:
            from funcx_jupyter.widgets.timeline_picture import save_picture  # noqa: PLC0415 - needs matplotlib

            save_picture(self.model, self._clock(), target)
        return target

    # --- what the feed asks ------------------------------------------------------------------------------------

    def open_ids(self) -> list[TaskId]:
        """Return the tasks of which more is to be learned."""
        return self.model.open_ids()

    def find_more(self) -> list[TaskId]:
        """Ask for the tasks of the study or group."""
        found: Iterable[str] = self._ids_of_more() if self._ids_of_more is not None else ()
        if self._group is not None:
            found = self._service.group(self._group)
        self._members = [TaskId(task_id) for task_id in found if TaskId(task_id) not in self.model]
        return self._members

    def look(self, states: States) -> _Answer:
        """Ask for the names of what is new."""
        endpoints, functions = self.model.unnamed(states)
        rows = {str(row.endpoint_id): row.name for row in self._service.endpoints()} if endpoints else {}
        self._has_all_names = len(functions) <= _NAMES_PER_TICK
        return _Answer(
            self._members,
            states,
            {known: rows.get(known, known[:8]) for known in endpoints},
            {known: self._service.function_name(known) for known in sorted(functions)[:_NAMES_PER_TICK]},
        )

    def knows_all(self) -> bool:
        """Whether all names are known."""
        return self._has_all_names

    def tell(self, answer: _Answer) -> bool:
        """Take what one tick brought."""
        grew = self.model.add(dict.fromkeys(answer.members, ""))
        self.model.endpoints |= answer.endpoints
        self.model.functions |= answer.functions
        changed = self.model.learn(answer.states) or grew
        self._count_misses(answer.states)
        if self.view is not None and (changed or self.model.open_ids()):
            self.view.show()
        if changed and self.is_polling and not self.goes_on():
            self._publish_again()
        return changed

    def _count_misses(self, states: States) -> None:
        missing = [TaskId(task_id) for task_id, told in states.items() if "times" not in told]
        self._misses = {task_id: self._misses.get(task_id, 0) + 1 for task_id in missing}
        self.model.forget(task_id for task_id, count in self._misses.items() if count > _PATIENCE)

    def fail(self, error: FuncxError) -> None:
        """Say that the service does not answer."""
        self.model.outage = f"{error} Showing what was last known."
        if self.view is not None:
            self.view.show()

    def goes_on(self) -> bool:
        """Whether there is something to wait for."""
        is_empty = not len(self.model) and (self._group is not None or self._ids_of_more is not None)
        return bool(self.model.outage or self.model.open_ids() or is_empty)

    def _take_notebook_tasks(self, session: Session) -> None:
        self.model.add({TaskId(one): record.cell for one, record in session.tasks_at_service().items()})

    def _title(self, task_id: TaskId) -> str:
        record = None if self._session is None else self._session.tasks.get(task_id)
        return "" if record is None else record.cell

    # --- how it looks ------------------------------------------------------------------------------------------

    def _has_view(self) -> bool:
        try:
            import anywidget  # noqa: F401, PLC0415 - looked for only where a timeline is shown
        except ImportError:
            return False
        return True

    def _make_view(self) -> Any:
        from funcx_jupyter.widgets.timeline_view import TimelineView  # noqa: PLC0415 - needs anywidget

        return TimelineView(self.model, self._clock)

    def _as_text(self) -> str:
        return timeline_model.as_text(self.model, self._clock())

    def _as_html(self) -> str:
        picture = base64.b64encode(self.to_svg().encode()).decode()
        bars = self.model.bars()
        about = timeline_model.describe(self.model, bars, self._clock())
        return markup.block(markup.picture(_SVG, picture, about))


def _listed(tasks: Any) -> list[Any]:
    if tasks is None:
        return []
    is_one = isinstance(tasks, str) or hasattr(tasks, "task_id") or not isinstance(tasks, Iterable)
    return [tasks] if is_one else list(tasks)
