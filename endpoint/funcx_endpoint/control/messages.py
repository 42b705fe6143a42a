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


class Told(msgspec.Struct, frozen=True, tag="told"):
    """The status, as of now."""

    status: EndpointStatus


class Blocks(msgspec.Struct, frozen=True, tag="blocks"):
    """Blocks by id, and where each is in its life."""

    states: dict[str, str]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It was not done, and why."""

    message: str


Question = AskStatus | AskBlocks | ScaleOut | ScaleIn
Answer = Told | Blocks | Failed

questions: Final = msgspec.json.Decoder(Question)
answers: Final = msgspec.json.Decoder(Answer)
