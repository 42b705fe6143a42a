"""Who gets which waiting task when it matters whose or what kind of task it is. Pure.

Theory of operation. `dispatch.deal` serves one queue of like tasks; this is for everything else. Owners are served in the order of
their clocks, one task at a time, each with the first of its lanes for which there is room. If the lane that is first in an
owner's order fits nowhere at present, but will when some manager has less to do, then that manager is *reserved*: it is given
nothing else until the lane's first task fits. So large tasks cannot be overtaken for ever by small ones that take every slot as it
becomes free.

A manager whose block ends soon is given no task that would not be done by then: judged by the task's walltime, else by how long
its function took lately. It waits for another manager, and has lost no attempt.

With `hard` routing a manager runs tasks of one container at a time, and is given those of another one when it has nothing
left to do; with `soft` routing it runs any that its workers can be dealt for.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from enum import Enum
from typing import Final

from funcx_endpoint.interchange.backlog import Account, Backlog, Lane
from funcx_endpoint.interchange.dispatch import AHEAD, PREFETCH_LIMIT, SMALLEST_COST, RunTimes
from funcx_endpoint.interchange.records import Held, ManagerRecord

LEAST_TIME: Final = 5.0
"""Seconds before the end of a block in which nothing is begun there, and that any task is given beyond its expected time."""
LEAST_SHARE: Final = 0.25
"""Of a short block it is no more than this, or nothing would ever be begun in it; its manager retires before the end anyway."""


class Fit(Enum):
    """Whether a manager may be given a task."""

    NOW = "now"
    LATER = "later"
    """When it has less to do."""
    NEVER = "never"


class Placing:
    """One round: gives managers as much as they may be given now."""

    def __init__(
        self,
        backlog: Backlog,
        managers: Iterable[ManagerRecord],
        run_times: RunTimes,
        *,
        now: float,
        is_hard: bool = False,
        most_ahead: int | None = None,
    ) -> None:
        self._backlog = backlog
        self._run_times = run_times
        self._now = now
        self._is_hard = is_hard
        self._most_ahead = most_ahead
        self._reserved = [manager for manager in managers if manager.reserved_for is not None]
        self._managers = sorted(
            (manager for manager in managers if manager.is_open),
            key=lambda manager: manager.occupied / manager.capacity,
        )
        self._dealt: dict[int, tuple[ManagerRecord, list[Held]]] = {}

    def deal(self) -> list[tuple[ManagerRecord, list[Held]]]:
        """Take tasks from the backlog and lease them to the managers."""
        self._drop_stale_reservations()
        self._fill_idle()
        self._prefetch()
        return list(self._dealt.values())

    def _drop_stale_reservations(self) -> None:
        """A manager that is gone, held or about to end is kept free for nobody."""
        for manager in self._reserved:
            lane = manager.reserved_for
            if lane is None:
                continue
            head = lane.head()
            if head is None or not manager.is_open or self._fit(manager, lane, head) is Fit.NEVER:
                lane.release()

    # --- one task for each idle slot -------------------------------------------------------------------------------

    def _fill_idle(self) -> None:
        free = [manager for manager in self._managers if manager.occupied < manager.capacity]
        turns = [(account.clock, number, account) for number, account in enumerate(self._backlog.turns())]
        heapq.heapify(turns)
        while free and turns:
            _, number, account = heapq.heappop(turns)
            if self._place_one_of(account, free, alone=not turns):
                heapq.heappush(turns, (account.clock, number, account))
                free = [manager for manager in free if manager.occupied < manager.capacity]

    def _place_one_of(self, account: Account, free: list[ManagerRecord], *, alone: bool) -> bool:
        """Lease the next task of an owner, or as many alike as a manager takes if nobody else waits. Whether there was one."""
        is_blocked = False
        for lane in account.first_lanes():
            head = lane.head()
            assert head is not None  # noqa: S101 - lanes without a task are not named
            candidates = free if lane.reserved is None else [lane.reserved]
            manager = next((one for one in candidates if self._fit(one, lane, head) is Fit.NOW), None)
            if manager is not None:
                lane.release()
                self._lease(manager, lane, account, most=manager.capacity if alone else 1)
                return True
            is_blocked = is_blocked or self._reserve(lane, head)
        return False

    def _reserve(self, lane: Lane, head: Held) -> bool:
        """Keep free the manager on which the first task of a lane will fit soonest; whether there is one, needed or not."""
        if lane.reserved is not None:
            return True
        later = [one for one in self._managers if self._fit(one, lane, head) is Fit.LATER]
        if not later:
            return False
        # A task of one slot needs none: sooner or later it is its owner's turn, unless all run tasks of other containers.
        if lane.is_light or any(self._is_like(one, lane) for one in later):
            return True
        unreserved = [one for one in later if one.reserved_for is None]
        if unreserved:
            lane.reserved = min(unreserved, key=lambda one: one.occupied + self._width(one, lane) - one.capacity)
            lane.reserved.reserved_for = lane
        return True

    def _is_like(self, manager: ManagerRecord, lane: Lane) -> bool:
        """Whether any slot that becomes free on the manager can be given to the lane."""
        if manager.reserved_for is not None or self._width(manager, lane) > 1:
            return False
        return not self._is_hard or manager.container == lane.shape.container

    def _lease(self, manager: ManagerRecord, lane: Lane, account: Account, *, most: int) -> None:
        queue, function_id = lane.queue, lane.queue[0].task.function_id
        width = self._width(manager, lane)
        one_by_one = lane.shape.duration > 0 and manager.ends_at < math.inf
        room = min(most, (manager.capacity - manager.occupied) // width)
        taken: list[Held] = []
        while queue and len(taken) < room:
            held = queue[0]
            if not held.is_over:
                if taken and (held.task.function_id != function_id or one_by_one):
                    break
                taken.append(held)
            queue.popleft()
        self._give(manager, account, taken, width)

    def _give(self, manager: ManagerRecord, account: Account, taken: list[Held], width: int) -> None:
        """Put tasks of one function on a manager's account and on their owner's."""
        function_id = taken[0].task.function_id
        for held in taken:
            held.manager = manager
            held.width = width
        manager.take(function_id, len(taken))
        manager.extra += (width - 1) * len(taken)
        options = taken[0].task.options
        manager.container = taken[0].container or ("" if options is None else options.container_id or "")
        self._backlog.lease(account, taken, self._run_times.expected(function_id))
        self._dealt.setdefault(id(manager), (manager, []))[1].extend(taken)

    # --- whether it fits ---------------------------------------------------------------------------------------------

    def _width(self, manager: ManagerRecord, lane: Lane) -> int:
        return 1 if lane.is_light and manager.node.nodes == 1 else manager.width(lane.shape)

    def _fit(self, manager: ManagerRecord, lane: Lane, head: Held) -> Fit:
        if manager.ends_at < math.inf and not self._ends_in_time(manager, head):
            return Fit.NEVER
        container = lane.shape.container
        if manager.bound is not None and manager.bound != container:
            return Fit.NEVER
        width = self._width(manager, lane)
        if width > manager.capacity:
            return Fit.NEVER
        if manager.reserved_for is not None and manager.reserved_for is not lane:
            return Fit.LATER
        if self._is_hard and manager.leased and manager.container != container:
            return Fit.LATER
        return Fit.NOW if manager.occupied + width <= manager.capacity else Fit.LATER

    def _ends_in_time(self, manager: ManagerRecord, head: Held) -> bool:
        left = manager.ends_at - self._now
        options = head.task.options
        if options is not None and options.walltime is not None:
            return options.walltime <= left
        expected = self._run_times.expected(head.task.function_id)
        longest = manager.node.seconds
        if longest is not None:
            longest = min(longest, max(one.lasts for one in self._managers))
        if expected is None or (longest is not None and expected + LEAST_TIME > longest):
            expected = 0.0  # Not known, or it would never fit: then it is tried while there is time at all.
        return expected + min(LEAST_TIME, LEAST_SHARE * manager.lasts) <= left

    # --- ahead of the workers ----------------------------------------------------------------------------------------

    def _prefetch(self) -> None:
        # Where a task takes several slots, what waits would be run in those that it keeps idle.
        rooms = [manager for manager in self._managers if manager.reserved_for is None and not manager.extra]
        slots = sum(manager.capacity for manager in rooms)
        turns = [
            (account.clock, number, account)
            for number, account in enumerate(self._backlog.turns())
            if self._first_short(account) is not None
        ]
        if not slots or not turns:
            return
        heapq.heapify(turns)
        waiting = self._backlog.count()
        for manager in rooms:
            self._fill_ahead(manager, turns, math.ceil(waiting * manager.capacity / slots))

    def _first_short(self, account: Account) -> tuple[Lane, float] | None:
        """Return an owner's next lane and the expected time of its first task, if that is short."""
        lane = next(iter(account.first_lanes()), None)
        if lane is None or lane.reserved is not None or (head := lane.head()) is None:
            return None
        expected = self._run_times.expected(head.task.function_id)
        return None if expected is None or expected > PREFETCH_LIMIT else (lane, expected)

    def _fill_ahead(self, manager: ManagerRecord, turns: list[tuple[float, int, Account]], most: int) -> None:
        """Give a manager short tasks of the owners in `turns`, a heap; those whose next task may not run there are passed over."""
        work = self._run_times.work(manager)
        passed: list[tuple[float, int, Account]] = []
        while most > 0 and turns:
            _, number, account = turn = heapq.heappop(turns)
            found = self._first_short(account)
            if found is None:
                continue
            lane, expected = found
            if not self._may_wait(manager, lane):
                passed.append(turn)
                continue
            cost = max(expected, SMALLEST_COST)
            room = min(most, room_ahead(manager, cost, work, self._most_ahead))
            if room <= 0:
                passed.append(turn)
                break
            taken = _take_run(lane, self._at_a_time(manager, lane, room))
            self._give(manager, account, taken, 1)
            heapq.heappush(turns, (account.clock, number, account))
            most -= len(taken)
            work += len(taken) * cost
        for turn in passed:
            heapq.heappush(turns, turn)

    def _may_wait(self, manager: ManagerRecord, lane: Lane) -> bool:
        """Whether the first task of a lane, which takes one slot, may wait at the manager for a worker."""
        head = lane.head()
        if head is None or self._width(manager, lane) > 1 or self._fit(manager, lane, head) is Fit.NEVER:
            return False
        return not self._is_hard or not manager.leased or manager.container == lane.shape.container

    def _at_a_time(self, manager: ManagerRecord, lane: Lane, room: int) -> int:
        if lane.shape.duration and manager.ends_at < math.inf:
            return 1  # The next one may need more time.
        # With several owners the next one may be somebody else's.
        return min(room, manager.capacity) if self._backlog.is_shared else room


def room_ahead(manager: ManagerRecord, cost: float, work: float, most_ahead: int | None) -> int:
    """Return how many more tasks of `cost` seconds a manager may have ahead of its workers, which have `work` seconds to do."""
    number = max(2 * manager.capacity - manager.occupied, math.ceil((AHEAD * manager.capacity - work) / cost))
    if most_ahead is not None:
        number = min(number, manager.capacity + most_ahead - manager.occupied)
    return number


def _take_run(lane: Lane, most: int) -> list[Held]:
    """Take at most `most` tasks at the head that are of one function."""
    queue, function_id = lane.queue, lane.queue[0].task.function_id
    taken: list[Held] = []
    while queue and len(taken) < most:
        held = queue[0]
        if not held.is_over:
            if held.task.function_id != function_id:
                break
            taken.append(held)
        queue.popleft()
    return taken
