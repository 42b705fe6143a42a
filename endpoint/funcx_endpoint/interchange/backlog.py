"""The waiting tasks of an endpoint, and whose turn it is. Pure.

Theory of operation. Tasks of one owner, one priority and one shape are alike to the scheduler: they wait in one `Lane`, first in,
first out. Between owners the *fair share* decides: each `Account` has a clock that says how many seconds of work it was given, and
the owner with the lowest clock is next. A task moves its owner's clock on by its expected time when it is leased, and by the rest
of the truth when it has ended. Somebody who comes, or comes back, starts at the clock of who was served last: having been idle
earns nothing, and having worked alone costs nothing. Of one owner, the lane with the highest priority goes first, and of equal ones
the one whose first task came first.

An endpoint with one owner keeps no clocks. While it also has but one lane, of tasks that ask for nothing, that lane's queue
is all there is (`only`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Final

from funcx_endpoint.interchange.records import Held
from funcx_endpoint.shapes import PLAIN, Shape, shape_of

if TYPE_CHECKING:
    from funcx_endpoint.interchange.records import ManagerRecord

EXAMINED: Final = 32
"""Lanes of one owner that are looked at for one decision."""
UNKNOWN_SECONDS: Final = 1.0
"""What a task is charged for at first if nothing is known of its function."""

LaneKey = tuple[int, Shape]
PLAIN_LANE: Final[LaneKey] = (0, PLAIN)


class Lane:
    """Tasks of one owner, one priority and one shape, in order. `reserved`: the manager that is kept free for its first task."""

    __slots__ = ("is_light", "owner", "priority", "queue", "reserved", "shape")

    def __init__(self, owner: str, priority: int, shape: Shape) -> None:
        self.owner = owner
        self.priority = priority
        self.shape = shape
        self.is_light = shape.is_light
        self.queue: deque[Held] = deque()
        self.reserved: ManagerRecord | None = None

    def head(self) -> Held | None:
        """Return the first task that still waits, which is then at the head of the queue."""
        queue = self.queue
        while queue:
            if not queue[0].is_over:
                return queue[0]
            queue.popleft()
        return None

    def release(self) -> None:
        """Keep no manager free any more."""
        if self.reserved is not None:
            self.reserved.reserved_for = None
            self.reserved = None


class Account:
    """One owner's lanes by priority, and the clock of its share."""

    __slots__ = ("clock", "lanes", "owner")

    def __init__(self, owner: str, clock: float) -> None:
        self.owner = owner
        self.clock = clock
        self.lanes: dict[LaneKey, Lane] = {}

    def lane(self, key: LaneKey) -> Lane:
        """Return a lane, new or not."""
        found = self.lanes.get(key)
        if found is None:
            found = self.lanes[key] = Lane(self.owner, *key)
        return found

    def first_lanes(self) -> list[Lane]:
        """Return the lanes that may be served now, in the order in which they should be. Empty lanes go."""
        lanes = list(self.lanes.values())
        if len(lanes) == 1 and lanes[0].head() is not None:
            return lanes
        for key in [key for key, lane in self.lanes.items() if lane.head() is None]:
            self.lanes.pop(key).release()
        lanes = sorted(self.lanes.values(), key=lambda lane: (-lane.priority, lane.queue[0].arrived))
        return lanes[:EXAMINED]


class Backlog:
    """All lanes of an endpoint."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._clock = 0.0

    @property
    def is_shared(self) -> bool:
        """Whether there is more than one owner, so that clocks matter."""
        return len(self._accounts) > 1

    @property
    def only(self) -> deque[Held] | None:
        """The one queue, if all tasks are one owner's, of one priority, and light; None otherwise."""
        if len(self._accounts) != 1:
            return None
        (lanes,) = [account.lanes for account in self._accounts.values()]
        if len(lanes) != 1:
            return None
        (lane,) = lanes.values()
        return lane.queue if lane.is_light and lane.reserved is None else None

    def __bool__(self) -> bool:
        for account in self._accounts.values():
            for lane in account.lanes.values():
                if lane.queue:
                    return True
        return False

    def __iter__(self) -> Iterator[Held]:
        """All entries, lane by lane; each lane's oldest first. Some may be over."""
        return chain.from_iterable(lane.queue for lane in self.lanes())

    def lanes(self) -> list[Lane]:
        """All lanes."""
        return [lane for account in self._accounts.values() for lane in account.lanes.values()]

    def count(self) -> int:
        """Return how many tasks wait, at most."""
        return sum(len(lane.queue) for lane in self.lanes())

    # --- tasks come and go ---------------------------------------------------------------------------------------

    def queue_for(self, held: Held) -> deque[Held]:
        """Return the queue at whose end this task waits."""
        return self._lane(held).queue

    def put_back(self, tasks: list[Held]) -> None:
        """These came back unstarted: they wait before the others, in this order."""
        for held in reversed(tasks):
            lane = self._lane(held)
            lane.queue.appendleft(held)
            if held.charged:
                self._accounts[lane.owner].clock -= held.charged
                held.charged = 0.0
            held.width = 1

    def clear(self) -> None:
        """Nothing waits any more."""
        for lane in self.lanes():
            lane.release()
        for account in self._accounts.values():
            account.lanes.clear()

    def _account(self, owner: str) -> Account:
        account = self._accounts.get(owner)
        if account is None:
            account = self._accounts[owner] = Account(owner, self._clock)
        elif not account.lanes:
            account.clock = max(account.clock, self._clock)
        return account

    def _lane(self, held: Held) -> Lane:
        task, options = held.task, held.task.options
        key = PLAIN_LANE if options is None else (options.priority, shape_of(options))
        if held.container:
            key = key[0], key[1]._replace(container=held.container)
        return self._account(task.owner).lane(key)

    # --- whose turn it is ------------------------------------------------------------------------------------------

    def turns(self) -> list[Account]:
        """Return the owners with waiting tasks, the next one first."""
        waiting = [account for account in self._accounts.values() if account.lanes]
        if len(waiting) > 1:
            waiting.sort(key=lambda account: account.clock)
        return waiting

    def lease(self, account: Account, helds: list[Held], seconds: float | None) -> None:
        """Charge an owner for tasks that are leased now, `seconds` each (None: unknown)."""
        self._clock = max(self._clock, account.clock)
        if self.is_shared:
            each = UNKNOWN_SECONDS if seconds is None else seconds
            for held in helds:
                held.charged = each * held.width
            account.clock += sum(held.charged for held in helds)

    def ended(self, held: Held, seconds: float) -> None:
        """A task ran for `seconds`: charge its owner for what it was not charged for, or give back what was too much."""
        account = self._accounts.get(held.task.owner)
        if account is not None:
            account.clock += max(seconds, 0.0) * held.width - held.charged

    def forget_idle(self, open_leases: Iterable[Held]) -> None:
        """Forget owners who have nothing here and owe nothing."""
        if not self.is_shared:
            return
        present = {held.task.owner for held in open_leases}
        for owner, account in list(self._accounts.items()):
            if owner not in present and account.clock <= self._clock:
                for lane in account.lanes.values():
                    lane.release()
                del self._accounts[owner]

    def older_than(self, stamp: int) -> Iterator[Held]:
        """Yield the entries that came before `stamp`, lane by lane. Some may be over."""
        for lane in self.lanes():
            yield from takewhile(lambda held: held.arrived <= stamp, lane.queue)
