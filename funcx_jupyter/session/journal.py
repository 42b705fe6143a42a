"""What a notebook has submitted, on disk: written before a cell is sent, read after the kernel was restarted.

One file of lines for each notebook, in a private folder; see `docs/notebooks.md`. It holds ids, names, hashes and the first telling line of
each cell: neither values nor tokens. A line is in the file before the task is in the service, so a kernel that is killed at any moment
leaves a task that can be found; a line whose task the service never got is harmless.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.home import home, private_dir, write_private
from funcx_core.ids import EndpointId, GroupId, TaskId
from funcx_core.protocol.task import TaskState

MOST_KEPT: Final = 200
"""Submissions that a file holds after it was tidied."""
TIDY_OVER: Final = 256 * 1024
"""Bytes over which it is tidied."""
STALE_AFTER: Final = 90 * 86400
"""Seconds after which the file of a notebook that submits nothing is removed."""

_OF_A_WINDOW: Final = "vscode-notebook-cell:"
"""VS Code numbers the cells of a window. In the next window the number may be that of another cell."""


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="sent"):
    """A cell that was sent.

    Attributes:
        task_id: its task.
        group_id: the group in which its outcome is published.
        endpoint_id: where it runs.
        endpoint: the name of that at the time.
        service: the address of the service.
        at: when, in Unix seconds.
        title: its first telling line.
        cell_id: what the front end calls the cell; empty where it does not say.
        run_id: which execution of a cell it was. A loop may send one cell many times in one execution.
        code: hash of the cell's source alone.
        content: hash of what was sent: code, endpoint, inputs and wanted outputs.
        outputs: variables that were wanted back.
        refs: variables that were to stay on the endpoint.
        name: what an asynchronous cell's task was to be called.
        is_async: whether the cell returned at once.
        filename: the name under which the kernel knew the cell.
        map_of: the variable that is bound to each element, if `task_id` is that of a map; else empty.
    """

    task_id: TaskId
    group_id: GroupId
    endpoint_id: EndpointId
    endpoint: str
    service: str
    at: float
    title: str
    cell_id: str = ""
    run_id: str = ""
    content: str = ""
    code: str = ""
    outputs: list[str] = []
    refs: list[str] = []
    name: str = ""
    is_async: bool = False
    filename: str = ""
    map_of: str = ""

    @property
    def variables(self) -> list[str]:
        """All that it gives the notebook: values, and references to those that stay."""
        return [*self.outputs, *self.refs]

    @property
    def cell(self) -> str:
        """What tells its cell from the others of the notebook, as well as the front end allows; it may be empty."""
        if self.cell_id.startswith(_OF_A_WINDOW):
            return f"{self.cell_id} {self.title}"
        return self.cell_id or self.content


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """A kernel saw the end of a task, and showed it.

    Attributes:
        at: when it ended, in Unix seconds; 0 if that is not known.
        seconds: how long it ran; 0 if that is not known.
    """

    task_id: TaskId
    state: TaskState
    at: float = 0.0
    seconds: float = 0.0


Line = Submission | Ended
_decoder: Final = msgspec.json.Decoder(Line)


class Journal:
    """The submissions of one notebook. Safe from any thread.

    Args:
        path: the file. It need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent: dict[TaskId, Submission] = {}
        self._ended: dict[TaskId, Ended] = {}
        self._lock = threading.RLock()
        self._inode = 0
        self._read_to = 0

    @classmethod
    def of(cls, notebook: str) -> Journal:
        """Return the journal of a notebook, by its path; files of notebooks that are long out of use go.

        Raises:
            ConfigError, OSError: there can be no such file.
        """
        folder = private_dir(home() / "notebooks")
        path = folder / f"{hashlib.sha256(notebook.encode()).hexdigest()[:24]}.jsonl"
        _remove_stale(folder, except_for=path)
        return cls(path)

    def sent(self, submission: Submission) -> None:
        """Write that a cell is about to be sent.

        Raises:
            OSError: it cannot be written.
        """
        self._append(submission)

    def ended(self, task_id: TaskId, state: TaskState, at: float = 0.0, seconds: float = 0.0) -> None:
        """Write that the end of a task was shown, when it was, and how long the task ran. Raises as `sent` does."""
        known = self._ended.get(task_id)
        if known is None or known.state is not state:
            self._append(Ended(task_id=task_id, state=state, at=at, seconds=round(seconds, 2)))

    def submissions(self) -> list[Submission]:
        """Return what was sent from this notebook by this and earlier kernels, oldest first."""
        with self._lock:
            self._read()
            return list(self._sent.values())

    def end_of(self, task_id: TaskId) -> TaskState | None:
        """Return how a task ended, if a kernel has shown that."""
        ended = self._end(task_id)
        return None if ended is None else ended.state

    def ended_at(self, task_id: TaskId) -> float:
        """Return when a task ended, in Unix seconds; 0 if that is not known."""
        ended = self._end(task_id)
        return 0.0 if ended is None else ended.at

    def _end(self, task_id: TaskId) -> Ended | None:
        with self._lock:
            self._read()
            return self._ended.get(task_id)

    def ran(self, task_id: TaskId) -> float:
        """Return for how many seconds a task ran that has succeeded; 0 if that is not known."""
        ended = self._end(task_id)
        return ended.seconds if ended is not None and ended.state is TaskState.SUCCESS else 0.0

    def _append(self, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        with self._lock:
            with _locked(self._path) as file:
                os.write(file, data)  # One call: a kernel that is killed leaves a whole line or none.
            self._read()
            if self._read_to > TIDY_OVER:
                self._tidy()

    def _read(self) -> None:
        """Take in what was added since: by this kernel, or by another of the same notebook."""
        try:
            found = self._path.stat()
            if (found.st_ino, found.st_size) == (self._inode, self._read_to):
                return
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        if found.st_ino != self._inode:  # It is new, or was tidied by another kernel.
            self._inode, self._read_to = found.st_ino, 0
        whole = content.rfind(b"\n") + 1
        self._take(content[self._read_to : whole].splitlines())
        self._read_to = whole

    def _take(self, lines: Iterable[bytes]) -> None:
        for data in lines:
            # A line that cannot be read was written by a newer version, or by a disk that was full.
            with suppress(msgspec.DecodeError):
                match _decoder.decode(data):
                    case Submission() as submission:
                        self._sent[submission.task_id] = submission
                    case Ended() as ended:
                        self._ended[ended.task_id] = ended

    def _tidy(self) -> None:
        with _locked(self._path):
            self._read()
            kept = list(self._sent.values())[-MOST_KEPT:]
            self._sent = {one.task_id: one for one in kept}
            self._ended = {task_id: ended for task_id, ended in self._ended.items() if task_id in self._sent}
            write_private(
                self._path, b"".join(msgspec.json.encode(line) + b"\n" for line in [*kept, *self._ended.values()])
            )


class _locked:  # noqa: N801 - used as `with _locked(path) as file`
    """The file, open for appending, with nobody else writing to it or replacing it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> int:
        while True:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == os.fstat(self._file).st_ino:
                    return self._file
            os.close(self._file)  # It was tidied between the two calls: this is the old file.

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _remove_stale(folder: Path, *, except_for: Path) -> None:
    oldest = time.time() - STALE_AFTER
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):  # Another kernel was faster.
            if path != except_for and path.stat().st_mtime < oldest:
                path.unlink()
