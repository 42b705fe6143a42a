"""Results that have gone upstream and not yet to the disk: an acknowledgement in time saves them the way there. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from funcx_core.ids import TaskId
from funcx_core.protocol.task import Lease

Key = tuple[TaskId, int]


class Entry(msgspec.Struct, frozen=True):
    """Results that become durable together. `token` is handed back when they are."""

    token: int
    leases: list[Key]
    record: bytes


@dataclass(slots=True)
class _Held:
    token: int
    left: dict[Key, None]
    record: bytes


class HeldResults:
    """Entries in the order in which they came."""

    def __init__(self) -> None:
        self._entries: deque[_Held] = deque()
        self._where: dict[Key, _Held] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, token: int, leases: Iterable[Key], record: bytes) -> None:
        """Hold one more."""
        held = _Held(token, dict.fromkeys(leases), record)
        self._entries.append(held)
        self._where.update(dict.fromkeys(held.left, held))

    def forget(self, leases: Iterable[Lease]) -> list[Lease]:
        """These are acknowledged. Return those that are not held here."""
        others = []
        for lease in leases:
            key = (lease.task_id, lease.attempt)
            held = self._where.pop(key, None)
            if held is None:
                others.append(lease)
            else:
                del held.left[key]
        return others

    def take_done(self) -> list[int]:
        """Let go of the first entries, as far as all of their results are acknowledged, and return their tokens."""
        entries = self._entries
        done = []
        while entries and not entries[0].left:
            done.append(entries.popleft().token)
        return done

    def take(self) -> list[Entry]:
        """Let go of all entries, each with the results that are not acknowledged."""
        taken = [Entry(held.token, list(held.left), held.record) for held in self._entries]
        self._entries.clear()
        self._where.clear()
        return taken
