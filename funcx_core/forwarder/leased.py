"""What becomes of leased tasks of one endpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from funcx_core.forwarder.effects import (
    AppendEvents,
    BeginAttempts,
    Commit,
    Effect,
    Publish,
    RecordTransitions,
    SendAck,
)
from funcx_core.forwarder.outcomes import by_group, cancelled, lost, unloadable
from funcx_core.forwarder.pending import ENDING, LEASED, TERMINAL_STATES, PendingTasks
from funcx_core.forwarder.records import Place, Record
from funcx_core.ids import FunctionId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.endpoint import GiveBack
from funcx_core.protocol.handoff import Changed, Ended, Logged
from funcx_core.protocol.task import (
    EVENT_SEQ_BITS,
    Lease,
    TaskEvent,
    TaskResult,
    TaskState,
    Transition,
)

POISON_LIMIT: Final = 3
"""Worker deaths after which a task is taken for the cause, whatever its `retry_on_loss`."""


class LeasedTasks(PendingTasks):
    """Leases end, come back, and are reported on."""

    def results(self, results: Sequence[TaskResult]) -> list[Effect]:
        """The endpoint reports ended attempts: publish at once, commit, acknowledge after the commit."""
        known = self._known
        accepted: list[TaskResult] = []
        late: list[Lease] = []
        ended: list[Ended] = []
        group = None
        size = number = 0
        like: Record | None = None
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
            if like is None or record.owner_id != like.owner_id or record.priority != like.priority:
                if like is not None:
                    self._count_leased(like, -number)
                like, number = record, 0
            number += 1
            size += len(result.value)
            accepted.append(result)
            if record.group_id != group:
                group = record.group_id
                current: list[TaskResult] = []
                ended.append(Ended(record.owner_id, group, current))
            current.append(result)
        if like is not None:
            self._count_leased(like, -number)
        self._uncommitted_bytes += size
        self._counters.results_accepted += len(accepted)
        self._counters.late_results += len(late)
        effects: list[Effect] = []
        if accepted:
            # With nothing else to do the endpoint needs no free slot.
            may_wait = not (self.leased or self._pending_count or self._more)
            effects += [Publish(list(ended)), Commit(self.endpoint_id, accepted, acknowledge=True, may_wait=may_wait)]
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
        self._count_leased(record, -1)
        return Lease(record.task_id, record.attempt)

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
