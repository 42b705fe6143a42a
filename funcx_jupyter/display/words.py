"""Sizes, times and states in words."""

from __future__ import annotations

import time
from typing import Final

from funcx_core.progress.text import clock
from funcx_core.protocol.task import TaskState

__all__ = ["STATES", "ago", "clock", "lasting", "moment", "short_id", "size", "span", "title"]

STATES: Final[dict[TaskState, str]] = {
    TaskState.RECEIVED: "sent",
    TaskState.WAITING_FOR_EP: "waiting for the endpoint",
    TaskState.WAITING_FOR_NODES: "waiting for a free worker",
    TaskState.WAITING_FOR_LAUNCH: "waiting for a worker",
    TaskState.RUNNING: "running",
    TaskState.CANCELLING: "stopping",
    TaskState.SUCCESS: "done",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "stopped",
}

_OF_SHELL: Final = "get_ipython()"
_KILO: Final = 1000
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def size(count: int) -> str:
    """Return a number of bytes as people read it: ``40 B``, ``0.6 kB``, ``80 kB``, ``1.1 MB``."""
    if count < _KILO / 10:
        return f"{count} B"
    amount = count / _KILO
    for unit in ("kB", "MB", "GB"):
        if amount < _KILO:
            return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:.0f} {unit}"  # noqa: PLR2004 - two digits
        amount /= _KILO
    return f"{amount:.1f} TB"


def span(seconds: float) -> str:
    """Return a time that is over, in seconds: ``0.02``, ``14.2``, ``754``."""
    if seconds < 0.0995:  # noqa: PLR2004 - two significant digits
        return f"{seconds:.2f}"
    return f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:.0f}"  # noqa: PLR2004 - see above


def ago(seconds: float) -> str:
    """Return how long ago something was: ``14 min ago``."""
    for unit, name in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit * (2 if unit == _DAY else 1):
            return f"{int(seconds / unit)} {name} ago"
    return f"{max(0, int(seconds))} s ago"


def lasting(seconds: float) -> str:
    """Return how long something takes or took, roughly: ``4 min``."""
    return ago(seconds).removesuffix(" ago")


def short_id(task_id: str) -> str:
    """Return four letters of a task's id that differ between the tasks of a session: its counting group."""
    groups = task_id.split("-")
    return groups[3] if len(groups) == 5 else task_id[:4]  # noqa: PLR2004 - the groups of a UUID


def title(source: str, visible: str = "") -> str:
    """Return the line by which a reader knows a cell: the first that is neither an import nor a comment, if there is one.

    Args:
        source: the cell as Python.
        visible: the cell as it was written, for lines that only a shell understands.
    """
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    telling = (line for line in lines if not line.startswith(("import ", "from ", "#")))
    found = next(telling, lines[0] if lines else "")
    if visible and _OF_SHELL in found:
        return title("\n".join(line for line in visible.splitlines() if not line.startswith("%%")))
    return found


def moment(seconds: float) -> str:
    """Return a time in Unix seconds as people write it: ``2025-03-01 12:30:05``, by the clock of this machine."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
