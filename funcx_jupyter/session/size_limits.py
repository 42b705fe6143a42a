"""How much comes back from a cell. What is more stays where the cell ran. Pure."""

from __future__ import annotations

from typing import Final

from funcx_core.protocol.client import Limits

ROOM_FOR_CODE: Final = 64 * 1024
"""Bytes of a payload that are left for the cell itself, or of a result for what is told of the cell."""
UNASKED: Final = 1_000_000_000
"""Bytes that come back from a cell at most, unless they are fetched: nobody waits for an hour because of a name after -o."""


def most_returned(limits: Limits) -> int:
    """Return how many bytes may come back at a time, at most, by what the service accepts."""
    return max(limits.max_result, limits.max_blob) - ROOM_FOR_CODE


def returned_unasked(limits: Limits) -> int:
    """Return how many come back of themselves."""
    return min(UNASKED, most_returned(limits))
