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

from collections import Counter
from collections.abc import Sequence

from funcx_core.forwarder.effects import (
    Effect,
    LoadCancelled,
    LoadExpired,
    SendCommand,
)
from funcx_core.forwarder.leased import LeasedTasks
from funcx_core.forwarder.outcomes import cancelled, expired
from funcx_core.forwarder.pending import ENDING, LEASED, PENDING
from funcx_core.forwarder.records import Place, Record, Session
from funcx_core.ids import TaskId
from funcx_core.protocol.endpoint import Cancel
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import (
    Lease,
    TaskResult,
)


class EndpointLeases(LeasedTasks):
    """The tasks of one endpoint that this forwarder knows. Give it events, perform its effects."""

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

    # --- sessions come and go --------------------------------------------------------------------------------------------

    def detach(self) -> None:
        """The session is over. Leases stay: only this endpoint can say what became of them."""
        self.session = None

    def gone_offline(self) -> list[Effect]:
        """Nobody knows when the endpoint comes back: end what was being cancelled, leave what is pending to the store."""
        cancelling = [record for record in self._known.values() if record.cancelling and record.place is LEASED]
        effects = self._commit([self._end(record, cancelled(record)) for record in cancelling])
        for record in self._turns:
            if record.place is PENDING:
                self._known.pop(record.task_id, None)
        self._turns.clear()
        self._pending_count = self._pending_bytes = 0
        self._more = True
        self._has_looked = False
        return effects

    def restore(
        self,
        session: Session,
        held: Sequence[Lease],
        lost_leases: Sequence[Lease],
        headers: Sequence[Offer],
        *,
        is_another_agent: bool = False,
    ) -> tuple[list[Lease], list[Effect]]:
        """A session begins. Return which of the leases the endpoint must forget, and the effects.

        What an agent does not name never arrived. Another agent knows what started before it from the journals of the endpoint's folder;
        in a copy of that folder they are missing, so what was reported to run has started, whether it is named or not.
        """
        self.session = session
        self._more = True
        self._has_looked = False
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
        unnamed = [record for record in self._known.values() if record.place is LEASED and record.task_id not in kept]
        unstarted = [record for record in unnamed if not (is_another_agent and record.running)]
        started += [record for record in unnamed if is_another_agent and record.running]
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
            self._count_leased(record, 1)
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
            self._count_leased(record, 1)
        return record.place is LEASED

    def _forget(self, record: Record) -> None:
        """The store says that it ended without us."""
        self._end(record, cancelled(record))
        del self._known[record.task_id]

    def check(self) -> None:
        """Raise AssertionError if the books do not balance. For tests and simulations."""
        places = Counter(record.place for record in self._known.values())
        queued = [record for record in self._turns if record.place is PENDING]
        payloads = [len(record.task.payload) for record in self._known.values() if record.task is not None]
        books = {
            "leases": (self.leased, places[LEASED]),
            "lanes": (self.leased, self._turns.total_leased),
            "pending": (self._pending_count, places[PENDING]),
            "queue": (len(queued), len({record.task_id for record in queued})),
            "payloads": (len(payloads), len(queued)),
            "bytes": (self._pending_bytes, sum(payloads)),
            "uncommitted": (self._uncommitted_bytes, max(0, self._uncommitted_bytes)),
        }
        wrong = {name: pair for name, pair in books.items() if pair[0] != pair[1]}
        if wrong or self._reading < 0 or self._pending_count != len(queued):
            raise AssertionError(f"The books do not balance: {wrong}")
