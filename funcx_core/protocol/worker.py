"""Between a manager and one of its workers: private socketpairs on one machine.

The manager deals `Chunk` records on the *tasks* socketpair (SEQPACKET: a record is received whole, by exactly one reader).
It keeps a duplicate of the worker's end, so that it can take back records that the worker has not read: the kernel
decides who gets each. On the *control* pair the manager asks for the unstarted rest of the chunk in the worker's
memory. The worker answers on the *results* pair.

Each task carries a `number` that rises by one per task dealt to that worker. Before the worker runs a task it writes the
number to a shared memory-mapped page. So whatever dies, the survivor knows which tasks had started.
"""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.task import EventKind, Function, Task, TaskResult


class Dealt(msgspec.Struct, frozen=True, array_like=True):
    """A task with its place in this worker's order."""

    number: int
    task: Task


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    """Tasks to run one after the other.

    Attributes:
        functions: those this worker has not seen.
        variables: of the environment, for these tasks alone.
        processors: that these tasks are bound to, instead of those of the worker; empty for those.
    """

    tasks: list[Dealt]
    functions: list[Function] = []
    variables: dict[str, str] = {}
    processors: list[int] = []


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Give back what has not started of the current chunk."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has started and waits for its first chunk."""

    pid: int
    python_version: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """Ended tasks, in the order they ran."""

    results: list[TaskResult]


class Returned(msgspec.Struct, frozen=True, tag="returned"):
    """Numbers of tasks that come back before they started: recalled, or `missing` the body of their function."""

    numbers: list[int]
    missing: bool = False


class Output(msgspec.Struct, frozen=True, tag="output"):
    """Something the running task printed, showed or reported; `body` as in `TaskEvent`."""

    task_id: TaskId
    kind: EventKind
    at: int
    body: bytes


class Retiring(msgspec.Struct, frozen=True, tag="retiring"):
    """The worker ends between two tasks, for a new one to take its place. `reason` is for the log."""

    reason: str


FromWorker = Ready | Finished | Returned | Output | Retiring

from_worker: Final[Decoder[FromWorker]] = Decoder(FromWorker)
chunk_decoder: Final[Decoder[Chunk]] = Decoder(Chunk)
recall_decoder: Final[Decoder[Recall]] = Decoder(Recall)
