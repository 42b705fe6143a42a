"""What a task is on the wire, and the states it may be in.

Theory of operation. A task is one invocation of a function. The client makes its id; the service makes it durable;
the forwarder leases it to an endpoint with an attempt number; the endpoint's interchange leases it on to a manager,
the manager to a worker. `TRANSITIONS` is the one table that says which change of state is legal. The service applies
it to rows, the SDK and the widgets use it to know what is final, and the diagram in `docs/architecture.md` is
generated from it.

The payload fields are opaque to everything between the client and the worker.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from funcx_core.errors import FuncxError, TaskFailed, error_class
from funcx_core.ids import ContainerId, FunctionId, TaskId
from funcx_core.protocol.resources import Resources


class TaskState(StrEnum):
    """Where a task is in its life. The values are those that the published services report."""

    RECEIVED = "received"
    WAITING_FOR_EP = "waiting-for-ep"
    WAITING_FOR_NODES = "waiting-for-nodes"
    WAITING_FOR_LAUNCH = "waiting-for-launch"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the task has ended: no other state follows."""
        return self in TERMINAL


TERMINAL: Final = frozenset({TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED})

_WAITING: Final = (
    TaskState.RECEIVED,
    TaskState.WAITING_FOR_EP,
    TaskState.WAITING_FOR_NODES,
    TaskState.WAITING_FOR_LAUNCH,
)

TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    # A waiting task moves on to any later stage (fast tasks skip the ones in between), and back to waiting when the
    # holder of its lease is lost before it started.
    **{
        state: frozenset({*_WAITING, TaskState.RUNNING, TaskState.CANCELLING, *TERMINAL} - {state})
        for state in _WAITING
    },
    # A running task goes back to waiting only for another attempt, as its `retry_on_loss` allows.
    TaskState.RUNNING: frozenset({*_WAITING, TaskState.CANCELLING, *TERMINAL}),
    # The cancel may lose the race against the result.
    TaskState.CANCELLING: TERMINAL,
    TaskState.SUCCESS: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}


def may_become(old: TaskState, new: TaskState) -> bool:
    """Whether a task in `old` may change to `new`."""
    return new in TRANSITIONS[old]


MOST_AFTER: Final = 64
"""Tasks that one may wait for: a request stays short, and a task between them gathers more, 64 at a time."""


class ContainerImage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a task runs in, as it was registered. The service fills it in.

    Attributes:
        container_id: of the registered container; empty for one that an endpoint's owner chose.
        kind: ``docker``, ``podman``, ``singularity``, ``apptainer``, ``shifter`` or ``charliecloud``; empty if the container
            was deleted after the task was accepted.
        location: where the runtime finds it: a path, a name, or an address such as ``docker://python:3.12``.
    """

    container_id: str
    kind: str
    location: str


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a task is to be run. One object is shared by all tasks of a submit; the defaults cost nothing on the wire.

    Attributes:
        walltime: seconds of running after which the task is stopped with `TaskTimeout`; None for no limit.
        retry_on_loss: how often a *started* task is run again when the worker, manager or endpoint dies (0 to 10).
        container_id: the registered container to run in; None for the endpoint's own environment.
        interrupt_grace: seconds between SIGINT, SIGTERM and SIGKILL when the task is stopped.
        tags: free text for filtering, such as ``notebook`` and ``cell_id``; at most 16 of 200 characters each.
        inline_result: whoever asks for the result reads no references to blobs: one over the limit is `ResultTooLarge`.
        priority: -100 to 100; of one user's tasks at one endpoint those with the highest number start first.
        resources: what the task needs of its node; None for the share that each worker has.
        after: tasks of the same user that must succeed before this one is offered to its endpoint; at most `MOST_AFTER`. What
            endpoints get does not have them.
        container: what `container_id` stands for. What a client says here is not looked at.
    """

    walltime: float | None = None
    retry_on_loss: int = 0
    container_id: ContainerId | None = None
    interrupt_grace: float = 2.0
    tags: dict[str, str] = {}
    inline_result: bool = False
    priority: int = 0
    resources: Resources | None = None
    after: tuple[TaskId, ...] = ()
    container: ContainerImage | None = None

    def in_container_of(self, image: ContainerImage | None) -> TaskOptions:
        """Return the options of a task whose function runs in `image` where the task names no container of its own.

        Who looks for a place for the task must see it there.
        """
        if image is None or self.container is not None:
            return self
        return msgspec.structs.replace(self, container_id=ContainerId(image.container_id), container=image)


DEFAULT_OPTIONS: Final = TaskOptions()
INLINE: Final = TaskOptions(inline_result=True)
"""Of tasks of published clients, who cannot follow references."""


class Function(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Registered code, as it travels: the body is a packed buffer that only workers open.

    `container` is what it runs in, unless its task says otherwise; the service fills it in.
    """

    function_id: FunctionId
    name: str
    body: bytes
    container: ContainerImage | None = None


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One invocation as a client submits it: the payload holds the arguments."""

    task_id: TaskId
    function_id: FunctionId
    payload: bytes


class Task(msgspec.Struct, frozen=True, array_like=True):
    """One leased invocation. `attempt` counts from 1 and fences every message about the lease.

    `owner` tells the tasks of one user from those of another, and not who the user is: see `owner_tag`.
    """

    task_id: TaskId
    attempt: int
    function_id: FunctionId
    payload: bytes
    options: TaskOptions | None = None
    owner: str = ""

    @property
    def lease(self) -> Lease:
        """The key of this attempt."""
        return Lease(self.task_id, self.attempt)


class Lease(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names one attempt to run a task."""

    task_id: TaskId
    attempt: int


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One level of a traceback. `filename` may name a notebook cell of the client. `times`: how often it follows itself."""

    filename: str
    line: int
    name: str
    times: int = 1


class TaskError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task ended without a value, as plain fields that always load, plus the original exception if it travels.

    Attributes:
        code: the stable code of an error class, see `funcx_core.errors`; ``remote_task_error`` for an exception of the
            user's function.
        message: one line; for a user's exception what `str(exception)` gave.
        type_name: qualified class name of a user's exception.
        module: module of that class.
        traceback: formatted traceback, trimmed to the user's frames, head and tail of at most 32 KiB each.
        frames: the user's frames, outermost first.
        exception: the exception object, serialized like a result; empty if it cannot be.
        details: further plain facts (signal, exitcode, oom, size, limit, hostname, ...). Of a cell that raised: `locals` of the
            last frame of the notebook's code as text by name, `memory_peak` in bytes, `stdout_tail`.
        bases: builtin classes that `type_name` derives from, the nearest first.
        related: causes, contexts and members of groups, each after the exception that it belongs to.
    """

    code: str
    message: str
    type_name: str = ""
    module: str = ""
    traceback: str = ""
    frames: list[Frame] = []
    exception: bytes = b""
    details: dict[str, Any] = {}
    bases: list[str] = []
    related: list[RelatedError] = []

    def to_exception(self, task_id: str | None = None) -> FuncxError:
        """Build the error of ours that this describes (`funcx_core.serialize` tries the user's own class first)."""
        cls = error_class(self.code)
        if not issubclass(cls, TaskFailed):
            cls = TaskFailed
        details = dict(self.details)
        if self.type_name:
            details.update(type_name=self.type_name, module=self.module, traceback=self.traceback)
        text = f"{self.type_name}: {self.message}" if self.type_name else self.message
        return cls(text, task_id=task_id, details=details)


class RelatedError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception that belongs to another one.

    Attributes:
        how: ``cause`` (`raise … from`), ``context`` (raised while that was handled), or ``member`` of a group.
        of: place in `TaskError.related` of the one that it belongs to; -1 for the exception that ended the task.
        error: itself. Neither `traceback` nor `details` nor `related` say anything.
    """

    how: str
    of: int = -1
    error: TaskError


class TaskTimes(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When an attempt passed each hop, in Unix nanoseconds by the clock of that hop; 0 where it never came. And who ran it.

    They are for people to read. No decision is made from them: those use monotonic clocks.

    Attributes:
        node: of the manager: the first part of its host's name, a colon, and the first characters of its id, because
            several managers may share a host. Empty from agents that do not say it.
        worker: which one of that manager, from 0, as in its logs; who takes the place of another has its number. -1 if not known.
    """

    interchange: int = 0
    manager: int = 0
    started: int = 0
    ended: int = 0
    node: str = ""
    worker: int = -1


class TaskResult(msgspec.Struct, frozen=True, array_like=True):
    """How one attempt ended: `value` for success, `error` otherwise. `state` is terminal."""

    task_id: TaskId
    attempt: int
    state: TaskState
    value: bytes = b""
    error: TaskError | None = None
    times: TaskTimes = TaskTimes()

    @property
    def lease(self) -> Lease:
        """The key of the attempt that this ends."""
        return Lease(self.task_id, self.attempt)


class Transition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open task reached `state` at `at` (Unix nanoseconds). Sent only for tasks that stay in it for a while.

    `times` is what is known of it by then; nothing from agents that do not say it.
    """

    task_id: TaskId
    attempt: int
    state: TaskState
    at: int
    times: TaskTimes | None = None

    @property
    def passed(self) -> TaskTimes | None:
        """Which hops it has passed; None for a task that is back at the service."""
        if self.times is not None:
            return self.times
        match self.state:
            case TaskState.RUNNING:
                return TaskTimes(started=self.at)
            case TaskState.WAITING_FOR_NODES:
                return TaskTimes(interchange=self.at)
            case _:
                return None


class EventKind(StrEnum):
    """What an entry of a task's event log is."""

    STDOUT = "stdout"
    STDERR = "stderr"
    DISPLAY = "display"
    UPDATE_DISPLAY = "update_display"
    CLEAR = "clear"
    PROGRESS = "progress"
    LOG = "log"
    TRUNCATED = "truncated"


EVENT_SEQ_BITS: Final = 32
"""`seq` = attempt << 32 | n: rising and unique over all attempts with no coordination, below 2**53 for JavaScript."""


def event_seq(attempt: int, number: int) -> int:
    """Return the sequence number of the `number`-th event (from 1) of an attempt."""
    return attempt << EVENT_SEQ_BITS | number


class TaskEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry of a task's event log.

    `body` is UTF-8: plain text for stdout, stderr and log; a JSON object for the others (for display: ``data``,
    ``metadata``, ``transient`` of the Jupyter messaging protocol; for progress: see `funcx_core.protocol.progress`; for
    truncated: ``bytes`` and ``lines`` that were left out here).
    """

    task_id: TaskId
    seq: int
    kind: EventKind
    at: int
    body: bytes
