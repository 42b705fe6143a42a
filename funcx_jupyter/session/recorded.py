"""What cells were sent with, on disk, so that they can be run again by a later kernel, also when the service has deleted their tasks.

A file for each task, readable by its user alone, in the private folder; it is gone after 90 days, or when there are too many. The inputs are
bytes here: nothing of them is loaded but by the worker that runs the cell again.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import ConfigError, RemoteProtocolError
from funcx_core.home import home, private_dir
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.task import TaskOptions
from funcx_jupyter.capture.elsewhere import RemoteUse
from funcx_jupyter.display import words
from funcx_jupyter.errors import RemoteValueElsewhere
from funcx_jupyter.session.endpoints import Endpoint

MOST_OF_ONE: Final = 4_000_000
MOST_OF_ALL: Final = 256_000_000
"""Bytes on disk."""
MOST_FILES: Final = 5000
STALE_AFTER: Final = 90 * 86400.0
TIDY_EVERY: Final = 100
OFF: Final = "0"
VARIABLE: Final = "FUNCX_RECORD_INPUTS"
"""Set to `OFF` in the environment, nothing is written."""


class Sent(msgspec.Struct, frozen=True):
    """What a task was submitted with, so that it can be run again. `remote`: the values on endpoints that its inputs name."""

    endpoint_id: EndpointId
    spec: CellSpec
    options: TaskOptions
    remote: list[RemoteUse] = []

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.spec.values) + len(self.spec.source)


def check_can_move(sent: Sent, endpoint: Endpoint, task_id: TaskId) -> None:
    """Refuse to run a cell on another endpoint than the values that its inputs name.

    Raises:
        RemoteValueElsewhere: says what to type.
    """
    for use in sent.remote:
        if use.endpoint_id != endpoint.endpoint_id:
            short = words.short_id(task_id)
            raise RemoteValueElsewhere(
                f"`{use.called}` is on {use.endpoint}, and the inputs of {short} name it there: `%funcx rerun {short} -e {use.endpoint}`. "
                f"To run it on {endpoint.name}, type `{use.bring}` and run the cell itself there."
            )


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is on disk. `endpoint` is a name, `cell` its first telling line, `name` what the task is called."""

    endpoint: str
    cell: str
    name: str
    sent: Sent


_decoder: Final[Decoder[Recorded]] = Decoder(Recorded)


class Records:
    """The files. Where they cannot be written nothing is recorded: that is no reason to stop a cell."""

    def __init__(self) -> None:
        self._written = 0

    def keep(self, task_id: TaskId, recorded: Recorded) -> None:
        """Write what a task was sent with, unless it is large."""
        if recorded.sent.size > MOST_OF_ONE or os.environ.get(VARIABLE) == OFF:
            return
        with suppress(OSError, ConfigError):
            folder = private_dir(private_dir(home() / "notebooks") / "inputs")
            part = folder / f".{uuid.uuid4().hex}"
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(encode(recorded))
            part.replace(folder / task_id)
            if self._written % TIDY_EVERY == 0:
                _tidy(folder)
            self._written += 1

    def has(self, task_id: TaskId) -> bool:
        """Whether there is something to run again."""
        return (path := _path(task_id)) is not None and path.is_file()

    def forget(self, task_id: TaskId) -> None:
        """Remove what cannot be run again any more."""
        if (path := _path(task_id)) is not None:
            with suppress(OSError):
                path.unlink()

    def load(self, task_id: TaskId) -> Recorded | None:
        """Return what a task was sent with; None if that is not known."""
        try:
            return None if (path := _path(task_id)) is None else _decoder.decode(path.read_bytes())
        except (OSError, RemoteProtocolError):
            return None  # It was tidied away; or written by a newer version, or when the disk was full.


def _path(task_id: TaskId) -> Path | None:
    try:
        uuid.UUID(task_id)
        return home() / "notebooks" / "inputs" / task_id
    except (ValueError, ConfigError):
        return None


def _tidy(folder: Path) -> None:
    """Remove what is old, and the oldest of what is too much."""
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    oldest, taken = time.time() - STALE_AFTER, 0
    for number, (written_at, size, path) in enumerate(sorted(found, reverse=True)):
        taken += size
        if written_at < oldest or taken > MOST_OF_ALL or number >= MOST_FILES:
            with suppress(OSError):
                path.unlink()
