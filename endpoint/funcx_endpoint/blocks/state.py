"""How many blocks an endpoint should have, and what to do about the difference.

Theory of operation. A block goes through *submitting* → *starting* → *active* → *ended*. Providers are believed about little:
a block is active because a manager of it registered, and lost because its managers are gone. What a provider says counts
only to start the clock of a block (it runs, but no manager came within `start_timeout`: failed), and to end one early that
never had a manager; if a manager of it comes all the same, the block is back. After `FAILURES_ALLOWED` failures in a row of one
kind its tasks wait, and it is tried again only every `LONGEST_PAUSE` seconds. If that kind takes any task, the endpoint is unhealthy;
else the others go on, and it is named with its reason.

How many blocks are *wanted* is one number for each kind. `tick` makes the blocks follow it; `follow` makes it follow the load,
`scale_out` and `scale_in` are a strategy's own. What `follow` gives up is idle: nobody's task ends with it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks.failures import Failures
from funcx_endpoint.blocks.records import (
    ANY_KIND,
    Block,
    BlockPolicy,
    Cancel,
    Effect,
    Load,
    Phase,
    ProviderState,
    Submit,
)
from funcx_endpoint.blocks.scaling import left_out, needed, raised

DOUBTS_KEPT: Final = 32
"""Blocks of which a manager is still welcome though the provider said that they have ended."""
_GIVEN_UP_FIRST: Final = (Phase.SUBMITTING, Phase.STARTING, Phase.ACTIVE)


class Blocks:
    """Keeps the number of blocks right. Pure: `now` is monotonic; perform what each method returns."""

    def __init__(self, policy: BlockPolicy) -> None:
        self.policy = policy
        self._blocks: dict[BlockId, Block] = {}
        self._next_number = 0
        self._wanted = {ANY_KIND: max(policy.least, min(policy.init, policy.most))}
        self._needed: Collection[str] = ()
        self._failures: dict[str, Failures] = {}
        self._given_up_by_provider: dict[BlockId, str] = {}
        self._stopped = False

    # --- what the shell asks -------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Blocks that are there or on their way."""
        return sum(block.phase is not Phase.ENDING for block in self._blocks.values())

    @property
    def block_ids(self) -> list[BlockId]:
        """All blocks that the provider may still have."""
        return list(self._blocks)

    @property
    def awaits_provider(self) -> bool:
        """Whether the provider has not taken any of the blocks that are wanted, or not yet."""
        return any(self._wanted.values()) and all(
            block.phase in {Phase.SUBMITTING, Phase.ENDING} for block in self._blocks.values()
        )

    @property
    def failures(self) -> int:
        """How many blocks of one kind failed in a row, at most."""
        return max((failures.count for failures in self._failures.values()), default=0)

    @property
    def is_unhealthy(self) -> bool:
        """Whether blocks for any task keep failing."""
        ordinary = self._failures.get(ANY_KIND)
        return ordinary is not None and ordinary.are_too_many

    @property
    def failing_kinds(self) -> dict[str, str]:
        """Of which particular kinds blocks keep failing that tasks wait for, and why."""
        return {
            kind: failures.reason
            for kind, failures in self._failures.items()
            if kind != ANY_KIND and failures.are_too_many and kind in self._needed
        }

    @property
    def reason(self) -> str:
        """Why blocks fail; empty when they do not."""
        if self.is_unhealthy:
            return self._failures[ANY_KIND].reason
        worst = max(self._failures.values(), key=lambda failures: failures.count, default=None)
        return worst.reason if worst else ""

    def phase(self, block_id: BlockId) -> Phase | None:
        """Return where a block is; None when it has ended."""
        block = self._blocks.get(block_id)
        return block.phase if block else None

    def kind(self, block_id: BlockId) -> str:
        """Return the kind of a block; empty for any, and for one that has ended."""
        block = self._blocks.get(block_id)
        return block.kind if block else ANY_KIND

    # --- time and load -------------------------------------------------------------------------------------------

    def tick(self, *, now: float) -> list[Effect]:
        """Time passed."""
        return [] if self._stopped else [*self._end_overdue(now), *self._replenish(now)]

    def follow(self, load: Load, *, now: float, idle_time: float | None = None, by_kind: bool = False) -> list[Effect]:
        """Let the number of blocks follow the load: more at once, fewer when they have been idle for `idle_time` seconds.

        With `by_kind` each kind of task has blocks of its own, and one that has none may have the room of an idle one.
        """
        if self._stopped or not self.policy.scales:
            return []
        needs = needed(load, self.policy, by_kind=by_kind)
        if by_kind:
            self._needed = list(needs)
            needs = self._without_pausing(needs, now)
        least = {ANY_KIND: self.policy.least}
        self._wanted = raised(self._wanted, {**least, **needs} if by_kind else needs or least, self.policy.most)
        hurry = bool(left_out(self._wanted, needs))
        idle_time = self.policy.idle_time if idle_time is None else idle_time
        effects: list[Effect] = []
        for block_id, block in list(self._blocks.items()):
            if block.phase is not Phase.ACTIVE or block.managers & load.busy:
                block.idle_since = None
                continue
            block.idle_since = now if block.idle_since is None else block.idle_since
            keep = max(needs.get(block.kind, 0), least.get(block.kind, 0))
            if self._wanted.get(block.kind, 0) > keep and (hurry or now - block.idle_since > idle_time):
                self._wanted[block.kind] -= 1
                effects += self._end(block_id)
                hurry = False
        return [*effects, *self._replenish(now)]

    def scale_out(self, number: int, *, kind: str = ANY_KIND, now: float) -> list[Effect]:
        """So many more blocks, as far as `most` allows."""
        if self._stopped:
            return []
        room = self.policy.most - sum(self._wanted.values())
        self._wanted[kind] = self._wanted.get(kind, 0) + max(min(number, room), 0)
        return self._replenish(now)

    def scale_in(self, number: int = 0, *, block_ids: Collection[str] = (), kind: str | None = None) -> list[Effect]:
        """Give these blocks up and, beyond them, so many of a kind (None for any), those first that have not begun to work."""
        chosen = [block_id for block_id in self._living(kind) if block_id in block_ids]
        rest = [block_id for block_id in self._living(kind) if block_id not in chosen]
        rest.sort(
            key=lambda one: (_GIVEN_UP_FIRST.index(self._blocks[one].phase), self._blocks[one].idle_since is None)
        )
        effects: list[Effect] = []
        for block_id in [*chosen, *rest[: max(number, 0)]]:
            self._want_one_less(self._blocks[block_id].kind, least=0)
            effects += self._end(block_id)
        return effects

    def stop(self) -> list[Effect]:
        """Give every block up, and ask for no more."""
        self._stopped = True
        self._wanted = {}
        return [effect for block_id in self.block_ids for effect in self._end(block_id)]

    # --- the provider --------------------------------------------------------------------------------------------

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
            self._failures_of(block.kind).failed(reason, now)
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
            reason = detail or "The block ended before a manager of it registered."
            self._failures_of(block.kind).failed(reason, now)
            self._doubt(block_id, block.kind)
        if not block.managers:
            del self._blocks[block_id]
        return []

    def ended(self, block_id: BlockId) -> list[Effect]:
        """The block is known to be over."""
        self._blocks.pop(block_id, None)
        return []

    # --- managers ------------------------------------------------------------------------------------------------

    def manager_joined(self, block_id: BlockId, manager_id: ManagerId) -> list[Effect]:
        """A manager of this block registered."""
        back = self._given_up_by_provider.pop(block_id, None)
        if back is not None and not self._stopped:
            self._blocks[block_id] = Block(back)
        block = self._blocks.get(block_id)
        if block is None:
            return []
        block.managers.add(manager_id)
        if block.phase is Phase.ENDING:
            return []
        block.phase = Phase.ACTIVE
        self._failures_of(block.kind).worked()
        return [] if back is None else self._end_surplus(block_id)

    def manager_refused(self, block_id: BlockId, reason: str, *, now: float) -> list[Effect]:
        """A manager of this block is of no use. A block that has no other one has failed."""
        block = self._blocks.get(block_id)
        if block is None or block.managers or block.phase is Phase.ENDING:
            return []
        self._failures_of(block.kind).failed(reason, now)
        return self._end(block_id)

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
        self._failures_of(block.kind).pause(now)
        if self.policy.scales:
            # Whether it is replaced, the load says.
            self._want_one_less(block.kind, least=self.policy.least if block.kind == ANY_KIND else 0)
        return [Cancel(block_id)]

    # --- how -----------------------------------------------------------------------------------------------------

    def _without_pausing(self, needs: dict[str, int], now: float) -> dict[str, int]:
        """Let kinds of which no block works give their room to the others until it is their time again."""
        pausing = {
            kind for kind in self.failing_kinds if not self._living(kind) and now < self._failures[kind].not_before
        }
        over = {kind for kind in self._wanted if kind not in needs and not self._living(kind)} - {ANY_KIND}
        self._wanted = {kind: number for kind, number in self._wanted.items() if kind not in pausing | over}
        return {kind: number for kind, number in needs.items() if kind not in pausing}

    def _doubt(self, block_id: BlockId, kind: str) -> None:
        self._given_up_by_provider[block_id] = kind
        if len(self._given_up_by_provider) > DOUBTS_KEPT:
            del self._given_up_by_provider[next(iter(self._given_up_by_provider))]

    def _failures_of(self, kind: str) -> Failures:
        return self._failures.setdefault(kind, Failures())

    def _living(self, kind: str | None = None) -> list[BlockId]:
        """Return the blocks that are there or on their way, the newest first."""
        return [
            block_id
            for block_id, block in reversed(self._blocks.items())
            if block.phase is not Phase.ENDING and kind in {None, block.kind}
        ]

    def _want_one_less(self, kind: str, *, least: int) -> None:
        self._wanted[kind] = max(self._wanted.get(kind, 0) - 1, least)

    def _replenish(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for kind, number in self._wanted.items():
            missing = number - len(self._living(kind))
            if missing > 0 and now >= self._failures_of(kind).not_before:
                effects += [self._submit(kind) for _ in range(min(missing, self.policy.most - self.count))]
        return effects

    def _submit(self, kind: str) -> Submit:
        block_id = BlockId(str(self._next_number))
        self._next_number += 1
        self._blocks[block_id] = Block(kind)
        return Submit(block_id, kind)

    def _end(self, block_id: BlockId) -> list[Effect]:
        block = self._blocks[block_id]
        was, block.phase = block.phase, Phase.ENDING
        # One that is being submitted is cancelled when the provider has named it.
        return [] if was in {Phase.SUBMITTING, Phase.ENDING} else [Cancel(block_id)]

    def _end_surplus(self, back: BlockId) -> list[Effect]:
        """A block came back that was thought to have ended: one that was asked for in its place is not needed."""
        kind = self._blocks[back].kind
        living = self._living(kind)
        if len(living) <= self._wanted.get(kind, 0) and self.count <= self.policy.most:
            return []
        waiting = [block_id for block_id in living if self._blocks[block_id].phase is not Phase.ACTIVE]
        return self._end(waiting[0] if waiting else back)

    def _end_overdue(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for block_id, block in list(self._blocks.items()):
            since = block.running_since
            if block.phase is Phase.STARTING and since is not None and now - since > self.policy.start_timeout:
                effects += self._end(block_id)
                reason = f"No manager registered within {self.policy.start_timeout:g} s."
                self._failures_of(block.kind).failed(reason, now)
        return effects
