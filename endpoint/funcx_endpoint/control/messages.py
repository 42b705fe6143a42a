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


class ManagerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One manager. `leased`: tasks that it has; `is_held`: it is given nothing more."""

    manager_id: str
    block_id: str
    hostname: str
    workers: int
    leased: int
    is_held: bool


class Managers(msgspec.Struct, frozen=True, tag="managers"):
    """Managers, in no order."""

    managers: list[ManagerReport]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It was not done, and why."""

    message: str


Question = AskStatus | AskBlocks | AskManagers | ScaleOut | ScaleIn | Hold
Answer = Told | Blocks | Managers | Failed

questions: Final = msgspec.json.Decoder(Question)
answers: Final = msgspec.json.Decoder(Answer)
