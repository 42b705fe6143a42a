"""What is said of a task that the service does not know any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from funcx_core.errors import FuncxError, TaskNotFound
from funcx_core.ids import TaskId
from funcx_jupyter.display import words
from funcx_jupyter.errors import ResultExpired

if TYPE_CHECKING:
    from funcx_jupyter.session.state import Session

_DAY = 86400.0
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def missing(session: Session, task_id: TaskId, *, now: float | None = None) -> TaskNotFound:
    """Return the error of a task that the service does not know: deleted since, never received, or of somebody else."""
    submission = session.find_submission(task_id)
    if submission is None:
        return TaskNotFound(task_id)
    days, ended = _result_days(session), session.recall.ended_at(task_id)
    now = time.time() if now is None else now
    is_seen = session.recall.end_of(task_id) is not None
    if not is_seen and not (days and submission.at + days * _DAY < now):
        return TaskNotFound(task_id, "The service never got it: run its cell again.")
    gone = ended + days * _DAY if ended and days else 0.0
    when = f" on {day(gone)} (kept {_period(days)})" if 0 < gone <= now else ""
    short = words.short_id(task_id)
    again = (
        f"`%funcx rerun {short}` runs it again with the recorded inputs and environment."
        if not session.why_not_again(task_id)
        else "Its inputs are not recorded any more: run its cell again."
    )
    return ResultExpired(f"The result of {short} was deleted{when}. {again}", task_id)


def day(seconds: float) -> str:
    """Return a day as people write it: ``12 May``, by the clock of this machine."""
    found = time.localtime(seconds)
    return f"{found.tm_mday} {_MONTHS[found.tm_mon - 1]}"


def _period(days: float) -> str:
    return "1 day" if days == 1 else f"{days:g} days"


def _result_days(session: Session) -> float:
    try:
        return session.connection.result_days()
    except FuncxError:
        return 0.0  # It is only a part of what is said.
