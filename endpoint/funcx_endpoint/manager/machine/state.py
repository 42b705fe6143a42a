"""The manager's decisions. Pure: give it events and the time, perform its effects in order.

Theory of operation. A lease arrives in a `TaskBatch` and waits. It is dealt to a worker under a number; the worker runs its
tasks in that order and writes the number of the one it starts into a page that outlives it. A lease leaves in exactly one
way: with a result, or given back (`unstarted`: it never began, and may be run again freely; `lost`: it began).

::

              TaskBatch          DealChunk            finished
    (nowhere) ────────▶ waiting ──────────▶ dealt ──────────────▶ result
                          ▲  │                │ returned, or worker died before it started
                          └──┼────────────────┤
                             │ drain          │ worker died after it started
                             ▼                ▼
                       unstarted             lost, or stopped → result

Three parts of it have files of their own: `holdings`, the leases that are here; `watch`, what becomes of those that run;
and `session`, what is said to the interchange.

A task is stopped (cancel, walltime) by signals of rising level, and nothing else is left with its worker meanwhile.
Whether the result or the stop wins is decided by what arrives: a success is a success.

The interchange may fall silent for as long as it likes: the workers go on, and the manager enrols again and again. It ends
when it is refused, when it has drained and that was acknowledged, or when an interchange on another host has been silent for very long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from funcx_core.errors import ContainerFailed, ManagerLost, WorkerLost
from funcx_core.ids import TaskId
from funcx_core.protocol.endpoint import Cancel, TaskBatch
from funcx_core.protocol.functions import SentFunctions
from funcx_core.protocol.manager import (
    DISK_FULL,
    DRAINING,
    Drained,
    ManagerHeartbeat,
    ManagerRefused,
    ManagerRegistered,
    ReportsAck,
)
from funcx_core.protocol.task import Lease, TaskResult, event_seq
from funcx_endpoint.manager.containers.kinds import Kinds
from funcx_endpoint.manager.machine.effects import (
    Effect,
    End,
    Enrol,
    NoteReturned,
    Send,
    TryJournal,
)
from funcx_endpoint.manager.machine.ending import BlockEnd
from funcx_endpoint.manager.machine.held import Held
from funcx_endpoint.manager.machine.holdings import Holdings, recall
from funcx_endpoint.manager.machine.nodes import NodePool
from funcx_endpoint.manager.machine.roster import Roster
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.session import Session
from funcx_endpoint.manager.machine.slots import SENT_FUNCTIONS, Slot
from funcx_endpoint.manager.machine.watch import Watch, press, stop
from funcx_endpoint.manager.workers.death import Death

LAST_ACK: Final = 3.0
"""Seconds that a manager which has drained waits for the acknowledgement of its last reports."""
JOURNAL_RETRY: Final = 1.0
"""Seconds between two tries to write a journal whose disk is full."""
REGISTER_AGAIN: Final = "register"
SILENCES_ABROAD: Final = 10
"""Thresholds of silence after which a manager without its interchange on the same host ends."""


class Manager:
    """Deals leases to workers. `now` is monotonic seconds; `at` is Unix nanoseconds, for people only."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._slots = [Slot(index) for index in range(rules.workers)]
        self._kinds = Kinds(rules.containers, rules.container)
        self._roster = Roster(self._slots, self._kinds)
        self._holdings = Holdings(self._slots, self._kinds, NodePool(rules.nodes, rules.launcher), rules.room)
        self._session = Session(rules.heartbeat_threshold)
        self._watch = Watch(rules.walltime)
        self._block_end = BlockEnd(rules.block_ends_at, rules.block_seconds)
        self._journal_at: float | None = None
        self._drained_at: float | None = None
        self._beat_at = 0.0
        self._drain_until: float | None = None
        self._has_ended = False

    # --- what the shell asks ------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """How many workers have something to do."""
        return sum(1 for slot in self._slots if slot.dealt)

    @property
    def idle(self) -> int:
        """How many workers wait for work."""
        return sum(1 for slot in self._slots if slot.is_idle)

    @property
    def container_kinds(self) -> list[str]:
        """The types of registered containers that can be run here."""
        return self._kinds.registered()

    def leases(self) -> list[Lease]:
        """Return every lease held here."""
        return self._holdings.leases()

    @property
    def is_registered(self) -> bool:
        """Whether the interchange listens to this manager."""
        return self._session.is_registered

    @property
    def is_done(self) -> bool:
        """Whether nothing is held or remembered here that could be lost with this manager."""
        return not (self._holdings or self._session.has_reports)

    def registration(self) -> tuple[int, list[Lease]]:
        """Return the number and the held leases for a registration that is sent now; its session begins with that."""
        self._holdings.forget_functions()
        return self._session.begin(self.leases())

    def settled(self) -> list[int]:
        """Return for each worker the number up to which all that was dealt to it is answered."""
        return [next(iter(slot.dealt), slot.number + 1) - 1 for slot in self._slots]

    def dealt(self) -> dict[int, dict[int, Lease]]:
        """Return the leases that each worker has, by number."""
        return {slot.index: {number: held.task.lease for number, held in slot.dealt.items()} for slot in self._slots}

    def next_event(self, task_id: TaskId) -> int | None:
        """Return the sequence number for an event of a task that runs here; None if it does not."""
        held = self._holdings.get(task_id)
        if held is None:
            return None
        held.events += 1
        return event_seq(held.task.attempt, held.events)

    def dealt_as(self, worker: int, number: int) -> TaskId | None:
        """Return the task that the worker has under this number; None if it has ended."""
        held = self._slots[worker].dealt.get(number)
        return None if held is None else held.task.task_id

    def tick_at(self) -> float:
        """Return when the machine wants the next `tick`, unless an event comes first."""
        times = [self._beat_at]
        if self._drain_until is not None:
            times.append(self._drain_until)
        elif (retire_at := self._block_end.retire_at()) is not None:
            times.append(retire_at)
        if self._drained_at is not None:
            times = [self._beat_at, self._drained_at + LAST_ACK]
        if self._journal_at is not None:
            times.append(self._journal_at)
        if self._drain_until is None:
            times += self._roster.deadlines(self._holdings.waiting() if self._kinds.may_differ else {})
        idle = {slot.kind for slot in self._slots if slot.is_idle}
        for slot in self._slots:
            head = slot.head
            if head is not None:
                times.extend(self._watch.deadlines(slot, head, has_idle=head.kind in idle))
        return min(times)

    # --- from the shell -----------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """The manager's process is up."""
        self._session.start(now)
        self._beat_at = now + self._rules.heartbeat_period
        return [*self._roster.spawn_all(), Enrol()]

    def tick(self, now: float, at: int, started: Sequence[int]) -> list[Effect]:
        """Time has passed. `started` has the number in the page of each worker."""
        if self._has_ended:
            return []
        effects: list[Effect] = []
        if now >= self._beat_at:
            effects += self._beat(now)
        if self._journal_at is not None and now >= self._journal_at:
            self._journal_at = now + JOURNAL_RETRY
            effects.append(TryJournal())
        if self._drain_until is None:
            effects += self._roster.spawn_due(now)
        for slot in self._slots:
            head = slot.head
            if head is not None:
                effects += self._watch.look(
                    slot, head, now, at, started=started[slot.index], is_heard=self._session.is_registered
                )
        if self._drain_until is not None and now >= self._drain_until and self._holdings:
            effects += self._give_up(started)
        retire_at = self._block_end.retire_at()
        if retire_at is not None and now >= retire_at and self._drain_until is None:
            effects += self.retire(self._block_end.grace(now), now)
        return effects + self._settle(now)

    def _beat(self, now: float) -> list[Effect]:
        self._beat_at = now + self._rules.heartbeat_period
        silence, threshold = self._session.silence(now), self._rules.heartbeat_threshold
        if silence > SILENCES_ABROAD * threshold and not self._rules.is_local:
            return self._end(f"The interchange on another host has been silent for {silence:.0f} s.")
        if self._session.is_overdue(now):
            return self._session.enrol(now)
        return [self._heartbeat()] if self._session.is_registered else []

    def _heartbeat(self) -> Effect:
        full = DISK_FULL if self._journal_at is not None else ""
        state = DRAINING if self._drain_until is not None else full
        containers = self._roster.counts() if self._kinds.may_differ else {}
        return Send(ManagerHeartbeat(self.idle, self.running, state, containers=containers))

    # --- from the interchange -----------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Anything came from the interchange."""
        self._session.heard(now)

    def registered(self, message: ManagerRegistered, now: float) -> list[Effect]:
        """The interchange took this manager in: say what it may not have heard."""
        effects = self._session.registered(message, now)
        if effects is None:
            return []
        if self._journal_at is not None or self._drain_until is not None:
            effects.insert(0, self._heartbeat())
        if self._drained_at is not None:
            effects.append(Send(Drained()))
        return effects

    def renewed(self, now: float) -> list[Effect]:
        """The connection to the interchange is another one: what was on its way may be lost."""
        return [] if self._has_ended else self._session.enrol(now)

    def refused(self, message: ManagerRefused, now: float) -> list[Effect]:
        """The interchange does not know this manager's connection, or does not want this manager any more."""
        if message.code == REGISTER_AGAIN:
            # Each message that it did not take brings such an answer.
            return self._session.enrol(now) if self._session.is_registered and not self._has_ended else []
        again = [] if self._session.is_registered else self._session.again()
        return [*again, *self._end(f"The interchange refused this manager: {message.message}")]

    def acknowledged(self, message: ReportsAck) -> list[Effect]:
        """What was reported is safe."""
        if message.session != self._session.number:
            return []
        effects = self._session.acknowledged(message, self.settled())
        if self._drained_at is not None and not self._session.has_reports:
            effects += self._end("Drained.")
        return effects

    def task_batch(self, batch: TaskBatch, now: float, at: int) -> list[Effect]:
        """Leases arrived."""
        if batch.session != self._session.number:
            return []  # Given to somebody else since.
        is_open = self._drain_until is None and not self._has_ended and self._journal_at is None
        refused = self._holdings.arrive(batch, at, is_open=is_open)
        effects = self._session.report(refused.impossible)
        effects += self._settle(now) if self._kinds.may_differ else self._deal(now)
        effects += self._session.give_back(refused.missing, missing_functions=True)
        return effects + self._session.give_back(refused.unwanted)

    def cancel(self, message: Cancel, now: float) -> list[Effect]:
        """These tasks are to be stopped, as far as they are here."""
        waiting: set[TaskId] = set()
        results: list[TaskResult] = []
        effects: list[Effect] = []
        for task_id in message.task_ids:
            held = self._holdings.get(task_id)
            if held is None:
                continue
            if held.worker is None:
                waiting.add(task_id)
                results.append(self._holdings.release(held).stopped())
            else:
                effects += stop(self._slots[held.worker], held, now, force=message.force)
        if waiting:
            self._holdings.wait_no_more(waiting)
            effects = [*self._session.report(results), *effects]
        return effects + self._settle(now)

    def drain(self, grace: float, now: float) -> list[Effect]:
        """Take nothing new, give back what has not started, end when the rest is done or `grace` is over."""
        if self._drain_until is not None:
            self._drain_until = min(self._drain_until, now + grace)
            return []
        self._drain_until = now + grace
        effects = self._give_back_waiting()
        for slot in self._slots:
            if len(slot.dealt) > 1:
                effects += recall(slot)
        return effects + self._settle(now)

    def retire(self, grace: float, now: float) -> list[Effect]:
        """Drain by the manager's own decision, as its block is about to end: the interchange hears of it first."""
        said = [Send(ManagerHeartbeat(self.idle, self.running, DRAINING))] if self._session.is_registered else []
        return [*said, *self.drain(grace, now)]

    # --- from the workers ---------------------------------------------------------------------------------------

    def ready(self, worker: int, now: float) -> list[Effect]:
        """The worker waits for its first chunk."""
        self._roster.ready(self._slots[worker], now)
        return self._settle(now)

    def finished(self, worker: int, results: Sequence[TaskResult], now: float) -> list[Effect]:
        """The worker ended these tasks. What is not dealt to it is passed over."""
        slot = self._slots[worker]
        ended = self._holdings.finished(slot, results, now)
        if not ended:
            return []
        self._block_end.longest_task = self._holdings.longest_task
        effects = self._session.report(ended)
        return effects + press(slot, now) + self._settle(now)

    def returned(self, worker: int, numbers: Sequence[int], now: float, *, missing: bool = False) -> list[Effect]:
        """These tasks came back from the worker before they started."""
        slot = self._slots[worker]
        found = slot.remove(numbers)
        if missing:
            slot.sent = SentFunctions(SENT_FUNCTIONS)
        if not found:
            return []
        return [NoteReturned(worker, [held.number for held in found]), *self._again(found), *self._settle(now)]

    def died(self, worker: int, death: Death, now: float) -> list[Effect]:
        """The worker's process ended, and everything that it sent was handled."""
        slot = self._slots[worker]
        is_hopeless = self._roster.died(slot, now)
        found = slot.remove(list(slot.dealt))
        started = [held for held in found if held.number <= death.started]
        unstarted = [held for held in found if held.number > death.started]
        effects: list[Effect] = []
        if unstarted:
            effects.append(NoteReturned(worker, [held.number for held in unstarted]))
            effects += self._again(unstarted)
        effects += self._lose(started, death)
        if is_hopeless:
            effects += self._give_up_kind(slot.kind, death, now)
        if self._drain_until is None and not self._has_ended:
            effects += self._roster.spawn_due(now)
        return effects + self._settle(now)

    def _give_up_kind(self, kind: str, death: Death, now: float) -> list[Effect]:
        last = death.stderr.strip().rpartition("\n")[2] or f"it ended with {death.exitcode}"
        message = f"No worker could be started in the container '{kind}' of this endpoint: {last}"
        details = {**death.details(), "hostname": self._rules.hostname}
        results = self._holdings.fail_waiting(kind, ContainerFailed.code, message, details)
        return self._session.report(results) + self._roster.give_up(kind, now)

    # --- dealing ------------------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        if self._has_ended:
            return []
        if self._drain_until is not None and not self._holdings:
            return self._leave(now)
        effects: list[Effect] = []
        if self._kinds.may_differ and self._drain_until is None:
            effects += self._roster.rebalance(self._holdings.waiting(), now)
        effects += self._deal(now)
        return effects if self._holdings.is_waiting else [*effects, *self._holdings.steal(now)]

    def _deal(self, now: float) -> list[Effect]:
        return [] if self._journal_at is not None else list(self._holdings.deal(now))

    def _leave(self, now: float) -> list[Effect]:
        """Drained: end, once the last reports are acknowledged."""
        effects: list[Effect] = []
        if self._drained_at is None:
            self._drained_at = now
            effects += [Send(Drained())] if self._session.is_registered else []
        if not self._session.has_reports or now >= self._drained_at + LAST_ACK:
            effects += self._end("Drained.")
        return effects

    def not_dealt(self, worker: int, numbers: Sequence[int], now: float) -> list[Effect]:
        """A chunk could not be journalled and was not sent: take nothing more until the journal can be written."""
        slot = self._slots[worker]
        found = slot.remove(numbers)
        slot.sent = SentFunctions(SENT_FUNCTIONS)  # Its bodies did not go there.
        self._journal_at = now + JOURNAL_RETRY
        stopped = self._holdings.wait_again(found)
        effects: list[Effect] = [self._heartbeat()] if self._session.is_registered else []
        return effects + self._session.report(stopped) + self._give_back_waiting()

    def journal_works(self, now: float) -> list[Effect]:
        """The journal can be written again."""
        self._journal_at = None
        effects: list[Effect] = [self._heartbeat()] if self._session.is_registered else []
        return effects + self._settle(now)

    def _again(self, helds: Sequence[Held]) -> list[Effect]:
        """Find another way for leases that came back unstarted, in their old order and before what came later."""
        effects = self._session.report(self._holdings.wait_again(helds))
        stays = self._drain_until is None and self._journal_at is None
        return effects if stays else effects + self._give_back_waiting()

    def _give_back_waiting(self) -> list[Effect]:
        return self._session.give_back(self._holdings.release_waiting())

    # --- stopping and losing ------------------------------------------------------------------------------------

    def _lose(self, helds: Sequence[Held], death: Death) -> list[Effect]:
        stopped = [self._holdings.release(held).stopped(began=True) for held in helds if held.stop is not None]
        if death.has_hung_loading:
            stopped += [
                self._holdings.release(held).unloaded(death.details()) for held in helds if held.number == death.started
            ]
            helds = [held for held in helds if held.number != death.started]
        lost = self._holdings.release_all([held for held in helds if held.stop is None])
        details = {**death.details(), "hostname": self._rules.hostname}
        return self._session.report(stopped) + self._session.report_lost(lost, WorkerLost.code, details)

    def _give_up(self, started: Sequence[int]) -> list[Effect]:
        """The grace of a drain is over: what still runs is lost."""
        lost: list[Lease] = []
        unstarted: list[Lease] = []
        for slot in self._slots:
            for held in slot.remove(list(slot.dealt)):
                leases = lost if held.number <= started[slot.index] else unstarted
                leases.append(self._holdings.release(held).task.lease)
        details = {"hostname": self._rules.hostname}
        return self._session.give_back(unstarted) + self._session.report_lost(lost, ManagerLost.code, details)

    def _end(self, reason: str) -> list[Effect]:
        self._has_ended = True
        return [End(reason)]
