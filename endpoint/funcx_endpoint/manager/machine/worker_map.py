"""How many workers there should be of each kind, and which of them change for that. Pure.

The kind of a worker is what it runs in: the location of its container, or nothing. Tasks of a kind run on workers of that kind
only. Every kind with tasks gets one worker at least, the rest is shared out in proportion to the tasks; a worker changes its
kind when it has nothing to do for its own, or when its kind has more than its share.

Starting a container takes its time. So a worker is not taken from tasks that wait for it before it has served them for
`TURN_SECONDS`, and not for a difference of one, unless the other kind has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from funcx_endpoint.manager.machine.slots import Life, Slot

TURN_SECONDS: Final = 10.0
_BEFORE: Final = {Life.DOWN: 0, Life.STARTING: 1, Life.READY: 2, Life.LEAVING: 3}


class Move(NamedTuple):
    """This worker is to be of that kind from now on."""

    slot: Slot
    kind: str


def share_out(tasks: Mapping[str, int], workers: int) -> dict[str, int]:
    """Return how many workers each kind gets: one at least for each that has tasks, the rest in proportion.

    Args:
        tasks: how many each kind has. With more kinds than workers, those named first get one.
        workers: how many there are.
    """
    kinds = [kind for kind, count in tasks.items() if count > 0][:workers]
    if not kinds:
        return {}
    rest, total = workers - len(kinds), sum(tasks[kind] for kind in kinds)
    exact = {kind: rest * tasks[kind] / total for kind in kinds}
    shares = {kind: 1 + int(exact[kind]) for kind in kinds}
    by_remainder = sorted(kinds, key=lambda kind: int(exact[kind]) - exact[kind])
    for kind in by_remainder[: workers - sum(shares.values())]:
        shares[kind] += 1
    return shares


def moves(slots: Sequence[Slot], waiting: Mapping[str, int], now: float) -> list[Move]:
    """Return which workers change their kind.

    Args:
        slots: the workers.
        waiting: how many tasks of each kind wait, those first that were served least lately.
        now: monotonic seconds.
    """
    tasks = {kind: count for kind, count in waiting.items() if count}
    if all(slot.kind in tasks for slot in slots) and len(tasks) <= 1:
        return []
    for slot in slots:
        if slot.dealt:
            kind = next(iter(slot.dealt.values())).kind
            tasks[kind] = tasks.get(kind, 0) + len(slot.dealt)
    wanted = {kind: min(share, tasks[kind]) for kind, share in share_out(tasks, len(slots)).items()}
    shares = _Shares(waiting, wanted, Counter(slot.kind for slot in slots))
    found: list[Move] = []
    taken: set[int] = set()
    for kind in sorted((kind for kind in wanted if waiting.get(kind)), key=lambda kind: shares.have[kind] > 0):
        while shares.have[kind] < wanted[kind]:
            free = [slot for slot in slots if slot.index not in taken and shares.may_go(slot, kind, now)]
            if not free:
                break
            chosen = min(free, key=lambda slot: (bool(slot.dealt), _BEFORE[slot.life], slot.since))
            shares.have[chosen.kind] -= 1
            shares.have[kind] += 1
            found.append(Move(chosen, kind))
            taken.add(chosen.index)
    return found


class _Shares(NamedTuple):
    waiting: Mapping[str, int]
    wanted: Mapping[str, int]
    have: Counter[str]

    def may_go(self, slot: Slot, kind: str, now: float) -> bool:
        surplus = self.have[slot.kind] - self.wanted.get(slot.kind, 0)
        if slot.kind == kind or surplus <= 0:
            return False
        if not self.waiting.get(slot.kind):
            return True  # Nobody waits for it.
        is_worth_it = surplus > 1 or not self.have[kind]
        return is_worth_it and now - slot.kind_since >= TURN_SECONDS


class Sized(Protocol):
    """A queue of the standard library, or something like it."""

    def qsize(self) -> int:
        """Return how many are in it."""


def naive_scheduler(  # noqa: PLR0917 - as it was documented
    task_qs: Mapping[str, Sized],
    outstanding_task_count: Mapping[str, int],
    max_workers: int,
    old_worker_map: Mapping[str, int],
    to_die_list: Mapping[str, int] | Iterable[str],
    logger: Any,
) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many workers of each type to end, and how many to start.

    There is at least one worker for each queue with tasks; the others are shared out in proportion.

    Args:
        task_qs: a queue of tasks for each type.
        outstanding_task_count: how many tasks of each type have not ended.
        max_workers: how many workers there may be.
        old_worker_map: how many there are of each type.
        to_die_list: how many of each type are ending already, or their types one by one.
        logger: where the result is noted, at DEBUG level; None for nowhere.
    """
    types = {*task_qs, *outstanding_task_count}
    tasks = {
        each: max(outstanding_task_count.get(each, 0), task_qs[each].qsize() if each in task_qs else 0)
        for each in types
    }
    wanted = share_out(dict(sorted(tasks.items(), key=lambda pair: (-pair[1], pair[0]))), max_workers)
    have = Counter(old_worker_map) - Counter(to_die_list)
    kill = {each: have[each] - wanted.get(each, 0) for each in have if have[each] > wanted.get(each, 0)}
    create = {each: count - have[each] for each, count in wanted.items() if count > have[each]}
    if logger is not None:
        logger.debug("of %s tasks and %s workers: end %s, start %s", tasks, dict(old_worker_map), kill, create)
    return kill, create
