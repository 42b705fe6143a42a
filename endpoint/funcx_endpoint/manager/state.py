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

Results and losses are kept until the interchange acknowledged them (`reports`), and said again when a new session with it
has begun; while one begins nothing is said. What is given back unstarted needs no acknowledgement: a lease that is not
named when a session begins is not here.

A task that waits behind a stuck one is taken back as soon as another worker idles: first what the stuck worker has not
received (the kernel decides who receives it), then, if the worker can answer, the rest of the chunk in its memory.

A task is stopped (cancel, walltime) by signals of rising level, and nothing else is left with its worker meanwhile.
Whether the result or the stop wins is decided by what arrives: a success is a success.

The interchange may fall silent for as long as it likes: the workers go on, and the manager enrols again and again. It ends
when it is refused, when it has drained and that was acknowledged, or when an interchange on another host has been silent for very long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from funcx_core.errors import ManagerLost, WorkerLost
from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import Cancel, GiveBack, Results, TaskBatch, Transitions
from funcx_core.protocol.functions import FunctionCache, SentFunctions
from funcx_core.protocol.manager import Drained, ManagerHeartbeat, ManagerRefused, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import Lease, TaskResult, TaskState, Transition, event_seq
from funcx_core.protocol.worker import Chunk, Dealt
from funcx_endpoint.manager.dealing import Cut, choose_slot, cut_chunk
from funcx_endpoint.manager.effects import (
    DealChunk,
    Effect,
    End,
    Enrol,
    Level,
    NoteReturned,
    NoteSafe,
    Peek,
    Send,
    SendRecall,
    Signal,
    Spawn,
    TakeBack,
    TryJournal,
)
from funcx_endpoint.manager.held import Held, Reason, Stop
from funcx_endpoint.manager.limits import Excess
from funcx_endpoint.manager.pace import Pace
from funcx_endpoint.manager.reports import Reports
from funcx_endpoint.manager.slots import SENT_FUNCTIONS, Life, Slot

STUCK_SECONDS: Final = 0.025
"""A task that runs longer than this is stuck, as far as those behind it are concerned."""
TASK_SECONDS: Final = 0.000015
"""What a task costs its worker besides the user's code."""
REPORT_SECONDS: Final = 0.1
"""A task that runs longer than this is worth telling its user that it runs."""
RESPAWN_SECONDS: Final = 0.1
"""Wait after a worker died before it was ready; doubled each time."""
RESPAWN_LONGEST: Final = 10.0
LONGEST_ANSWER: Final = 5.0
"""Seconds after which a registration that is not answered is repeated; a tenth of a threshold if that is less."""
LAST_ACK: Final = 3.0
"""Seconds that a manager which has drained waits for the acknowledgement of its last reports."""
JOURNAL_RETRY: Final = 1.0
"""Seconds between two tries to write a journal whose disk is full."""
REGISTER_AGAIN: Final = "register"
DISK_FULL: Final = "disk-full"
SILENCES_ABROAD: Final = 10
"""Thresholds of silence after which a manager without its interchange on the same host ends."""


class Rules(msgspec.Struct, frozen=True):
    """What the machine is told once.

    Attributes:
        workers: how many tasks run at a time.
        heartbeat_period: seconds between heartbeats to the interchange.
        heartbeat_threshold: seconds of silence after which to enrol again.
        walltime: seconds, for tasks that set none; None for no limit.
        hostname: of this node, for errors.
        is_local: whether the agent's process is watched on this host, so that silence never means its end.
    """

    workers: int
    heartbeat_period: float
    heartbeat_threshold: float
    walltime: float | None = None
    hostname: str = ""
    is_local: bool = True


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker process ended.

    Attributes:
        started: the number in its page.
        signal: which ended it.
        exitcode: with which it ended by itself.
        oom: whether the kernel killed it for lack of memory.
        stderr: the end of what it wrote there.
        excess: what it used too much of, if the manager killed it for that.
        has_hung_loading: whether it ended because a function took too long to load.
    """

    started: int
    signal: int | None = None
    exitcode: int | None = None
    oom: bool = False
    stderr: str = ""
    excess: Excess | None = None
    has_hung_loading: bool = False

    def details(self) -> dict[str, Any]:
        """Return the facts for the error of the task that was lost with it."""
        oom = self.oom or (self.excess is not None and self.excess.what == "memory")
        facts = {"signal": self.signal, "exitcode": self.exitcode, "oom": oom}
        if self.excess is not None:
            facts.update(self.excess.details())
        return {**facts, "stderr": self.stderr} if self.stderr else facts


class Manager:
    """Deals leases to workers. `now` is monotonic seconds; `at` is Unix nanoseconds, for people only."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._slots = [Slot(index) for index in range(rules.workers)]
        self._held: dict[TaskId, Held] = {}
        self._waiting: deque[Held] = deque()
        self._functions = FunctionCache()
        self._pace = Pace()
        self._reports = Reports()
        self._returned: list[Lease] = []
        self._mark: tuple[int, list[int]] | None = None
        self._session = 0
        self._is_registered = False
        self._enrolled_at = 0.0
        self._journal_at: float | None = None
        self._drained_at: float | None = None
        self._heard_at = 0.0
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

    def leases(self) -> list[Lease]:
        """Return every lease held here."""
        return [held.task.lease for held in self._held.values()]

    @property
    def is_registered(self) -> bool:
        """Whether the interchange listens to this manager."""
        return self._is_registered

    @property
    def is_done(self) -> bool:
        """Whether nothing is held or remembered here that could be lost with this manager."""
        return not (self._held or self._reports)

    def registration(self) -> tuple[int, list[Lease]]:
        """Return the number and the held leases for a registration that is sent now; its session begins with that."""
        self._session += 1
        self._is_registered = False
        self._functions.clear()
        self._returned = []
        self._mark = None
        self._reports.begin_session()
        return self._session, self.leases() + self._reports.leases()

    def settled(self) -> list[int]:
        """Return for each worker the number up to which all that was dealt to it is answered."""
        return [next(iter(slot.dealt), slot.number + 1) - 1 for slot in self._slots]

    def dealt(self) -> dict[int, dict[int, Lease]]:
        """Return the leases that each worker has, by number."""
        return {slot.index: {number: held.task.lease for number, held in slot.dealt.items()} for slot in self._slots}

    def next_event(self, task_id: TaskId) -> int | None:
        """Return the sequence number for an event of a task that runs here; None if it does not."""
        held = self._held.get(task_id)
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
        if self._drained_at is not None:
            times = [self._beat_at, self._drained_at + LAST_ACK]
        if self._journal_at is not None:
            times.append(self._journal_at)
        has_idle = any(slot.is_idle for slot in self._slots)
        for slot in self._slots:
            if slot.life is Life.DOWN and self._drain_until is None:
                times.append(slot.spawn_at)
            head = slot.head
            if head is not None:
                times.extend(self._deadlines(slot, head, has_idle=has_idle))
        return min(times)

    def _deadlines(self, slot: Slot, head: Held, *, has_idle: bool) -> list[float]:
        times = []
        if not head.is_reported:
            times.append(max(slot.since + REPORT_SECONDS, slot.report_at))
        if head.stop is not None:
            if head.stop.level is not Level.KILL:
                times.append(head.stop.next_at)
        elif (walltime := self._walltime(head)) is not None:
            times.append(slot.since + walltime)
        if len(slot.dealt) > 1 and (slot.looked != head.number or (has_idle and slot.recalled != head.number)):
            times.append(slot.since + STUCK_SECONDS)
        return times

    # --- from the shell -----------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """The manager's process is up."""
        self._heard_at = self._enrolled_at = now
        self._beat_at = now + self._rules.heartbeat_period
        for slot in self._slots:
            slot.life = Life.STARTING
        return [*(Spawn(slot.index) for slot in self._slots), Enrol()]

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
        for slot in self._slots:
            if slot.life is Life.DOWN and now >= slot.spawn_at and self._drain_until is None:
                slot.life = Life.STARTING
                effects.append(Spawn(slot.index))
        for slot in self._slots:
            head = slot.head
            if head is not None:
                effects += self._watch(slot, head, now, at, started[slot.index])
        if self._drain_until is not None and now >= self._drain_until and self._held:
            effects += self._give_up(started)
        return effects + self._settle(now)

    def _beat(self, now: float) -> list[Effect]:
        self._beat_at = now + self._rules.heartbeat_period
        silence = now - self._heard_at
        threshold = self._rules.heartbeat_threshold
        if silence > SILENCES_ABROAD * threshold and not self._rules.is_local:
            return self._end(f"The interchange on another host has been silent for {silence:.0f} s.")
        if self._is_registered and silence <= threshold:
            return [self._heartbeat()]
        if self._is_registered or now >= self._enrolled_at + min(threshold / 10, LONGEST_ANSWER):
            return self._enrol(now)
        return []

    def _heartbeat(self) -> Effect:
        return Send(ManagerHeartbeat(self.idle, self.running, DISK_FULL if self._journal_at is not None else ""))

    def _enrol(self, now: float) -> list[Effect]:
        self._is_registered = False
        self._enrolled_at = now
        return [Enrol()]

    def _watch(self, slot: Slot, head: Held, now: float, at: int, started: int) -> list[Effect]:
        effects: list[Effect] = []
        if len(slot.dealt) > 1 and now >= slot.since + STUCK_SECONDS:
            slot.looked = head.number
            if started > head.number:
                # It has ended, and its result waits in the page behind a task that is not as short as it was.
                return [Peek(slot.index)]
        if not head.is_reported and now >= slot.since + REPORT_SECONDS:
            effects += self._report_running(slot, head, now, at, started)
        walltime = self._walltime(head)
        if head.stop is None and walltime is not None and now >= slot.since + walltime:
            head.stop = Stop(Reason.WALLTIME, head.options.interrupt_grace)
        return effects + self._press(slot, now)

    def _report_running(self, slot: Slot, head: Held, now: float, at: int, started: int) -> list[Effect]:
        if started < head.number or not self._is_registered:
            slot.report_at = now + REPORT_SECONDS  # The worker is slow or was stopped, or nobody listens.
            return []
        head.is_reported = True
        began = at - int((now - slot.since) * 1e9)
        change = Transition(head.task.task_id, head.task.attempt, TaskState.RUNNING, began)
        return [Send(Transitions([change]))]

    def _walltime(self, held: Held) -> float | None:
        return held.options.walltime or self._rules.walltime

    # --- from the interchange -----------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Anything came from the interchange."""
        self._heard_at = now

    def registered(self, message: ManagerRegistered, now: float) -> list[Effect]:
        """The interchange took this manager in: say what it may not have heard."""
        if message.session != self._session or self._is_registered:
            return []
        self._is_registered = True
        self._heard_at = now
        effects: list[Effect] = [Send(report) for report in self._reports.again()]
        returned, self._returned = self._returned, []
        if returned:
            effects.append(Send(GiveBack(unstarted=returned)))
        if self._journal_at is not None:
            effects.append(self._heartbeat())
        if self._drained_at is not None:
            effects.append(Send(Drained()))
        return effects

    def renewed(self, now: float) -> list[Effect]:
        """The connection to the interchange is another one: what was on its way may be lost."""
        return [] if self._has_ended else self._enrol(now)

    def refused(self, message: ManagerRefused, now: float) -> list[Effect]:
        """The interchange does not know this manager's connection, or does not want this manager any more."""
        if message.code == REGISTER_AGAIN:
            # Each message that it did not take brings such an answer.
            return self._enrol(now) if self._is_registered and not self._has_ended else []
        again = [] if self._is_registered else self._reports.again()
        return [
            *(Send(report) for report in again),
            *self._end(f"The interchange refused this manager: {message.message}"),
        ]

    def acknowledged(self, message: ReportsAck) -> list[Effect]:
        """What was reported is safe."""
        if message.session != self._session:
            return []
        self._reports.acknowledged(message.count)
        effects: list[Effect] = []
        if self._mark is not None and self._mark[0] <= message.count:
            effects.append(NoteSafe(self._mark[1]))
            self._mark = None
        if not self._reports:
            effects = [NoteSafe(self.settled())]
            self._mark = None
        elif self._mark is None:
            self._mark = self._reports.sent, self.settled()
        if self._drained_at is not None and not self._reports:
            effects += self._end("Drained.")
        return effects

    def task_batch(self, batch: TaskBatch, now: float, at: int) -> list[Effect]:
        """Leases arrived."""
        if batch.session != self._session:
            return []  # Given to somebody else since.
        self._functions.receive(batch.functions, [task.function_id for task in batch.tasks])
        missing: list[Lease] = []
        unwanted: list[Lease] = []
        functions, known, waiting = self._functions, self._held, self._waiting
        for task in batch.tasks:
            function = functions.get(task.function_id)
            if function is None:
                missing.append(task.lease)
            elif self._drain_until is not None or self._has_ended or self._journal_at is not None:
                unwanted.append(task.lease)
            elif task.task_id in known:
                if known[task.task_id].task.attempt != task.attempt:
                    unwanted.append(task.lease)
            else:
                held = known[task.task_id] = Held(task, function, at)
                waiting.append(held)
        effects = self._deal(now)
        if missing:
            effects += self._give_back(missing, missing_functions=True)
        if unwanted:
            effects += self._give_back(unwanted)
        return effects

    def cancel(self, message: Cancel, now: float) -> list[Effect]:
        """These tasks are to be stopped, as far as they are here."""
        waiting: set[TaskId] = set()
        results: list[TaskResult] = []
        effects: list[Effect] = []
        for task_id in message.task_ids:
            held = self._held.get(task_id)
            if held is None:
                continue
            if held.worker is None:
                waiting.add(task_id)
                results.append(self._release(held).stopped())
            else:
                effects += self._stop(held, now, force=message.force)
        if waiting:
            self._waiting = deque(held for held in self._waiting if held.task.task_id not in waiting)
            effects = [*self._report(results), *effects]
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
                effects += self._recall(slot)
        return effects + self._settle(now)

    # --- from the workers ---------------------------------------------------------------------------------------

    def ready(self, worker: int, now: float) -> list[Effect]:
        """The worker waits for its first chunk."""
        slot = self._slots[worker]
        slot.life = Life.READY
        slot.failures = 0
        slot.sent = SentFunctions(SENT_FUNCTIONS)
        return self._settle(now)

    def finished(self, worker: int, results: Sequence[TaskResult], now: float) -> list[Effect]:
        """The worker ended these tasks. What is not dealt to it is passed over."""
        slot = self._slots[worker]
        known, dealt = self._held, slot.dealt
        ended: list[TaskResult] = []
        spent: dict[FunctionId, tuple[int, int]] = {}
        for result in results:
            held = known.get(result.task_id)
            if held is None or held.worker != worker or held.task.attempt != result.attempt:
                continue
            del known[result.task_id]
            del dealt[held.number]
            ended.append(held.stamped(result))
            function_id, times = held.function.function_id, result.times
            count, spans = spent.get(function_id, (0, 0))
            spent[function_id] = count + 1, spans + max(0, times.ended - times.started)
        if not ended:
            return []
        self._learn(spent, now - slot.since)
        slot.since = now
        slot.drop_done_chunks()
        effects = self._report(ended)
        return effects + self._press(slot, now) + self._settle(now)

    def _learn(self, spent: dict[FunctionId, tuple[int, int]], elapsed: float) -> None:
        # What the worker's clock says, but never more than has passed by ours: that includes how late this process is,
        # and dealing less because of it would make it later still. A clock that jumps spoils one average for a moment.
        for function_id, (count, spans) in spent.items():
            self._pace.observe(function_id, min(spans / 1e9, elapsed) / count + TASK_SECONDS)

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
        was_ready = slot.life is Life.READY
        slot.life = Life.DOWN
        slot.failures = 0 if was_ready else slot.failures + 1
        slot.spawn_at = now
        if not was_ready:
            slot.spawn_at += min(RESPAWN_LONGEST, RESPAWN_SECONDS * 2 ** (slot.failures - 1))
        slot.recalled = 0
        found = slot.remove(list(slot.dealt))
        started = [held for held in found if held.number <= death.started]
        unstarted = [held for held in found if held.number > death.started]
        effects: list[Effect] = []
        if unstarted:
            effects.append(NoteReturned(worker, [held.number for held in unstarted]))
            effects += self._again(unstarted)
        effects += self._lose(started, death)
        if now >= slot.spawn_at and self._drain_until is None and not self._has_ended:
            slot.life = Life.STARTING
            effects.append(Spawn(worker))
        return effects + self._settle(now)

    # --- dealing ------------------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        if self._has_ended:
            return []
        if self._drain_until is not None and not self._held:
            return self._leave(now)
        effects = self._deal(now)
        if not self._waiting:
            effects += self._steal(now)
        return effects

    def _leave(self, now: float) -> list[Effect]:
        """Drained: end, once the last reports are acknowledged."""
        effects: list[Effect] = []
        if self._drained_at is None:
            self._drained_at = now
            effects += [Send(Drained())] if self._is_registered else []
        if not self._reports or now >= self._drained_at + LAST_ACK:
            effects += self._end("Drained.")
        return effects

    def not_dealt(self, worker: int, numbers: Sequence[int], now: float) -> list[Effect]:
        """A chunk could not be journalled and was not sent: take nothing more until the journal can be written."""
        slot = self._slots[worker]
        found = slot.remove(numbers)
        slot.sent = SentFunctions(SENT_FUNCTIONS)  # Its bodies did not go there.
        self._journal_at = now + JOURNAL_RETRY
        stopped = [self._release(held).stopped() for held in found if held.stop is not None]
        self._waiting.extendleft(held for held in reversed(found) if held.stop is None)
        effects: list[Effect] = [self._heartbeat()] if self._is_registered else []
        return effects + self._report(stopped) + self._give_back_waiting()

    def journal_works(self, now: float) -> list[Effect]:
        """The journal can be written again."""
        self._journal_at = None
        effects: list[Effect] = [self._heartbeat()] if self._is_registered else []
        return effects + self._settle(now)

    def _deal(self, now: float) -> list[Effect]:
        if self._journal_at is not None:
            return []
        effects: list[Effect] = []
        waiting = self._waiting
        while waiting:
            slot, alike = choose_slot(self._slots, now)
            if slot is None:
                break
            cut = cut_chunk(waiting, self._pace, share=-(-len(waiting) // alike), ahead=bool(slot.dealt))
            if cut is None:
                break
            effects.append(DealChunk(slot.index, self._number(slot, cut, now)))
        return effects

    def _number(self, slot: Slot, cut: Cut, now: float) -> Chunk:
        if not slot.dealt:
            slot.since = now
        number, worker, dealt = slot.number, slot.index, slot.dealt
        numbered = []
        for held in cut.helds:
            number += 1
            held.worker, held.number = worker, number
            dealt[number] = held
            numbered.append(Dealt(number, held.task))
        slot.number = number
        slot.chunks.append((number, cut.seconds))
        return Chunk(numbered, [cut.functions[function_id] for function_id in slot.sent.to_send(cut.functions)])

    def _steal(self, now: float) -> list[Effect]:
        if not any(slot.is_idle for slot in self._slots):
            return []
        effects: list[Effect] = []
        for slot in self._slots:
            head = slot.head
            if head is None or len(slot.dealt) == 1 or slot.recalled == head.number:
                continue
            if now >= slot.since + STUCK_SECONDS:
                effects += self._recall(slot)
        return effects

    def _recall(self, slot: Slot) -> list[Effect]:
        """Ask for everything behind the first task of a worker."""
        first = next(iter(slot.dealt))
        slot.recalled = first
        effects: list[Effect] = [TakeBack(slot.index)]
        if slot.chunks[0][0] != first:
            effects.append(SendRecall(slot.index))
        return effects

    def _again(self, helds: Sequence[Held]) -> list[Effect]:
        """Find another way for leases that came back unstarted, in their old order and before what came later."""
        stopped = [self._release(held).stopped() for held in helds if held.stop is not None]
        self._waiting.extendleft(held for held in reversed(helds) if held.stop is None)
        effects = self._report(stopped)
        stays = self._drain_until is None and self._journal_at is None
        return effects if stays else effects + self._give_back_waiting()

    def _give_back_waiting(self) -> list[Effect]:
        leases = [self._release(held).task.lease for held in self._waiting]
        self._waiting.clear()
        return self._give_back(leases) if leases else []

    def _report(self, results: list[TaskResult]) -> list[Effect]:
        if not results:
            return []
        self._reports.results(results)
        return [Send(Results(results))] if self._is_registered else []

    def _report_lost(self, message: GiveBack) -> list[Effect]:
        self._reports.lost(message)
        return [Send(message)] if self._is_registered else []

    def _give_back(self, unstarted: list[Lease], *, missing_functions: bool = False) -> list[Effect]:
        if self._is_registered:
            return [Send(GiveBack(unstarted=unstarted, missing_functions=missing_functions))]
        self._returned += unstarted
        return []

    def _release(self, held: Held) -> Held:
        del self._held[held.task.task_id]
        return held

    # --- stopping and losing ------------------------------------------------------------------------------------

    def _stop(self, held: Held, now: float, *, force: bool) -> list[Effect]:
        assert held.worker is not None  # noqa: S101 - the caller knows that it was dealt
        slot = self._slots[held.worker]
        if held.stop is None:
            held.stop = Stop(Reason.CANCEL, held.options.interrupt_grace)
        held.stop.is_forced |= force
        effects = self._press(slot, now)
        if len(slot.dealt) > 1:
            effects += self._recall(slot)
        return effects

    def _press(self, slot: Slot, now: float) -> list[Effect]:
        """Send the signal that is due to the first task of a worker, if it is being stopped."""
        head = slot.head
        if head is None or head.stop is None or (level := head.stop.due(now)) is None:
            return []
        return [Signal(slot.index, head.number, level)]

    def _lose(self, helds: Sequence[Held], death: Death) -> list[Effect]:
        stopped = [self._release(held).stopped(began=True) for held in helds if held.stop is not None]
        if death.has_hung_loading:
            stopped += [self._release(held).unloaded(death.details()) for held in helds if held.number == death.started]
            helds = [held for held in helds if held.number != death.started]
        lost = [self._release(held).task.lease for held in helds if held.stop is None]
        effects = self._report(stopped)
        if lost:
            details = {**death.details(), "hostname": self._rules.hostname}
            effects += self._report_lost(GiveBack(lost=lost, reason=WorkerLost.code, details=details))
        return effects

    def _give_up(self, started: Sequence[int]) -> list[Effect]:
        """The grace of a drain is over: what still runs is lost."""
        lost: list[Lease] = []
        unstarted: list[Lease] = []
        for slot in self._slots:
            for held in slot.remove(list(slot.dealt)):
                leases = lost if held.number <= started[slot.index] else unstarted
                leases.append(self._release(held).task.lease)
        details = {"hostname": self._rules.hostname}
        effects = self._give_back(unstarted) if unstarted else []
        return effects + (
            self._report_lost(GiveBack(lost=lost, reason=ManagerLost.code, details=details)) if lost else []
        )

    def _end(self, reason: str) -> list[Effect]:
        self._has_ended = True
        return [End(reason)]
