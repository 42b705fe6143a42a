"""Errors of tasks as the user is to see them: their own with the lines of their cells, ours in one line."""

from __future__ import annotations

import math
from typing import Any, Protocol

import msgspec

from funcx_core.errors import (
    EndpointOffline,
    FuncxError,
    RemoteTaskError,
    TaskCancelled,
    TaskTimeout,
    ValueNotKept,
    WorkerLost,
)
from funcx_core.serialize import RemoteInfo
from funcx_jupyter.display import words
from funcx_jupyter.errors import shown_in_one_line
from funcx_jupyter.session.errand import not_kept
from funcx_jupyter.session.followed import Followed, name_upstream


class Arranger(Protocol):
    """What shows exceptions of cells: see `funcx_jupyter.screens`."""

    def arrange(self, error: BaseException, *, where: str, verbose: bool) -> BaseException:
        """Return the exception of the cell's own code, told how to show itself."""


def presentable(error: BaseException, task: Followed, screen: Arranger) -> BaseException:
    """Return an error of a task as the user is to see it. An asynchronous task may be asked again."""
    if isinstance(error, TaskCancelled) and task.patience is not None and task.patience.gave_up:
        waited = f"{task.patience.seconds:g}"
        return shown_in_one_line(
            EndpointOffline(f"{task.endpoint} did not come online within {waited} s. The cell was not run.")
        )
    _reword(error, task)
    if _says_all(error):
        return shown_in_one_line(error)
    if isinstance(error, ModuleNotFoundError):
        note = not_installed(error, task.endpoint)
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    remote = getattr(error, "funcx", None)
    host = ""
    if isinstance(remote, RemoteInfo):
        host = remote.host
        error.funcx = _placed(remote, task)  # type: ignore[attr-defined]
    place = [task.endpoint, *([f"host {host}"] if host else []), f"task {words.short_id(task.task_id)}"]
    return screen.arrange(error, where=", ".join(place), verbose=task.verbose)


def _reword(error: BaseException, task: Followed) -> None:
    """Say in the words of a notebook what the task's error says in general."""
    name_upstream(error, task)
    match error:
        case TaskTimeout() if task.walltime is not None:
            limit = f"{task.walltime:g}"
            error.args = (f"Stopped after {limit} s (-t {limit}). Partial output kept.",)
        case ValueNotKept():
            error.args = (not_kept(error, task.endpoint),)
        case WorkerLost():
            error.args = (worker_died(task.endpoint, error.details),)
        case RemoteTaskError() if _left(error) and str(error).startswith("SystemExit"):
            code = str(error).removeprefix("SystemExit").removeprefix(": ")
            error.args = (f"The cell ended itself with sys.exit({code}). Nothing was assigned.",)


def _left(error: RemoteTaskError) -> bool:
    return error.details.get("type_name") == "SystemExit"


def _says_all(error: BaseException) -> bool:
    """Return whether the message is enough: the error is ours, or of a magic that IPython has refused."""
    if isinstance(error, RemoteTaskError):
        return _left(error)
    return isinstance(error, FuncxError) or type(error).__module__ == "IPython.core.error"


def _placed(remote: RemoteInfo, task: Followed) -> RemoteInfo:
    """Return what is known of the place with the endpoint's name, and with the names by which cells are known here."""
    for one in remote.related:
        own = getattr(one.error, "funcx", None)
        if task.renamed and isinstance(own, RemoteInfo):
            one.error.funcx = _renamed(own, task.renamed)  # type: ignore[attr-defined]
    return _renamed(remote, task.renamed)._replace(details={**remote.details, "endpoint": task.endpoint})


def _renamed(remote: RemoteInfo, names: dict[str, str]) -> RemoteInfo:
    frames = [
        msgspec.structs.replace(frame, filename=names.get(frame.filename, frame.filename)) for frame in remote.frames
    ]
    return remote._replace(frames=frames)


def not_installed(error: ModuleNotFoundError, endpoint: str) -> str:
    """Return what is said of a module that a cell did not find where it ran."""
    remote = getattr(error, "funcx", None)
    near = remote.details.get("near_modules") if isinstance(remote, RemoteInfo) else None
    available = f" Available: {', '.join(map(str, near))}." if isinstance(near, list) and near else ""
    return f"`{error.name}` is not installed on {endpoint}.{available} `%funcx fix-env` says how to install it."


def worker_died(endpoint: str, details: dict[str, Any]) -> str:
    """Return what is said of a worker that died: by what, what it had used, and what may help.

    Args:
        endpoint: where it was.
        details: of the `WorkerLost`.
    """
    facts = []
    if details.get("signal") is not None:
        facts.append(f"signal {details['signal']}")
    elif details.get("exitcode") is not None:
        facts.append(f"exit code {details['exitcode']}")
    used, limit = details.get("memory_used"), details.get("memory_limit")
    if used and limit:
        facts.append(f"used {_gigabytes(used)} of {_gigabytes(limit)} GB")
    elif details.get("oom"):
        facts.append("out of memory")
    if details.get("processes_used"):
        facts.append(f"{details['processes_used']} of {details['processes_limit']} processes")
    why = f" ({', '.join(facts)})" if facts else ""
    advice = f" Try `--resource mem={_more_memory(limit)}`." if details.get("oom") else ""
    return f"The worker on {endpoint} died{why}. Last output kept above.{advice}"


def _more_memory(limit: int | None) -> int:
    """Return gigabytes that are more than what was not enough."""
    return max(2, math.ceil(2 * limit / 1e9)) if limit else 16


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f}".removesuffix(".0")
