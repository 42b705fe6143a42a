"""Where the task that runs in this worker may keep values. Whoever runs tasks says it, by `install`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from funcx_endpoint.kept import KeptFolder, KeptKey


class Place(NamedTuple):
    """Where a task may keep values.

    Attributes:
        folder: of the endpoint.
        owner: the tag of the task's owner.
        task_id: of the task.
        most_returned: bytes that it may send back instead.
        most_inline: bytes that travel with the result itself; what is more goes by way of the service's store, if that takes it.
    """

    folder: KeptFolder
    owner: str
    task_id: str
    most_returned: int
    most_inline: int = 10 * 1024 * 1024

    def key(self, name: str) -> KeptKey:
        """Return the key of a value of this task."""
        return KeptKey(self.owner, self.task_id, name)


def install(find: Callable[[], Place | None]) -> None:
    """Let `find` say where from now on."""
    global _find  # noqa: PLW0603 - one worker per process
    _find = find


def place() -> Place | None:
    """Return where the running task may keep values; None if that is nowhere."""
    found = _find()
    return found if found is not None and found.owner and found.folder.limit else None


def _nowhere() -> Place | None:
    return None


_find: Callable[[], Place | None] = _nowhere
