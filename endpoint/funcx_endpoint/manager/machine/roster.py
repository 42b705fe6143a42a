"""The lives of the workers: which process is in which slot, of what kind, and when the next one is started. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from funcx_core.protocol.functions import SentFunctions
from funcx_endpoint.manager.containers.kinds import Kinds
from funcx_endpoint.manager.machine.effects import Dismiss, Effect, Spawn
from funcx_endpoint.manager.machine.slots import SENT_FUNCTIONS, Life, Slot
from funcx_endpoint.manager.machine.worker_map import moves

RESPAWN_SECONDS: Final = 0.1
"""Wait after a worker died before it was ready; doubled each time."""
RESPAWN_LONGEST: Final = 10.0
MOST_TRIES: Final = 3
"""Workers of a kind in a row that may die in their container before they are ready."""


class Roster:
    """Who is in the `slots`."""

    def __init__(self, slots: list[Slot], kinds: Kinds) -> None:
        self._slots = slots
        self._kinds = kinds
        self._failures: Counter[str] = Counter()
        for slot in slots:
            slot.kind = kinds.default

    def counts(self) -> dict[str, int]:
        """Return how many workers there are of each kind."""
        return dict(Counter(slot.kind for slot in self._slots))

    def spawn_all(self) -> list[Effect]:
        """Start a worker in every slot."""
        return [self._spawn(slot) for slot in self._slots]

    def spawn_due(self, now: float) -> list[Effect]:
        """Start the workers whose time has come."""
        return [self._spawn(slot) for slot in self._slots if slot.life is Life.DOWN and now >= slot.spawn_at]

    def _spawn(self, slot: Slot) -> Effect:
        slot.life = Life.STARTING
        return Spawn(slot.index, self._kinds.image(slot.kind))

    def deadlines(self, waiting: Mapping[str, int]) -> list[float]:
        """Return when workers are to be started, or have been idle for too long."""
        times = [slot.spawn_at for slot in self._slots if slot.life is Life.DOWN]
        if self._kinds.may_differ:
            times += [self._idle_until(slot) for slot in self._slots if self._is_spare(slot, waiting)]
        return times

    def _idle_until(self, slot: Slot) -> float:
        return slot.since + self._kinds.idle_seconds

    def _is_spare(self, slot: Slot, waiting: Mapping[str, int]) -> bool:
        return slot.is_idle and slot.kind != self._kinds.default and not waiting.get(slot.kind)

    def ready(self, slot: Slot, now: float) -> None:
        """The worker waits for its first chunk."""
        if slot.life is not Life.LEAVING:
            slot.life = Life.READY
        slot.failures = 0
        slot.since = now
        slot.sent = SentFunctions(SENT_FUNCTIONS)
        if not slot.is_moving:
            self._failures.pop(slot.kind, None)

    def died(self, slot: Slot, now: float) -> bool:
        """The worker's process ended; whether no worker of its kind can be started, it seems."""
        has_failed = slot.life is Life.STARTING
        was_of_kind = not slot.is_moving
        slot.life = Life.DOWN
        slot.is_moving = False
        slot.recalled = 0
        slot.failures = slot.failures + 1 if has_failed else 0
        slot.spawn_at = now
        if not has_failed:
            return False
        slot.spawn_at += min(RESPAWN_LONGEST, RESPAWN_SECONDS * 2 ** (slot.failures - 1))
        if not was_of_kind or self._kinds.image(slot.kind) is None:
            return False
        self._failures[slot.kind] += 1
        return self._failures[slot.kind] >= MOST_TRIES

    def give_up(self, kind: str, now: float) -> list[Effect]:
        """No worker of this kind can be started: its slots are for others now."""
        del self._failures[kind]
        if kind == self._kinds.default:
            return []
        return [
            effect for slot in self._slots if slot.kind == kind for effect in self._move(slot, self._kinds.default, now)
        ]

    def rebalance(self, waiting: Mapping[str, int], now: float) -> list[Effect]:
        """Let workers change their kind as the tasks want it, and give up those that nobody needs.

        Args:
            waiting: how many tasks wait for each kind, see `worker_map.moves`.
            now: monotonic seconds.
        """
        effects: list[Effect] = []
        for slot, kind in moves(self._slots, waiting, now):
            effects += self._move(slot, kind, now)
        for slot in self._slots:
            if self._is_spare(slot, waiting) and now >= self._idle_until(slot):
                effects += self._move(slot, self._kinds.default, now)
            elif slot.is_moving and slot.is_idle:
                effects.append(_dismiss(slot))
        return effects

    def _move(self, slot: Slot, kind: str, now: float) -> list[Effect]:
        slot.kind, slot.kind_since = kind, now
        if slot.life is Life.DOWN:
            slot.failures = 0
            return [self._spawn(slot)]
        slot.is_moving = True
        # One that runs a task comes here again when it has ended.
        return [] if slot.dealt or slot.life is Life.LEAVING else [_dismiss(slot)]


def _dismiss(slot: Slot) -> Effect:
    slot.life = Life.LEAVING
    return Dismiss(slot.index)
