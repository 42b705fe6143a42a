"""What may be asked of a running agent, and what it answers: one JSON object a line, one answer for each question."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.protocol.endpoint import EndpointStatus


class AskStatus(msgspec.Struct, frozen=True, tag="status"):
    """How is the endpoint now? Answered with `Told`."""


class AskBlocks(msgspec.Struct, frozen=True, tag="blocks"):
    """Which blocks are there? Answered with `Blocks`."""


class ScaleOut(msgspec.Struct, frozen=True, tag="scale_out"):
    """Ask the provider for more blocks. Answered with `Blocks`: the new ones, at most as many as `max_blocks` allows."""

    number: int


class ScaleIn(msgspec.Struct, frozen=True, tag="scale_in"):
    """End blocks, with what runs there: those that are named, and `number` others, idle ones first.

    Answered with `Blocks`: those that end now.
    """

    number: int = 0
    block_ids: list[str] = []


class AskManagers(msgspec.Struct, frozen=True, tag="managers"):
    """Which managers are there? Answered with `Managers`."""


class Hold(msgspec.Struct, frozen=True, tag="hold"):
    """Give a manager nothing more, or something again if `hold` is false. Answered with `Managers`: that one."""

    manager_id: str
    hold: bool = True


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The status, as of now."""

    status: EndpointStatus


class Blocks(msgspec.Struct, frozen=True, tag="blocks"):
    """Blocks by id, and where each is in its life."""

    states: dict[str, str]


class AskQueue(msgspec.Struct, frozen=True, tag="queue"):
    """Whose tasks are there? Answered with `Queue`."""


class ManagerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One manager.

    Attributes:
        leased: tasks that it has.
        is_held: somebody asked that it be given nothing more.
        slots: how many of its workers' places these tasks take.
        container: id of the container of the tasks that it was given last; empty for none.
        seconds_left: until its block ends; None if it does not.
        is_open: it may be given tasks.
        is_kept_free: it is given nothing until a large task fits.
        load: processes that wanted a processor of its node lately, on average; None before its first heartbeat.
        memory_free: bytes of memory that its node could still give away; 0 if that is not known.
    """

    manager_id: str
    block_id: str
    hostname: str
    workers: int
    leased: int
    is_held: bool
    slots: int = 0
    container: str = ""
    seconds_left: float | None = None
    is_open: bool = True
    is_kept_free: bool = False
    load: float | None = None
    memory_free: int = 0


class QueueReport(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one owner, who has no name here, and one priority: how many wait, and how many managers have."""

    owner: str
    priority: int
    waiting: int
    leased: int


class Queue(msgspec.Struct, frozen=True, tag="queue"):
    """Tasks by owner and priority, those with most first."""

    lanes: list[QueueReport]


class Managers(msgspec.Struct, frozen=True, tag="managers"):
    """Managers, in no order."""

    managers: list[ManagerReport]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It was not done, and why."""

    message: str


Question = AskStatus | AskBlocks | AskManagers | AskQueue | ScaleOut | ScaleIn | Hold
Answer = Told | Blocks | Managers | Queue | Failed

questions: Final = msgspec.json.Decoder(Question)
answers: Final = msgspec.json.Decoder(Answer)
