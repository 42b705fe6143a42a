"""A folder for each task, named by its id. What a task leaves in it stays for its user; an empty one is removed."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Final

from funcx_core.protocol.task import Task

_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Sandbox:
    """Makes the folders of one worker's tasks in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entered: Path | None = None

    def enter(self, task: Task) -> None:
        """Make the task's folder, with mode 0700, the current one.

        Raises:
            OSError: it cannot be made.
            ValueError: the task's id is no name for a folder.
        """
        if _NAME.fullmatch(task.task_id) is None:
            raise ValueError("The id of this task cannot be the name of its folder.")
        # Another attempt begins with a folder of its own.
        name = task.task_id if task.attempt == 1 else f"{task.task_id}-{task.attempt}"
        folder = self._folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chdir(folder)
        self._entered = folder

    def leave(self) -> None:
        """The task has ended and its folder is not the current one any more."""
        if self._entered is not None:
            with contextlib.suppress(OSError):
                self._entered.rmdir()
            self._entered = None
