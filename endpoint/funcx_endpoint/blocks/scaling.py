"""How many blocks a load needs, and which kind gets the room that there is. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from funcx_endpoint.blocks.records import ANY_KIND, BlockPolicy, Load


def needed(load: Load, policy: BlockPolicy, *, by_kind: bool = False) -> dict[str, int]:
    """Return how many blocks of each kind the load needs, each by itself: between one, if there is any task, and `most`."""
    kinds = dict(load.kinds) if by_kind else {ANY_KIND: load.tasks}
    return {kind: _for_tasks(tasks, policy) for kind, tasks in kinds.items() if tasks > 0}


def _for_tasks(tasks: int, policy: BlockPolicy) -> int:
    return min(max(ceil(tasks * policy.parallelism / policy.slots), 1), policy.most)


def raised(wanted: Mapping[str, int], needs: Mapping[str, int], most: int) -> dict[str, int]:
    """Return `wanted` with what is needed on top, as far as there is room: one block for each kind before a second for any."""
    result = dict(wanted)
    room = most - sum(result.values())
    while room > 0:
        short = [kind for kind, number in needs.items() if result.get(kind, 0) < number]
        if not short:
            break
        kind = min(short, key=lambda one: result.get(one, 0))
        result[kind] = result.get(kind, 0) + 1
        room -= 1
    return result


def left_out(wanted: Mapping[str, int], needs: Mapping[str, int]) -> list[str]:
    """Return the kinds that need a block and have none."""
    return [kind for kind, number in needs.items() if number and not wanted.get(kind)]
