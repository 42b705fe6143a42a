"""Which waiting tasks go to which worker: chunks by time, not by count.

A chunk is worth about 4 ms; one task if nothing is known of its function. A worker gets a second chunk while it is at the
first only if both are expected to be short, so that no task waits behind a long one while another worker is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from funcx_core.ids import FunctionId
from funcx_core.protocol.task import Function
from funcx_endpoint.manager.machine.held import Held
from funcx_endpoint.manager.machine.pace import Pace
from funcx_endpoint.manager.machine.slots import Life, Slot

CHUNK_SECONDS: Final = 0.004
AHEAD_SECONDS: Final = 0.05
"""A chunk that is expected to take longer is never dealt ahead, and nothing is dealt behind it."""
CHUNK_TASKS: Final = 500
CHUNK_BYTES: Final = 1024 * 1024
CHUNK_FUNCTIONS: Final = 64


class Cut(msgspec.Struct):
    """The next chunk. `seconds` is None if it is one task of unknown length."""

    helds: list[Held]
    functions: dict[FunctionId, Function]
    seconds: float | None


def choose_slot(slots: Sequence[Slot], now: float) -> tuple[Slot | None, int]:
    """Return the worker to deal to, and how many like it there are: idle ones first, then those with a short chunk."""
    idle = [slot for slot in slots if not slot.dealt and slot.life is Life.READY]
    if idle:
        return idle[0], len(idle)
    short = [slot for slot in slots if _may_have_more(slot, now)]
    return (short[0], len(short)) if short else (None, 0)


def _may_have_more(slot: Slot, now: float) -> bool:
    if slot.life is not Life.READY or len(slot.chunks) != 1 or slot.is_stopping:
        return False
    seconds = slot.chunks[0][1]
    # What takes longer than expected may be stuck: nothing more is put behind it.
    return seconds is not None and seconds <= AHEAD_SECONDS and now - slot.since <= AHEAD_SECONDS


def cut_chunk(waiting: deque[Held], pace: Pace, *, share: int, ahead: bool) -> Cut | None:
    """Take the next chunk from `waiting`; None if its first task may not be dealt ahead.

    Args:
        waiting: what is to be dealt, first come first served.
        pace: what is known of the functions.
        share: how many tasks leave as much for each of the other free workers.
        ahead: whether the worker is busy with another chunk.
    """
    seconds = pace.expected(waiting[0].task.function_id)
    if ahead and (seconds is None or seconds > AHEAD_SECONDS):
        return None
    first = waiting.popleft()
    cut = Cut([first], {first.function.function_id: first.function}, seconds)
    if seconds is not None:
        _fill(cut, waiting, pace, min(share, CHUNK_TASKS))
    return cut


def _fill(cut: Cut, waiting: deque[Held], pace: Pace, most: int) -> None:
    helds, functions, room = cut.helds, cut.functions, CHUNK_BYTES - len(cut.helds[0].task.payload)
    seconds = cut.seconds or 0.0
    while waiting and len(helds) < most:
        held = waiting[0]
        if held.is_special:
            break
        function = held.function
        expected = pace.expected(function.function_id)
        room -= len(held.task.payload)
        if expected is None or seconds + expected > CHUNK_SECONDS or room < 0:
            break
        if function.function_id not in functions:
            if len(functions) == CHUNK_FUNCTIONS:
                break
            functions[function.function_id] = function
        seconds += expected
        helds.append(waiting.popleft())
    cut.seconds = seconds
