"""One endpoint's tasks: which are pending, leased or ending. Pure; `state` holds the sessions around it.

Theory of operation. The store has every task; here are only those that must move soon. A task becomes known by a hand-over
from a web service, by a page read from the store, or because its endpoint says at registration that it holds it. It is
then in exactly one `Place` until its outcome is committed, when it is forgotten.

An attempt number belongs to one sending of a task. The first one needs no write, because the row starts with 1. Whenever a
lease comes back, for whatever reason, the number is raised in the store before the task is sent again; so a message
about an earlier attempt can never be mistaken for one about the current attempt.

Payloads are dropped when they are sent: a task that comes back is read from the store again, which is rare, and memory is
bounded by what is pending.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import (
    AppendEvents,
    BeginAttempts,
    Commit,
    Effect,
    ListOpen,
    LoadCancelled,
    LoadExpired,
    LoadOffers,
    Publish,
    RecordTransitions,
    SendAck,
    SendCommand,
    SendTasks,
)
from funcx_core.forwarder.outcomes import by_group, cancelled, expired, lost, unloadable
from funcx_core.forwarder.records import Limits, Place, Record, Session
from funcx_core.ids import EndpointId, FunctionId, TaskId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.endpoint import Cancel, GiveBack
from funcx_core.protocol.handoff import Changed, Ended, Logged, Offer
from funcx_core.protocol.task import (
    EVENT_SEQ_BITS,
    Lease,
    Task,
    TaskEvent,
    TaskResult,
    TaskState,
    Transition,
)

POISON_LIMIT: Final = 3
"""Worker deaths after which a task is taken for the cause, whatever its `retry_on_loss`."""
REMEMBERED: Final = 16_384
FIRST_PAYLOAD_GUESS: Final = 65_536

TERMINAL_STATES: Final = (TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED)
"""The same as `TERMINAL`, as a tuple: found by identity, while a set calls the hash function of the enum."""

PENDING, LEASED, ENDING = Place.PENDING, Place.LEASED, Place.ENDING


class EndpointLeases:
    """The tasks of one endpoint that this forwarder knows. Give it events, perform its effects."""

    def __init__(self, endpoint_id: EndpointId, limits: Limits, counters: Counters) -> None:
        self.endpoint_id = endpoint_id
        self.session: Session | None = None
        self.leased = 0
        self._limits = limits
        self._counters = counters
        self._known: dict[TaskId, Record] = {}
        self._pending: deque[Record] = deque()  # may hold records that are no longer pending
        self._pending_count = 0
        self._pending_bytes = 0
        self._requeued: deque[Record] = deque()
        self._uncommitted_bytes = 0
        self._more = False
        self._missed = False
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
        if self._more:
            self._missed = True  # Older ones wait in the store: these are read after them.
            return []
        return [*self._commit(self._admit(offers, from_store=False)), *self.deal()]

    def more(self) -> list[Effect]:
        """The store may have open tasks that are not known here."""
        if self.session is None:
            return []
        self._more = self._missed = True
        return self.deal()

    def sweep(self) -> list[Effect]:
        """Look for tasks that were committed but never handed over, unless there is enough to do."""
        if self._listing or self._loading or self._more or not self._has_room_for_a_page():
            return []
        return [self._list_open()]

    def listed(self, task_ids: Sequence[TaskId]) -> list[Effect]:
        """The store's answer to `ListOpen`."""
        at_most, self._listing = self._listing, 0
        self._reading -= 1
        page = self._page_size()
        unknown = [task_id for task_id in task_ids if task_id not in self._known and task_id not in self._ended]
        whole = len(task_ids) < at_most and len(unknown) <= page
        self._more, self._missed = self._missed or not whole, False
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
        known, ended_before, pending = self._known, self._ended, self._pending
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
            if not from_store and (count >= limits.pending_tasks or size >= limits.pending_bytes):
                self._more = True
                break
            record = known[task.task_id] = Record(offer, PENDING, from_store=from_store)
            pending.append(record)
            count += 1
            size += len(task.payload)
        self._pending_count, self._pending_bytes = count, size
        return ended

    def _make_pending(self, record: Record, *, first: bool) -> None:
        assert record.task is not None  # noqa: S101 - callers have just set it
        record.place = PENDING
        self._pending_count += 1
        self._pending_bytes += len(record.task.payload)
        if first:
            self._pending.appendleft(record)
        else:
            self._pending.append(record)

    def _no_longer_pending(self, record: Record) -> None:
        """Its entry in the queue is skipped later, when it comes up."""
        assert record.task is not None  # noqa: S101 - pending records have their payload
        self._pending_count -= 1
        self._pending_bytes -= len(record.task.payload)
        record.task = None
        if len(self._pending) > 2 * self._pending_count + 1000:
            self._pending = deque(entry for entry in self._pending if entry.place is PENDING)

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
        if self._requeued and self._has_room_for_a_page():
            page: list[TaskId] = []
            size = self._page_size()
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
            tasks = self._take_batch(room)
            room -= len(tasks)
            self.leased += len(tasks)
            self._counters.leases_sent += len(tasks)
            functions = session.functions.to_send([task.function_id for task in tasks])
            effects.append(SendTasks(self.endpoint_id, session.tasks_route, session.number, tasks, functions))
        if self._more or self._requeued:
            effects += self._refill()
        return effects

    def _take_batch(self, room: int) -> list[Task]:
        pending = self._pending
        at_most = min(room, self._limits.batch_tasks)
        space = self._limits.batch_bytes
        tasks: list[Task] = []
        while pending and len(tasks) < at_most:
            record = pending[0]
            task = record.task
            if record.place is not PENDING or task is None:
                pending.popleft()
                continue
            size = len(task.payload)
            if size > space and tasks:
                break
            pending.popleft()
            space -= size
            record.place = LEASED
            record.task = None
            tasks.append(task)
        self._pending_count -= len(tasks)
        self._pending_bytes -= self._limits.batch_bytes - space
        return tasks

    # --- results ---------------------------------------------------------------------------------------------------

    def results(self, results: Sequence[TaskResult]) -> list[Effect]:
        """The endpoint reports ended attempts: publish at once, commit, acknowledge after the commit."""
        known = self._known
        accepted: list[TaskResult] = []
        late: list[Lease] = []
        ended: list[Ended] = []
        group = None
        size = 0
        for result in results:
            record = known.get(result.task_id)
            if record is None or record.place is not LEASED or record.attempt != result.attempt:
                if not self._is_being_committed(record, result):
                    late.append(result.lease)
                continue
            if result.state not in TERMINAL_STATES:
                self._counters.protocol_errors += 1
                continue
            record.place = ENDING
            size += len(result.value)
            accepted.append(result)
            if record.group_id != group:
                group = record.group_id
                current: list[TaskResult] = []
                ended.append(Ended(record.owner_id, group, current))
            current.append(result)
        self.leased -= len(accepted)
        self._uncommitted_bytes += size
        self._counters.results_accepted += len(accepted)
        self._counters.late_results += len(late)
        effects: list[Effect] = []
        if accepted:
            effects += [Publish(list(ended)), Commit(self.endpoint_id, accepted, acknowledge=True)]
        return [*effects, *self._acknowledge(late), *self.deal()]

    @staticmethod
    def _is_being_committed(record: Record | None, result: TaskResult) -> bool:
        """Whether the same result arrived before: its acknowledgement follows."""
        return record is not None and record.place is ENDING and record.attempt == result.attempt

    def committed(self, commit: Commit) -> list[Effect]:
        """These tasks are over."""
        remember = self._reading > 0
        decided: list[tuple[Record, TaskResult]] = []
        for result in commit.results:
            record = self._known.pop(result.task_id)
            if remember or record.from_store:
                self._ended[result.task_id] = None
            if record.decided_here:
                decided.append((record, result))
        self._stop_remembering()
        effects: list[Effect] = [Publish(list(by_group(decided)))] if decided else []
        if commit.acknowledge:
            self._uncommitted_bytes -= sum(len(result.value) for result in commit.results)
            effects += self._acknowledge([result.lease for result in commit.results])
        return [*effects, *self.deal()]

    def _acknowledge(self, leases: list[Lease]) -> list[Effect]:
        if not leases or self.session is None:
            return []  # The endpoint sends them again when it has registered.
        if self.session.results_route is None:
            self.session.owed_acks += leases  # What it registered as lost may be committed before it is attached.
            return []
        return [SendAck(self.session.results_route, leases)]

    def attach_results(self, route: bytes) -> list[Effect]:
        """The results channel of the session is `route`: send it what is owed."""
        if self.session is None:
            return []
        self.session.results_route = route
        owed, self.session.owed_acks = self.session.owed_acks, []
        return self._acknowledge(owed)

    def _commit(self, results: list[TaskResult], *, acknowledge: bool = False) -> list[Effect]:
        """End tasks by a decision made here.

        Unlike a result, which its endpoint keeps, a decision that is not committed is forgotten with this process. So it
        is published after the commit.
        """
        return [Commit(self.endpoint_id, results, acknowledge)] if results else []

    # --- leases come back --------------------------------------------------------------------------------------------

    def given_back(self, message: GiveBack) -> list[Effect]:
        """The endpoint returns leases."""
        unstarted = self._still_leased(message.unstarted)
        started = self._still_leased(message.lost)
        if message.missing_functions and self.session is not None:
            self.session.functions.forget(record.function_id for record in unstarted)
        settled = [lease for lease in message.lost if not self._is_leased(lease)]
        return [
            *self._return(unstarted),
            *self._lose(started, message.reason, message.details),
            *self._acknowledge(settled),
            *self.deal(),
        ]

    def _is_leased(self, lease: Lease) -> bool:
        record = self._known.get(lease.task_id)
        return record is not None and record.place is LEASED and record.attempt == lease.attempt

    def _still_leased(self, leases: Iterable[Lease]) -> list[Record]:
        distinct = dict.fromkeys(lease.task_id for lease in leases if self._is_leased(lease))
        return [self._known[task_id] for task_id in distinct]

    def _return(self, records: Sequence[Record], acknowledge: Sequence[Lease] = ()) -> list[Effect]:
        """Take leases back. None of their tasks has started, or it may start once more."""
        self._counters.leases_returned += len(records)
        ended = [self._end(record, cancelled(record)) for record in records if record.cancelling]
        again = [record for record in records if not record.cancelling]
        leases = [self._raise_attempt(record) for record in again]
        begin: list[Effect] = [BeginAttempts(self.endpoint_id, leases, list(acknowledge))] if leases else []
        return [*self._commit(ended), *begin]

    def _raise_attempt(self, record: Record) -> Lease:
        record.place = Place.BEGINNING
        record.attempt += 1
        self.leased -= 1
        return Lease(record.task_id, record.attempt)

    def _end(self, record: Record, result: TaskResult) -> TaskResult:
        """Decide the outcome of a task, wherever it is."""
        record.decided_here = True
        if record.place is LEASED:
            self.leased -= 1
        elif record.place is PENDING:
            self._no_longer_pending(record)
        record.place = ENDING
        return result

    def _lose(self, records: Sequence[Record], reason: str, details: dict[str, Any]) -> list[Effect]:
        """Started tasks were lost: run again those that may, fail the others with a typed error."""
        self._counters.tasks_lost += len(records)
        again: list[Record] = []
        ended: list[TaskResult] = []
        for record in records:
            record.losses += 1
            poisoned = reason == "worker_lost" and record.losses > POISON_LIMIT
            if record.cancelling:
                ended.append(self._end(record, cancelled(record)))
            elif record.losses <= record.retry_on_loss and not poisoned:
                again.append(record)
            else:
                ended.append(self._end(record, lost(record, reason, details)))
        acknowledge = [Lease(record.task_id, record.attempt) for record in again]
        return [*self._commit(ended, acknowledge=True), *self._return(again, acknowledge)]

    def attempts_begun(self, begun: BeginAttempts) -> list[Effect]:
        """Raised attempt numbers are on disk: these tasks may be leased again."""
        waiting: list[Transition] = []
        for lease in begun.leases:
            record = self._known.get(lease.task_id)
            if record is None or record.place is not Place.BEGINNING or record.attempt != lease.attempt:
                continue  # It was cancelled meanwhile.
            record.place = Place.REQUEUED
            self._requeued.append(record)
            if record.running:
                record.running = False
                waiting.append(Transition(lease.task_id, lease.attempt, TaskState.WAITING_FOR_EP, 0))
        return [*self._record(waiting), *self._acknowledge(begun.acknowledge), *self.deal()]

    def unloadable(self, session: int, leases: Sequence[Lease], function_ids: Sequence[FunctionId]) -> list[Effect]:
        """These leases could not be sent: their functions have no body anywhere."""
        if self.session is None or self.session.number != session:
            return []
        self.session.functions.forget(function_ids)
        ended = [self._end(record, unloadable(record)) for record in self._still_leased(leases)]
        return [*self._commit(ended), *self.deal()]

    # --- what happens meanwhile ----------------------------------------------------------------------------------------

    def transitions(self, transitions: Sequence[Transition]) -> list[Effect]:
        """Leased tasks reached a state that they stay in for a while."""
        valid: list[Transition] = []
        for transition in transitions:
            record = self._known.get(transition.task_id)
            if transition.state in TERMINAL_STATES or transition.state is TaskState.CANCELLING:
                self._counters.protocol_errors += 1
            elif record is not None and record.place is LEASED and record.attempt == transition.attempt:
                record.running = transition.state is TaskState.RUNNING
                valid.append(transition)
        return self._record(valid)

    def _record(self, transitions: list[Transition]) -> list[Effect]:
        shown = [transition for transition in transitions if not self._known[transition.task_id].cancelling]
        if not shown:
            return []
        changed = [
            Changed(record.owner_id, record.group_id, [StateChange(transition.task_id, transition.state)])
            for transition, record in ((transition, self._known[transition.task_id]) for transition in shown)
        ]
        return [Publish(list(changed)), RecordTransitions(self.endpoint_id, shown)]

    def events(self, events: Sequence[TaskEvent]) -> list[Effect]:
        """Leased tasks printed, showed or reported something."""
        valid: list[TaskEvent] = []
        logged: list[Logged] = []
        for event in events:
            record = self._known.get(event.task_id)
            if record is None or record.place is not LEASED or record.attempt != event.seq >> EVENT_SEQ_BITS:
                continue
            valid.append(event)
            if logged and logged[-1].group_id == record.group_id:
                logged[-1].events.append(event)
            else:
                logged.append(Logged(record.owner_id, record.group_id, [event]))
        return [Publish(list(logged)), AppendEvents(self.endpoint_id, valid)] if valid else []

    # --- cancel --------------------------------------------------------------------------------------------------------

    def cancel(self, task_ids: Sequence[TaskId], *, force: bool) -> list[Effect]:
        """The owner asked to cancel these."""
        unknown = [task_id for task_id in task_ids if task_id not in self._known]
        known = dict.fromkeys(task_id for task_id in task_ids if task_id in self._known)
        effects = self._cancel([self._known[task_id] for task_id in known], force=force)
        if unknown:
            self._reading += 1
            effects.append(LoadCancelled(self.endpoint_id, unknown, force))
        return [*effects, *self.deal()]

    def cancelled_loaded(self, offers: Sequence[Offer], *, force: bool) -> list[Effect]:
        """The store's answer to `LoadCancelled`. What is still unknown is leased to nobody."""
        self._reading -= 1
        known = [offer.task.task_id for offer in offers if offer.task.task_id in self._known]
        effects = self._cancel([self._known[task_id] for task_id in known], force=force)
        ended = []
        for offer in offers:
            task_id = offer.task.task_id
            if task_id not in self._known and task_id not in self._ended:
                record = self._known[task_id] = Record(offer, Place.REQUEUED, from_store=True)
                ended.append(self._end(record, cancelled(record)))
        self._stop_remembering()
        return [*effects, *self._commit(ended), *self.deal()]

    def _cancel(self, records: Sequence[Record], *, force: bool) -> list[Effect]:
        ended: list[TaskResult] = []
        running: list[TaskId] = []
        for record in records:
            if record.place is ENDING:
                continue
            record.cancelling = True
            if record.place is LEASED and self.session is not None and not self.session.leaving:
                running.append(record.task_id)  # Its endpoint stops it; the result decides.
            else:
                ended.append(self._end(record, cancelled(record)))
        return [*self._commit(ended), *self._send_cancel(running, force=force)]

    def _send_cancel(self, task_ids: list[TaskId], *, force: bool) -> list[Effect]:
        if not task_ids or self.session is None:
            return []
        return [SendCommand(self.session.commands_route, Cancel(task_ids, force))]

    # --- expiry --------------------------------------------------------------------------------------------------------

    def expire(self, task_ids: Sequence[TaskId]) -> list[Effect]:
        """These have waited too long. What an endpoint in session holds is its own: it is about to run it."""
        unknown = [task_id for task_id in task_ids if task_id not in self._known]
        known = [self._known[task_id] for task_id in dict.fromkeys(task_ids) if task_id in self._known]
        ended = [self._end(record, self._given_up(record)) for record in known if self._has_nobody(record)]
        effects = self._commit(ended)
        if unknown:
            self._reading += 1
            effects.append(LoadExpired(self.endpoint_id, unknown))
        return [*effects, *self.deal()]

    def _has_nobody(self, record: Record) -> bool:
        if record.place is LEASED:
            return self.session is None and not record.running
        return record.place is not ENDING

    @staticmethod
    def _given_up(record: Record) -> TaskResult:
        return cancelled(record) if record.cancelling else expired(record)

    def expired_loaded(self, offers: Sequence[Offer]) -> list[Effect]:
        """The store's answer to `LoadExpired`. What is still unknown is leased to nobody."""
        self._reading -= 1
        ended = []
        for offer in offers:
            task_id = offer.task.task_id
            if task_id not in self._known and task_id not in self._ended:
                record = self._known[task_id] = Record(offer, Place.REQUEUED, from_store=True)
                record.cancelling = offer.cancelling
                ended.append(self._end(record, self._given_up(record)))
        self._stop_remembering()
        return [*self._commit(ended), *self.deal()]

    def check(self) -> None:
        """Raise AssertionError if the books do not balance. For tests and simulations."""
        places = Counter(record.place for record in self._known.values())
        queued = [record for record in self._pending if record.place is PENDING]
        payloads = [len(record.task.payload) for record in self._known.values() if record.task is not None]
        books = {
            "leases": (self.leased, places[LEASED]),
            "pending": (self._pending_count, places[PENDING]),
            "queue": (len(queued), len({record.task_id for record in queued})),
            "payloads": (len(payloads), len(queued)),
            "bytes": (self._pending_bytes, sum(payloads)),
            "uncommitted": (self._uncommitted_bytes, max(0, self._uncommitted_bytes)),
        }
        wrong = {name: pair for name, pair in books.items() if pair[0] != pair[1]}
        if wrong or self._reading < 0 or self._pending_count != len(queued):
            raise AssertionError(f"The books do not balance: {wrong}")

    # --- sessions come and go --------------------------------------------------------------------------------------------

    def detach(self) -> None:
        """The session is over. Leases stay: only this endpoint can say what became of them."""
        self.session = None

    def gone_offline(self) -> list[Effect]:
        """Nobody knows when the endpoint comes back: end what was being cancelled, leave what is pending to the store."""
        cancelling = [record for record in self._known.values() if record.cancelling and record.place is LEASED]
        effects = self._commit([self._end(record, cancelled(record)) for record in cancelling])
        for record in self._pending:
            if record.place is PENDING:
                self._known.pop(record.task_id, None)
        self._pending.clear()
        self._pending_count = self._pending_bytes = 0
        self._more = True
        return effects

    def restore(
        self, session: Session, held: Sequence[Lease], lost_leases: Sequence[Lease], headers: Sequence[Offer]
    ) -> tuple[list[Lease], list[Effect]]:
        """A session begins. Return which of the leases the endpoint must forget, and the effects."""
        self.session = session
        self._more = True
        current = {offer.task.task_id: offer for offer in headers}
        kept: set[TaskId] = set()
        release: list[Lease] = []
        for lease in (*held, *lost_leases):
            keep = self._keep(lease, current.get(lease.task_id))
            if keep:
                kept.add(lease.task_id)
            else:
                release.append(lease)
        started = [record for record in self._still_leased(lost_leases) if record.task_id in kept]
        unstarted = [record for record in self._known.values() if record.place is LEASED and record.task_id not in kept]
        effects = [*self._return(unstarted), *self._lose(started, "endpoint_lost", {})]
        cancelling = [record.task_id for record in self._known.values() if record.cancelling and record.place is LEASED]
        return release, [*effects, *self._send_cancel(cancelling, force=False)]

    def _keep(self, lease: Lease, header: Offer | None) -> bool:
        """Whether the endpoint shall keep a lease that it names, and remember it here."""
        record = self._known.get(lease.task_id)
        if record is None:
            if header is None or lease.task_id in self._ended:
                return False
            record = self._known[lease.task_id] = Record(header, LEASED, from_store=True)
            record.cancelling = header.cancelling
            self.leased += 1
            return True
        if record.attempt != lease.attempt:
            return False
        if record.place is ENDING:
            return not record.decided_here  # Its result is being committed, and acknowledged then.
        if header is None:
            self._forget(record)
            return False
        if record.place is PENDING:
            self._no_longer_pending(record)
            record.place = LEASED
            self.leased += 1
        return record.place is LEASED

    def _forget(self, record: Record) -> None:
        """The store says that it ended without us."""
        self._end(record, cancelled(record))
        del self._known[record.task_id]
