"""Tasks of one endpoint on their way from the store to their leases. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import (
    Commit,
    Effect,
    ListOpen,
    LoadOffers,
    SendTasks,
)
from funcx_core.forwarder.outcomes import cancelled
from funcx_core.forwarder.records import Limits, Place, Record, Session
from funcx_core.forwarder.turns import LEAST_SHARE, Lane, Turns
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import (
    Task,
    TaskResult,
    TaskState,
)

REMEMBERED: Final = 16_384
FIRST_PAYLOAD_GUESS: Final = 65_536

TERMINAL_STATES: Final = (TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED)
"""The same as `TERMINAL`, as a tuple: found by identity, while a set calls the hash function of the enum."""

PENDING, LEASED, ENDING = Place.PENDING, Place.LEASED, Place.ENDING


class PendingTasks:
    """What `EndpointLeases` knows, and how it comes to know of tasks and sends them."""

    def __init__(self, endpoint_id: EndpointId, limits: Limits, counters: Counters) -> None:
        self.endpoint_id = endpoint_id
        self.session: Session | None = None
        self.leased = 0
        self._limits = limits
        self._counters = counters
        self._known: dict[TaskId, Record] = {}
        self._turns = Turns()
        self._pending_count = 0
        self._pending_bytes = 0
        self._requeued: deque[Record] = deque()
        self._uncommitted_bytes = 0
        self._more = False
        self._missed = False
        self._has_looked = False  # into the store, since there may be tasks in it that nobody told of
        self._listing = 0
        self._loading = False
        self._reading = 0
        self._payload_guess = float(FIRST_PAYLOAD_GUESS)
        # Tasks that ended while they may also be in an answer of the store, or in a hand-over, that is still on its way.
        self._ended: dict[TaskId, None] = {}

    # --- tasks arrive ------------------------------------------------------------------------------------------

    def submitted(self, offers: Sequence[Offer]) -> list[Effect]:
        """A web service committed tasks."""
        if self.session is None:
            return []  # They are read from the store when the endpoint registers.
        if self._more and not self._may_overtake(offers):
            self._missed = True  # Older ones wait in the store: these are read after them.
            return []
        return [*self._commit(self._admit(offers, from_store=False)), *self.deal()]

    def _may_overtake(self, offers: Sequence[Offer]) -> bool:
        """Whether what waits in the store is most likely others', so that these need not wait for it to be read."""
        if not self._has_looked or not offers:
            return False
        lane = self._lane_of(offers[0])  # What is submitted together is one owner's, with the same options.
        return not lane.is_behind and self._turns.is_small(lane)

    def _lane_of(self, offer: Offer) -> Lane:
        options = offer.task.options
        return self._turns.lane(offer.owner_id, 0 if options is None else options.priority)

    def more(self) -> list[Effect]:
        """The store may have open tasks that are not known here."""
        if self.session is None:
            return []
        self._more = self._missed = True
        self._has_looked = False
        return self.deal()

    def sweep(self) -> list[Effect]:
        """Look for tasks that were committed but never handed over, unless there is enough to do."""
        if self._listing or self._loading or self._more or not self._has_room_for_a_page():
            return []
        return [self._list_open()]

    def listed(self, task_ids: Sequence[TaskId]) -> list[Effect]:
        """The store's answer to `ListOpen`."""
        at_most, self._listing = self._listing, 0
        self._has_looked = True
        self._reading -= 1
        page = self._page_size()
        unknown = [task_id for task_id in task_ids if task_id not in self._known and task_id not in self._ended]
        whole = len(task_ids) < at_most and len(unknown) <= page
        self._more, self._missed = self._missed or not whole, False
        if not self._more:
            self._turns.caught_up()
        if unknown and self.session is not None and not self._loading:
            return [self._load(unknown[:page])]
        self._more = self._more or bool(unknown)
        self._stop_remembering()
        return self.deal()

    def loaded(self, asked: Sequence[TaskId], offers: Sequence[Offer]) -> list[Effect]:
        """The store's answer to `LoadOffers`."""
        self._loading = False
        self._reading -= 1
        ended: list[TaskResult] = []
        again: list[Record] = []
        new: list[Offer] = []
        for offer in offers:
            record = self._known.get(offer.task.task_id)
            if record is None:
                new.append(offer)
            elif record.place is Place.REQUEUED:
                record.attempt = offer.task.attempt
                record.task = offer.task
                again.append(record)
        self._learn_payload_size(offers)
        found = {offer.task.task_id for offer in offers}
        for task_id in asked:
            gone = self._known.get(task_id)
            if gone is not None and gone.place is Place.REQUEUED and task_id not in found:
                del self._known[task_id]  # It ended in the store meanwhile.
        for record in reversed(again):
            self._make_pending(record, first=True)
        ended += self._admit(new, from_store=True)
        self._stop_remembering()
        return [*self._commit(ended), *self.deal()]

    def _admit(self, offers: Iterable[Offer], *, from_store: bool) -> list[TaskResult]:
        """Make unknown tasks pending, as far as there is room; return outcomes of those that are to be cancelled."""
        known, ended_before = self._known, self._ended
        lane, owner_id, options = None, None, None
        limits = self._limits
        ended = []
        count, size = self._pending_count, self._pending_bytes
        for offer in offers:
            task = offer.task
            if task.task_id in known or task.task_id in ended_before:
                continue
            if offer.cancelling:
                record = known[task.task_id] = Record(offer, Place.REQUEUED, from_store=from_store)
                ended.append(self._end(record, cancelled(record)))
                continue
            # Mostly what is offered together is one owner's, with the same options.
            if lane is None or offer.owner_id != owner_id or task.options is not options:
                owner_id, options = offer.owner_id, task.options
                lane = self._lane_of(offer)
            is_full = count >= limits.pending_tasks or size >= limits.pending_bytes
            if is_full and not from_store and not (self._turns.is_small(lane) and size < 2 * limits.pending_bytes):
                self._more = lane.is_behind = True
                continue
            record = known[task.task_id] = Record(offer, PENDING, from_store=from_store)
            lane.pending.append(record)
            count += 1
            size += len(task.payload)
        self._pending_count, self._pending_bytes = count, size
        return ended

    def _make_pending(self, record: Record, *, first: bool) -> None:
        assert record.task is not None  # noqa: S101 - callers have just set it
        record.place = PENDING
        self._pending_count += 1
        self._pending_bytes += len(record.task.payload)
        self._turns.put(record, first=first)

    def _no_longer_pending(self, record: Record) -> None:
        """Its entry in the queue is skipped later, when it comes up."""
        assert record.task is not None  # noqa: S101 - pending records have their payload
        self._pending_count -= 1
        self._pending_bytes -= len(record.task.payload)
        record.task = None
        if len(self._turns) > 2 * self._pending_count + 1000:
            self._turns.compact()

    # --- reading the store ---------------------------------------------------------------------------------------

    def _page_size(self) -> int:
        return max(1, min(self._limits.page_tasks, int(self._limits.page_bytes / max(self._payload_guess, 1.0))))

    def _learn_payload_size(self, offers: Sequence[Offer]) -> None:
        if offers:
            mean = sum(len(offer.task.payload) for offer in offers) / len(offers)
            # Upwards at once, because a page of large payloads is what must not be too long.
            self._payload_guess = max(mean, (self._payload_guess + mean) / 2)

    def _has_room_for_a_page(self) -> bool:
        page = self._page_size()
        return self._pending_count <= page // 2 and self._pending_bytes <= self._limits.pending_bytes // 2

    def _list_open(self) -> Effect:
        self._listing = len(self._known) + self._page_size() + 1
        self._reading += 1
        return ListOpen(self.endpoint_id, self._listing)

    def _load(self, task_ids: list[TaskId]) -> Effect:
        self._loading = True
        self._reading += 1
        return LoadOffers(self.endpoint_id, task_ids)

    def reading_began(self) -> None:
        """An answer of the store about this endpoint is awaited: tasks that end from now on must be remembered."""
        self._reading += 1

    def reading_ended(self) -> None:
        """That answer was handled."""
        self._reading -= 1
        self._stop_remembering()

    def _stop_remembering(self) -> None:
        while len(self._ended) > REMEMBERED and not self._reading:
            del self._ended[next(iter(self._ended))]

    def _refill(self) -> list[Effect]:
        """Read what is needed next: payloads of requeued tasks before new tasks."""
        if self._loading:
            return []
        if self._requeued and self._pending_bytes <= self._limits.pending_bytes:
            page: list[TaskId] = []
            # Even if much is pending: that may be somebody else's.
            size = self._page_size() if self._has_room_for_a_page() else min(LEAST_SHARE, self._page_size())
            while self._requeued and len(page) < size:
                record = self._requeued.popleft()
                if record.place is Place.REQUEUED:
                    page.append(record.task_id)
            if page:
                return [self._load(page)]
        if self._more and not self._listing and self._has_room_for_a_page():
            return [self._list_open()]
        return []

    # --- leases go out ---------------------------------------------------------------------------------------------

    def deal(self) -> list[Effect]:
        """Lease pending tasks as far as the window allows, and read what comes next."""
        session = self.session
        if session is None or session.tasks_route is None:
            return []
        if self._uncommitted_bytes > self._limits.uncommitted_bytes:
            return []  # The store does not keep up: results must not pile up here.
        room = session.window - self.leased
        effects: list[Effect] = []
        while room > 0 and self._pending_count:
            effects.append(self._send(session, tasks := self._take_batch(room)))
            room -= len(tasks)
        if self._pending_count and (share := self._turns.small_share(session.window)):
            while tasks := self._take_batch(LEAST_SHARE, share):
                effects.append(self._send(session, tasks))
        if self._more or self._requeued:
            effects += self._refill()
        return effects

    def _send(self, session: Session, tasks: list[Task]) -> Effect:
        assert session.tasks_route is not None  # noqa: S101 - nothing is dealt before it is attached
        self.leased += len(tasks)
        self._counters.leases_sent += len(tasks)
        functions = session.functions.to_send([task.function_id for task in tasks])
        return SendTasks(self.endpoint_id, session.tasks_route, session.number, tasks, functions)

    def _take_batch(self, room: int, share: int | None = None) -> list[Task]:
        """Take tasks for one message, in the order of the turns; with `share` only of lanes that have fewer leases."""
        at_most = min(room, self._limits.batch_tasks)
        space = self._limits.batch_bytes
        tasks: list[Task] = []
        for lane in self._turns.order(share):
            record = lane.pending[0]
            task = record.task
            assert task is not None  # noqa: S101 - pending records have their payload
            size = len(task.payload)
            if size > space and tasks:
                break
            lane.pending.popleft()
            lane.leased += 1
            space -= size
            record.place = LEASED
            record.task = None
            tasks.append(task)
            if len(tasks) >= at_most:
                break
        self._pending_count -= len(tasks)
        self._pending_bytes -= self._limits.batch_bytes - space
        return tasks

    def _count_leased(self, record: Record, number: int) -> None:
        self.leased += number
        self._turns.leased(record, number)

    # --- decisions made here -----------------------------------------------------------------------------------------

    def _commit(self, results: list[TaskResult], *, acknowledge: bool = False) -> list[Effect]:
        """End tasks by a decision made here.

        Unlike a result, which its endpoint keeps, a decision that is not committed is forgotten with this process. So it
        is published after the commit.
        """
        return [Commit(self.endpoint_id, results, acknowledge)] if results else []

    def _end(self, record: Record, result: TaskResult) -> TaskResult:
        """Decide the outcome of a task, wherever it is."""
        record.decided_here = True
        if record.place is LEASED:
            self._count_leased(record, -1)
        elif record.place is PENDING:
            self._no_longer_pending(record)
        record.place = ENDING
        return result
