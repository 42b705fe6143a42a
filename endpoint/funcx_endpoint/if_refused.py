"""What a worker leaves beside a result that is too long to travel with its task, for the case that the service does not take it."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.protocol.codec import Decoder

WHOLE_OUTCOME: Final = "__outcome__"
"""What all that a cell sent back is called together, where values that stay on the endpoint have names."""


class IfRefused(msgspec.Struct, frozen=True, omit_defaults=True):
    """Then the result stays on the endpoint.

    Attributes:
        owner: whose it is: see `Task.owner`.
        outcome: an encoded `CellOutcome`, to be told instead: it names what stays. Empty if the task is no cell; then it fails, and
            what its function returned stays as the value of its last expression would.
    """

    owner: str
    outcome: bytes = b""


if_refused_decoder: Final[Decoder[IfRefused]] = Decoder(IfRefused)


def how_to_get(task_id: str, lifetime: float) -> str:
    """Return what is said of a function's value that stays on the endpoint, for so many seconds after its last use."""
    return (
        f"It is kept on the endpoint for {lifetime / 3600:g} h: a function that runs there has it by "
        f"`from funcx_endpoint import kept_result; value = kept_result('{task_id}')` and can return a part of it, or write it to a file."
    )
