"""What code that runs in a worker may know of the task that it is part of. Whoever runs tasks says it, by `install`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class RunningTask(NamedTuple):
    """The task of this process.

    Attributes:
        task_id: its id.
        has_own_folder: whether the current folder is this task's alone.
    """

    task_id: str
    has_own_folder: bool = False


def running_task() -> RunningTask | None:
    """Return the task that this process runs; None outside of a worker."""
    return _find()


def install(find: Callable[[], RunningTask | None]) -> None:
    """Let `find` answer from now on."""
    global _find  # noqa: PLW0603 - one worker per process
    _find = find


def _none() -> RunningTask | None:
    return None


_find: Callable[[], RunningTask | None] = _none
