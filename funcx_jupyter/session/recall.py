"""The journal of the notebook at hand, for a session that must work without one, too."""

from __future__ import annotations

import statistics
import warnings
from typing import Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_jupyter.session.journal import Journal, Submission

_RUNS: Final = 5
"""So many of the last runs of a cell say how long the next one will take."""


class CellPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cell is.

    Attributes:
        notebook: the path of the notebook; the working directory where no notebook is known.
        cell_id: what the front end calls the cell; empty where it does not say.
        run_id: which execution it is.
    """

    notebook: str
    cell_id: str = ""
    run_id: str = ""

    def tags(self) -> dict[str, str]:
        """Return what tells the task where it comes from."""
        found = {"kind": "cell", "notebook": self.notebook[-200:], "cell_id": self.cell_id[:200]}
        return {name: value for name, value in found.items() if value}


class Recall:
    """What this notebook has submitted. Where there can be no journal it warns once, and knows nothing."""

    def __init__(self) -> None:
        self._notebook = ""
        self._journal: Journal | None = None
        self._is_broken = False

    def open(self, notebook: str) -> None:
        """Use the journal of this notebook from now on. It may be renamed while its kernel runs."""
        if notebook != self._notebook:
            self._notebook, self._journal = notebook, None

    def sent(self, submission: Submission) -> None:
        """A cell is about to be sent."""
        if journal := self._opened():
            try:
                journal.sent(submission)
            except OSError as error:
                self._give_up(error)

    def ended(self, task_id: TaskId, state: TaskState, at: float = 0.0, seconds: float = 0.0) -> None:
        """The end of a task was shown: when it was, and how long the task ran."""
        if journal := self._opened():
            try:
                journal.ended(task_id, state, at, seconds)
            except OSError as error:
                self._give_up(error)

    def submissions(self, service: str) -> list[Submission]:
        """Return what was sent to this service, oldest first."""
        journal = self._opened()
        return [] if journal is None else [one for one in journal.submissions() if one.service == service]

    def end_of(self, task_id: TaskId) -> TaskState | None:
        """Return how a task ended, if a kernel has shown that."""
        journal = self._opened()
        return None if journal is None else journal.end_of(task_id)

    def ended_at(self, task_id: TaskId) -> float:
        """Return when a task ended, in Unix seconds; 0 if that is not known."""
        journal = self._opened()
        return 0.0 if journal is None else journal.ended_at(task_id)

    def expected(self, service: str, endpoint_id: str, *, code: str, cell_id: str = "") -> float | None:
        """Return for how many seconds a cell will run, as far as its last runs tell: the median of them; None if they do not.

        The last runs are those of the same code at the same endpoint, else those of the same cell.
        """
        journal = self._opened()
        if journal is None:
            return None
        runs = [
            (one, seconds)
            for one in reversed(self.submissions(service))
            if one.endpoint_id == endpoint_id and (seconds := journal.ran(one.task_id))
        ]
        same_code = [seconds for one, seconds in runs if one.code and one.code == code]
        same_cell = [seconds for one, seconds in runs if one.cell_id and one.cell_id == cell_id]
        known = (same_code or same_cell)[:_RUNS]
        return statistics.median(known) if known else None

    def _opened(self) -> Journal | None:
        if self._journal is None and self._notebook and not self._is_broken:
            try:
                self._journal = Journal.of(self._notebook)
            except (ConfigError, OSError) as error:
                self._give_up(error)
        return self._journal

    def _give_up(self, error: Exception) -> None:
        self._is_broken, self._journal = True, None
        warnings.warn(
            f"Cells cannot be attached to after a restart: their journal cannot be written. {error}", stacklevel=2
        )
