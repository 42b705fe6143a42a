"""What the machine of blocks is told, what it remembers of each block, and what it wants done."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from funcx_core.ids import BlockId, ManagerId

ANY_KIND: Final = ""
"""The kind of blocks whose workers take whatever comes; other kinds are ids of containers."""


class BlockPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How many blocks are wanted.

    Attributes:
        init: blocks asked for at the start.
        least: never fewer.
        most: never more.
        slots: tasks that one block runs at a time.
        parallelism: how much of the load is to run at once: 1 for all of it, near 0 for as little as possible.
        scales: whether the number follows the load.
        idle_time: seconds after which an idle block above `least` is given up.
        start_timeout: seconds that a running block may take to its first manager.
    """

    init: int = 1
    least: int = 0
    most: int = 1
    slots: int = 1
    parallelism: float = 1.0
    scales: bool = True
    idle_time: float = 120.0
    start_timeout: float = 60.0


class Phase(StrEnum):
    """Where a block is in its life."""

    SUBMITTING = "submitting"
    STARTING = "starting"
    ACTIVE = "active"
    ENDING = "ending"


class ProviderState(StrEnum):
    """What a provider says about a block, as far as it is listened to."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Load(msgspec.Struct, frozen=True):
    """Tasks that wait or run, the managers that have some, and how many tasks there are of each kind, if that is known."""

    tasks: int = 0
    busy: frozenset[ManagerId] = frozenset()
    kinds: Mapping[str, int] = {}


class Submit(msgspec.Struct, frozen=True):
    """Ask the provider for this block, then call `submitted` or `failed`."""

    block_id: BlockId
    kind: str = ANY_KIND


class Cancel(msgspec.Struct, frozen=True):
    """Tell the provider to end this block. No answer is needed."""

    block_id: BlockId


Effect = Submit | Cancel


class Block:
    """One block. `running_since`: when the provider first said that it runs; `idle_since`: when it was last seen to be."""

    __slots__ = ("idle_since", "kind", "managers", "phase", "running_since")

    def __init__(self, kind: str = ANY_KIND) -> None:
        self.kind = kind
        self.phase = Phase.SUBMITTING
        self.managers: set[ManagerId] = set()
        self.running_since: float | None = None
        self.idle_since: float | None = None
