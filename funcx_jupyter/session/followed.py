"""What is known of a task that is shown."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.errors import DependencyError, ServiceUnavailable
from funcx_core.ids import EndpointId, TaskId
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header
from funcx_jupyter.errors import AuthError
from funcx_jupyter.session.patience import Patience
from funcx_jupyter.session.watch import Mailbox

_LOST: Final = "connection lost"
_SIGNED_OUT: Final = "signed out"


def why_unknown(error: BaseException | None) -> str:
    """Return in words why nothing more is heard of a task that may go on; nothing if its end is known.

    Args:
        error: what its future has ended with.
    """
    if isinstance(error, AuthError):
        return _SIGNED_OUT
    return _LOST if isinstance(error, ServiceUnavailable) else ""


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A task to follow, and how.

    Attributes:
        endpoint: the name of where it runs.
        outputs: the variables that come back.
        refs: those that stay there.
        sent_at: when it was sent, in Unix seconds.
        took: seconds from then to its end, if it ended before we followed it.
        walltime: seconds after which it is stopped.
        renamed: file names of cells in its traceback, under which another kernel knew them, and what they are here.
        patience: how long it may wait for its endpoint, if it is offline.
        detaches: whether ■ leaves it alone, and only ends the waiting.
        stream: whether output is shown while it runs.
        verbose: whether frames of libraries are shown.
        called: what the tasks that it waits for are called here, by their ids.
    """

    task_id: TaskId
    endpoint: str
    endpoint_id: EndpointId
    outputs: list[str] = []
    refs: list[str] = []
    sent_at: float
    took: float | None = None
    walltime: float | None = None
    renamed: dict[str, str] = {}
    patience: Patience | None = None
    stream: bool = True
    detaches: bool = False
    verbose: bool = False
    called: dict[str, str] = {}


class Watched(msgspec.Struct, frozen=True):
    """A task that is followed: what it is, what hears of it, and what is shown of it first, if nothing `is_shown` yet."""

    task: Followed
    future: FuncXFuture
    mailbox: Mailbox
    header: Header
    is_shown: bool = False


def name_upstream(error: BaseException, task: Followed) -> None:
    """If the task was not run because of another one, have the error name that one as the user does."""
    if isinstance(error, DependencyError):
        called = task.called.get(error.upstream, words.short_id(TaskId(error.upstream)))
        ended = {"cancelled": "was cancelled", "deleted": "was deleted"}.get(
            error.details.get("upstream_state", ""), "failed"
        )
        error.args = (f"Not run: {called}, which it waited for, {ended}.",)
