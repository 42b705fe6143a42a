"""How many blocks an endpoint should have, and what to do about the difference.

Theory of operation. A block goes through *submitting* → *starting* → *active* → *ended*. Providers are believed about little:
a block is active because a manager of it registered, and lost because its managers are gone. What a provider says counts
only to start the clock of a block (it runs, but no manager came within `start_timeout`: failed), and to end one early that
never had a manager. After `FAILURES_ALLOWED` failures in a row the endpoint is unhealthy: it says why, and tries again only
every `LONGEST_PAUSE` seconds, while its tasks wait.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil
from typing import Final

import msgspec

from funcx_core.ids import BlockId, ManagerId

FAILURES_ALLOWED: Final = 3
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


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
    """Tasks that wait or run, and the managers that have some."""

    tasks: int = 0
    busy: frozenset[ManagerId] = frozenset()


class Submit(msgspec.Struct, frozen=True):
    """Ask the provider for this block, then call `submitted` or `failed`."""

    block_id: BlockId


class Cancel(msgspec.Struct, frozen=True):
    """Tell the provider to end this block. No answer is needed."""

    block_id: BlockId


Effect = Submit | Cancel


class _Block:
    __slots__ = ("idle_since", "managers", "phase", "running_since", "without_managers_since")

    def __init__(self) -> None:
        self.phase = Phase.SUBMITTING
        self.managers: set[ManagerId] = set()
        self.running_since: float | None = None
        self.idle_since: float | None = None
        self.without_managers_since: float | None = None


class Blocks:
    """Keeps the number of blocks right. Pure: `now` is monotonic; perform what each method returns."""

    def __init__(self, policy: BlockPolicy) -> None:
        self.policy = policy
        self._blocks: dict[BlockId, _Block] = {}
        self._next_number = 0
        self._wanted = max(policy.least, min(policy.init, policy.most))
        self._not_before = float("-inf")
        self._stopped = False
        self.failures = 0
        self.reason = ""

    @property
    def count(self) -> int:
        """Blocks that are there or on their way."""
        return sum(block.phase is not Phase.ENDING for block in self._blocks.values())

    @property
    def block_ids(self) -> list[BlockId]:
        """All blocks that the provider may still have."""
        return list(self._blocks)

    @property
    def is_unhealthy(self) -> bool:
        """Whether blocks keep failing."""
        return self.failures >= FAILURES_ALLOWED

    def phase(self, block_id: BlockId) -> Phase | None:
        """Return where a block is; None when it has ended."""
        block = self._blocks.get(block_id)
        return block.phase if block else None

    def tick(self, load: Load, *, now: float) -> list[Effect]:
        """Time passed."""
        if self._stopped:
            return []
        effects = self._end_overdue(now)
        self._scale(load)
        effects += self._end_idle(load, now)
        if self.count < self._wanted and now >= self._not_before:
            effects += [self._submit() for _ in range(self._wanted - self.count)]
        return effects

    def submitted(self, block_id: BlockId) -> list[Effect]:
        """The provider took the block."""
        block = self._blocks.get(block_id)
        if block is None:
            return []
        if block.phase is Phase.ENDING:
            return [Cancel(block_id)]
        if block.phase is Phase.SUBMITTING:
            block.phase = Phase.STARTING
        return []

    def failed(self, block_id: BlockId, reason: str, *, now: float) -> list[Effect]:
        """The provider did not take the block."""
        block = self._blocks.pop(block_id, None)
        if block is not None and block.phase is not Phase.ENDING:
            self._count_failure(reason, now)
        return []

    def provider_says(self, block_id: BlockId, state: ProviderState, detail: str, *, now: float) -> list[Effect]:
        """What the provider reports; `detail` is the end of what the block printed."""
        block = self._blocks.get(block_id)
        if block is None or block.phase is Phase.SUBMITTING:
            return []
        if state is ProviderState.RUNNING and block.running_since is None:
            block.running_since = now
        if state is not ProviderState.ENDED:
            return []
        if block.phase is Phase.STARTING:
            self._count_failure(detail or "The block ended before a manager of it registered.", now)
        if not block.managers:
            del self._blocks[block_id]
        return []

    def manager_joined(self, block_id: BlockId, manager_id: ManagerId) -> list[Effect]:
        """A manager of this block registered."""
        block = self._blocks.get(block_id)
        if block is None:
            return []
        block.managers.add(manager_id)
        block.without_managers_since = None
        if block.phase is not Phase.ENDING:
            block.phase = Phase.ACTIVE
            self.failures = 0
            self.reason = ""
            self._not_before = float("-inf")
        return []

    def manager_left(self, block_id: BlockId, manager_id: ManagerId, *, now: float) -> list[Effect]:
        """A manager of this block ended or was given up. A block without managers is given up."""
        block = self._blocks.get(block_id)
        if block is None:
            return []
        block.managers.discard(manager_id)
        if block.managers:
            return []
        if block.phase is Phase.ENDING:
            del self._blocks[block_id]
            return []
        block.phase = Phase.ENDING
        self._not_before = max(self._not_before, now + FIRST_PAUSE)
        return [Cancel(block_id)]

    def ended(self, block_id: BlockId) -> list[Effect]:
        """The block is known to be over."""
        self._blocks.pop(block_id, None)
        return []

    def stop(self) -> list[Effect]:
        """Give every block up, and ask for no more."""
        self._stopped = True
        self._wanted = 0
        return [effect for block_id in self.block_ids for effect in self._end(block_id)]

    def _submit(self) -> Submit:
        block_id = BlockId(str(self._next_number))
        self._next_number += 1
        self._blocks[block_id] = _Block()
        return Submit(block_id)

    def _end(self, block_id: BlockId) -> list[Effect]:
        block = self._blocks[block_id]
        was, block.phase = block.phase, Phase.ENDING
        # One that is being submitted is cancelled when the provider has named it.
        return [] if was in {Phase.SUBMITTING, Phase.ENDING} else [Cancel(block_id)]

    def _end_overdue(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for block_id, block in list(self._blocks.items()):
            since = block.running_since
            if block.phase is Phase.STARTING and since is not None and now - since > self.policy.start_timeout:
                effects += self._end(block_id)
                self._count_failure(f"No manager registered within {self.policy.start_timeout:g} s.", now)
        return effects

    def _scale(self, load: Load) -> None:
        policy = self.policy
        if not policy.scales:
            return
        needed = min(ceil(load.tasks * policy.parallelism / policy.slots), policy.most)
        self._wanted = max(self._wanted, needed, policy.least)

    def _end_idle(self, load: Load, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for block_id, block in list(self._blocks.items()):
            if block.phase is not Phase.ACTIVE or load.tasks or block.managers & load.busy:
                block.idle_since = None
            elif block.idle_since is None:
                block.idle_since = now
            elif (
                self.policy.scales
                and now - block.idle_since > self.policy.idle_time
                and self._wanted > self.policy.least
            ):
                self._wanted -= 1
                effects += self._end(block_id)
        return effects

    def _count_failure(self, reason: str, now: float) -> None:
        self.failures += 1
        self.reason = reason
        pause = min(FIRST_PAUSE * 2 ** (self.failures - 1), LONGEST_PAUSE)
        self._not_before = now + (LONGEST_PAUSE if self.is_unhealthy else pause)
