"""Errors that the notebook front end raises on purpose, and how a notebook shows them: one line, no frames of ours.

::

    UsageError (funcx_core)
    ├── MagicArgumentError      an option of a magic
    ├── CaptureError            a variable that cannot go with the cell
    │   ├── LargeInputError       … because all of them together are too large
    │   └── RemoteValueElsewhere  … because its value is on another endpoint
    ├── AuthError               nobody is signed in, or no more
    ├── EnvironmentMismatch     a module that the endpoint does not have
    ├── NoEndpointError         no endpoint was chosen
    ├── UnknownEndpoint         no endpoint has that name
    ├── ResultExpired           the service has deleted the task, because it is old
    └── NotConnectedError       no service is known
    KeyboardInterrupt
    └── CellInterrupted         the user stopped the cell

What ends a cell elsewhere is in `funcx_core.errors`, and can be imported from here as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from funcx_core.errors import (
    AuthRequired,
    DependencyError,
    EndpointNotFound,
    EndpointOffline,
    NotConfigured,
    ServiceUnavailable,
    TaskNotFound,
    TaskTimeout,
    UsageError,
    WorkerLost,
)

__all__ = [
    "AuthError",
    "CaptureError",
    "CellInterrupted",
    "DependencyError",
    "EndpointOffline",
    "EnvironmentMismatch",
    "LargeInputError",
    "MagicArgumentError",
    "NoEndpointError",
    "NotAValue",
    "NotConnectedError",
    "RemoteValueElsewhere",
    "ResultExpired",
    "ServiceUnavailable",
    "TaskTimeout",
    "UnknownEndpoint",
    "WorkerLost",
    "nothing_sent",
    "shown_in_one_line",
]

E = TypeVar("E", bound=BaseException)


class _OneLine:
    """Shows itself without a traceback, yet as a real error: Run All and papermill stop."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class MagicArgumentError(_OneLine, UsageError):
    """An option or argument of a magic is wrong."""

    code = "magic_argument"


class CaptureError(_OneLine, UsageError):
    """A variable that the cell uses cannot be sent with it."""

    code = "capture_error"


class NotAValue(TypeError):
    """Raised by what stands for a value that is elsewhere, when it is pickled. The message says how to get the value."""


class LargeInputError(CaptureError):
    """The variables of the cell are larger than the service takes."""

    code = "large_input"


class RemoteValueElsewhere(CaptureError):
    """The cell uses a value that is on another endpoint than it runs on."""

    code = "value_elsewhere"


class EnvironmentMismatch(_OneLine, UsageError):
    """The cell imports what is not installed on the endpoint.

    Attributes:
        module: what is missing; empty if it is something else.
        endpoint: where.
    """

    code = "environment_mismatch"

    def __init__(self, message: str, *, module: str = "", endpoint: str = "") -> None:
        super().__init__(message)
        self.module = module
        self.endpoint = endpoint


class NoEndpointError(_OneLine, UsageError):
    """The user has to say where the cell is to run."""

    code = "no_endpoint"


class UnknownEndpoint(_OneLine, EndpointNotFound):
    """No endpoint has this name. The message says which one is meant, probably."""

    code = "unknown_endpoint"

    def __init__(self, message: str, name: str) -> None:
        UsageError.__init__(self, message)
        self.name = name


class ResultExpired(_OneLine, TaskNotFound):
    """The service has deleted a task of this notebook, with its result, because it is old."""

    code = "result_expired"

    def __init__(self, message: str, name: str) -> None:
        UsageError.__init__(self, message)
        self.name = name


class NotConnectedError(_OneLine, NotConfigured):
    """No funcX service is known to this kernel."""

    code = "not_connected"


class AuthError(_OneLine, AuthRequired):
    """The service does not know who this is. The message says since when, and what to type."""


class CellInterrupted(_OneLine, KeyboardInterrupt):
    """The user interrupted the cell. `task_id` names the task that ran it; empty if it was not sent."""

    def __init__(self, message: str, task_id: str = "") -> None:
        self.task_id = task_id
        super().__init__(message)


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Within this, ■ ends a cell that is being made ready, and that is all there is to say."""
    try:
        yield
    except CellInterrupted:
        raise
    except KeyboardInterrupt:
        raise CellInterrupted("Interrupted. The cell was not sent.") from None


def shown_in_one_line(error: E) -> E:
    """Return `error`, told to show itself in a notebook by its message alone: the user's code has no part in it."""
    error._render_traceback_ = partial(_one_line, error)  # type: ignore[attr-defined]
    return error


def _one_line(error: BaseException) -> list[str]:
    return [f"{type(error).__name__}: {error}"]
