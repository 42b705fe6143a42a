"""What the machine in `state` wants done. The shell performs them in order."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from funcx_core.protocol.endpoint import Events, GiveBack, Results, Transitions
from funcx_core.protocol.manager import Drained, ManagerHeartbeat
from funcx_core.protocol.task import ContainerImage
from funcx_core.protocol.worker import Chunk


class Level(IntEnum):
    """How strongly a task is asked to stop."""

    INTERRUPT = 1
    TERMINATE = 2
    KILL = 3


Message = Results | Events | Transitions | GiveBack | ManagerHeartbeat | Drained


class Send(msgspec.Struct, frozen=True):
    """Send this to the interchange."""

    message: Message


class Enrol(msgspec.Struct, frozen=True):
    """Send a `ManagerRegister` with what the machine's `registration` returns now."""


class Spawn(msgspec.Struct, frozen=True):
    """Start a worker process in this slot. Its `Ready` or its death will be the next event of the slot.

    `image`: what it is to run in; None for no container.
    """

    worker: int
    image: ContainerImage | None = None


class Dismiss(msgspec.Struct, frozen=True):
    """End the worker in this slot, which has no task; its death will be the next event of the slot."""

    worker: int


class DealChunk(msgspec.Struct, frozen=True):
    """Journal these leases for this worker, then send it the chunk. If the journal cannot be written, call `not_dealt`."""

    worker: int
    chunk: Chunk
    places: int = 1
    """How many workers' places its tasks have."""


class TakeBack(msgspec.Struct, frozen=True):
    """Receive, in the worker's place, the chunks it has not received; report their numbers as `returned`."""

    worker: int


class SendRecall(msgspec.Struct, frozen=True):
    """Ask the worker for the rest of the chunk in its memory; it answers with `Returned`."""

    worker: int


class Peek(msgspec.Struct, frozen=True):
    """Read the record of ended tasks in the worker's page, which it will send later; report it as `finished`."""

    worker: int


class NoteReturned(msgspec.Struct, frozen=True):
    """Journal that these numbers never started on this worker: they are dealt anew, or given back."""

    worker: int
    numbers: list[int]


class NoteSafe(msgspec.Struct, frozen=True):
    """Journal, for each worker, up to which number all that was dealt to it is safe with the interchange."""

    numbers: list[int]


class TryJournal(msgspec.Struct, frozen=True):
    """See whether the journal can be written again; if so, call `journal_works`."""


class Signal(msgspec.Struct, frozen=True):
    """Write `number` to the worker's page as the target, then send the signal of that level to the worker."""

    worker: int
    number: int
    level: Level


class End(msgspec.Struct, frozen=True):
    """Stop all workers and end."""

    reason: str


Effect = (
    Send
    | Enrol
    | Spawn
    | Dismiss
    | DealChunk
    | TakeBack
    | SendRecall
    | Peek
    | NoteReturned
    | NoteSafe
    | TryJournal
    | Signal
    | End
)
