"""The interchange as a machine: give it messages and the time, perform the effects it returns.

Theory of operation. A lease of this endpoint is in exactly one place:

- *fetching*: its arguments are large and on their way here,
- *waiting* in the queue,
- *leased* on to one manager,
- *ended*: its result is kept until the service acknowledges it, or
- *lost*: it had started and its manager died; kept until the forwarder acknowledges that.

A task's life here is waiting → leased → ended. A manager that dies or falls silent is *gone* for good: what it had not
started waits again, at the head; what it had started is lost, and the forwarder decides about another attempt. A gone
manager may only be frozen. So a result of it still counts if its lease is open here, whoever has it now; the first
result of a lease is the only one.

A manager and the interchange may lose each other's messages and begin a new session: then what the manager does not hold
never reached it and waits again, and cancellations are repeated. What the manager reported it keeps until it is *safe* here
(a result: on disk; a loss: acknowledged by the forwarder), and hears of that with the next tick, or sooner if it is much.

The slot of an ended task is free when its result is on disk (`settled`). The bodies of functions come once per session
from the forwarder and go once to each manager.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from funcx_core.ids import FunctionId, ManagerId, TaskId
from funcx_core.protocol.blob import is_reference
from funcx_core.protocol.endpoint import Cancel, Events, GiveBack, Results, TaskBatch, Transitions
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.manager import (
    Drain,
    Drained,
    FromManager,
    ManagerHeartbeat,
    ManagerRefused,
    ManagerRegister,
    ManagerRegistered,
    ReportsAck,
)
from funcx_core.protocol.task import Function, Lease, TaskError, TaskResult, TaskState, TaskTimes, Transition
from funcx_endpoint.interchange.dispatch import RunTimes, deal
from funcx_endpoint.interchange.effects import Bury, Deliver, Effect, Fetch, Finished, Forget, Report, ToManager, Window
from funcx_endpoint.interchange.records import Held, ManagerRecord, Reported

BATCH_TASKS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
LEAST_WINDOW: Final = 1024
WINDOW_PER_WORKER: Final = 4
REPORTED_PER_TICK: Final = 1000
WAITS_LONG: Final = 1.0
"""Seconds after which a waiting task is reported as such."""
LAST_WORDS: Final = 3.0
"""Seconds beyond the grace of a drain in which managers may say what became of their tasks."""
SPARE_BODIES: Final = 1024
MUCH_TO_KEEP: Final = 1024 * 1024
"""Bytes of reports after which a manager is told at once that it may forget them."""
SUPERSEDED: Final = "superseded"


class Interchange:
    """Leases tasks to managers. Pure: `now` is monotonic, `stamp` is Unix nanoseconds for people."""

    def __init__(self, *, heartbeat_period: float, heartbeat_threshold: float, window: int | None = None) -> None:
        self._period = heartbeat_period
        self._threshold = heartbeat_threshold
        self._fixed_window = window
        self._held: dict[TaskId, Held] = {}
        self._waiting: deque[Held] = deque()
        self._ended: dict[TaskId, TaskResult] = {}
        self._lost: dict[Lease, tuple[ManagerRecord, Reported] | None] = {}
        self._managers: dict[ManagerId, ManagerRecord] = {}
        self._session_functions = FunctionCache()
        self._bodies: dict[FunctionId, Function] = {}
        self._body_limit = SPARE_BODIES
        self._early_cancels: dict[TaskId, float] = {}
        self._run_times = RunTimes()
        self._disk_is_full = False
        self._drain_until: float | None = None
        self._grace = 0.0
        self._has_finished = False
        self.late_results = 0

    # --- what the shell asks -----------------------------------------------------------------------------------

    @property
    def window(self) -> int:
        """How many leases the endpoint takes at most."""
        if self._disk_is_full or self.is_draining:
            return 0
        return self._fixed_window or max(LEAST_WINDOW, WINDOW_PER_WORKER * self.workers)

    @property
    def is_draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._drain_until is not None

    @property
    def managers(self) -> list[ManagerRecord]:
        """The managers that are in charge of something."""
        return [record for record in self._managers.values() if not record.is_gone]

    def manager(self, manager_id: ManagerId) -> ManagerRecord:
        """Return what is known of a manager that registered."""
        return self._managers[manager_id]

    @property
    def workers(self) -> int:
        """Slots of all managers."""
        return sum(record.capacity for record in self.managers)

    @property
    def running(self) -> int:
        """Leases that are with managers."""
        return sum(record.leased for record in self._managers.values())

    @property
    def waiting(self) -> int:
        """Leases that wait here."""
        return len(self._held) - self.running

    @property
    def unacknowledged(self) -> int:
        """Results that the service has not acknowledged."""
        return len(self._ended)

    def held(self) -> list[Lease]:
        """Return all leases that a registration must name as held: open ones, and ended ones not yet acknowledged."""
        return [held.task.lease for held in self._held.values()] + [result.lease for result in self._ended.values()]

    def lost(self) -> list[Lease]:
        """Return the leases that a registration must name as lost."""
        return list(self._lost)

    def check(self) -> None:
        """Assert what must always hold; tests call it after every step."""
        assert not self._held.keys() & self._ended.keys(), "a lease is open and ended"  # noqa: S101
        queued = [held for held in self._waiting if not held.is_over]
        unleased = [held for held in self._held.values() if held.manager is None and not held.is_fetching]
        assert len(queued) == len(unleased), "a waiting lease is not in the queue once"  # noqa: S101
        assert {id(held) for held in queued} == {id(held) for held in unleased}, "the queue has what is not waiting"  # noqa: S101
        for record in self._managers.values():
            leased = [held for held in self._held.values() if held.manager is record]
            assert record.leased == len(leased) == sum(record.counts.values()), "a manager's count is wrong"  # noqa: S101
            assert record.unsettled >= 0, "more was settled than ended"  # noqa: S101

    # --- the forwarder -----------------------------------------------------------------------------------------

    def recovered(self, results: Sequence[TaskResult], lost: Iterable[Lease]) -> None:
        """An earlier agent of this endpoint left these results, and these leases without one."""
        for result in results:
            self._ended[result.task_id] = result
        for lease in lost:
            if lease.task_id not in self._ended:
                self._lost[lease] = None

    def session_opened(self, release: Sequence[Lease], *, now: float, stamp: int) -> list[Effect]:
        """A session with the forwarder is open; `release` names held leases that the service no longer wants."""
        self._session_functions.clear()
        unwanted = [lease.task_id for lease in release if self._is_open(lease)]
        effects = self.acknowledged(release)
        if unwanted:
            effects += self.cancel(Cancel(unwanted, force=True), now=now, stamp=stamp)
        return [*effects, Window(self.window)]

    def unacknowledged_results(self) -> list[list[TaskResult]]:
        """Return what a new session must hear again, in frames of bounded size."""
        frames: list[list[TaskResult]] = []
        size = BATCH_BYTES
        for result in self._ended.values():
            if size >= BATCH_BYTES or len(frames[-1]) >= BATCH_TASKS:
                frames.append([])
                size = 0
            frames[-1].append(result)
            size += len(result.value)
        return frames

    def tasks(self, batch: TaskBatch, *, now: float, stamp: int) -> list[Effect]:
        """The forwarder leased these tasks."""
        self._session_functions.receive(batch.functions, [task.function_id for task in batch.tasks])
        for function in batch.functions:
            self._bodies[function.function_id] = function
        effects: list[Effect] = []
        without_body: list[Lease] = []
        held_now, bodies, waiting = self._held, self._bodies, self._waiting
        for task in batch.tasks:
            task_id = task.task_id
            if task.function_id not in bodies:
                without_body.append(task.lease)
                continue
            if (task_id in held_now or task_id in self._ended) and not self._supersede(task.lease, effects):
                continue
            held = Held(task, stamp)
            held_now[task_id] = held
            if is_reference(task.payload):
                held.is_fetching = True
                effects.append(Fetch(task))
            else:
                waiting.append(held)
        if without_body:
            effects.append(Report(GiveBack(unstarted=without_body, missing_functions=True)))
        if self._early_cancels:
            effects += self._cancel_early(batch, now=now, stamp=stamp)
        self._prune_bodies()
        if self.is_draining:
            return effects + self._return_waiting()
        return effects + self._dispatch(stamp)

    def fetched(self, lease: Lease, *, stamp: int) -> list[Effect]:
        """The arguments of this lease are here."""
        held = self._fetching(lease)
        if held is None:
            return []
        held.is_fetching = False
        self._waiting.append(held)
        return self._return_waiting() if self.is_draining else self._dispatch(stamp)

    def not_fetched(self, lease: Lease, error: TaskError, *, stamp: int) -> list[Effect]:
        """The arguments of this lease cannot be had: it fails."""
        held = self._fetching(lease)
        if held is None:
            return []
        return [Deliver(None, [self._end_waiting(held, TaskState.FAILED, error, stamp)]), *self._finish()]

    def arguments(self) -> set[bytes]:
        """Return the payloads of open leases whose arguments are large."""
        payloads = (held.task.payload for held in self._held.values())
        return {payload for payload in payloads if is_reference(payload)}

    def replaced(self, result: TaskResult) -> bool:
        """The result of an ended lease cannot be sent; this is told instead. Whether anybody still waits for it."""
        ended = self._ended.get(result.task_id)
        if ended is None or ended.attempt != result.attempt:
            return False
        self._ended[result.task_id] = result
        return True

    def acknowledged(self, leases: Iterable[Lease]) -> list[Effect]:
        """The service has these results, or does not want them; or it heard that these leases are lost."""
        forget = []
        ended = self._ended
        for lease in leases:
            result = ended.get(lease.task_id)
            if result is not None and result.attempt == lease.attempt:
                del ended[lease.task_id]
                forget.append(lease)
            elif self._lost and (reporter := self._lost.pop(lease, None)) is not None:
                record, report = reporter
                report.waiting -= 1
                record.count_safe()
        return [Forget(forget)] if forget else []

    def cancel(self, cancel: Cancel, *, now: float, stamp: int) -> list[Effect]:
        """The service wants these tasks stopped."""
        by_manager: dict[ManagerId, list[TaskId]] = {}
        results: list[TaskResult] = []
        for task_id in cancel.task_ids:
            held = self._held.get(task_id)
            if held is None:
                # Commands and tasks travel on different channels: the task may be on its way.
                self._early_cancels[task_id] = now + self._threshold
            elif held.manager is None:
                results.append(self._cancel_waiting(held, stamp))
            else:
                held.cancel = cancel.force or bool(held.cancel)
                by_manager.setdefault(held.manager.manager_id, []).append(task_id)
        effects: list[Effect] = [
            ToManager(manager_id, Cancel(task_ids, cancel.force)) for manager_id, task_ids in by_manager.items()
        ]
        return [Deliver(None, results), *effects] if results else effects

    # --- managers ----------------------------------------------------------------------------------------------

    def receive(  # noqa: PLR0911 - one return for each message
        self, manager_id: ManagerId, message: FromManager, *, now: float, stamp: int
    ) -> list[Effect]:
        """A manager sent `message`."""
        if isinstance(message, ManagerRegister):
            return self._register(message, now=now, stamp=stamp)
        record = self._managers.get(manager_id)
        if record is None:
            return [_refusal(manager_id)]
        record.last_heard = now
        effects: list[Effect] = [_refusal(manager_id)] if record.is_gone else []
        match message:
            case Results(results=results):
                return effects + self._results(record, results)
            case _ if record.is_gone:
                return effects
            case ManagerHeartbeat(idle=idle, state=state):
                record.idle = idle
                was_full, record.is_full = record.is_full, bool(state)
                return self._dispatch(stamp) if was_full and not record.is_full else effects
            case GiveBack():
                return self._given_back(record, message, stamp=stamp)
            case Drained():
                record.is_draining = True
                return self.manager_lost(manager_id, frozenset(), stamp=stamp)
            case Events() | Transitions():
                return [Report(message)]

    def settled(self, manager_id: ManagerId | None, number: int, *, stamp: int) -> list[Effect]:
        """`number` results of a `Deliver` are on disk or acknowledged: their slots are free."""
        effects: list[Effect] = []
        if manager_id is not None and (record := self._managers.get(manager_id)) is not None:
            record.unsettled -= number
            # `Deliver`s are settled in their order.
            record.settling.popleft().waiting = 0
            record.count_safe()
            if record.is_draining or record.weight > MUCH_TO_KEEP:
                effects += self._tell_safe(record)
        return effects + self._dispatch(stamp)

    def manager_ended(self, manager_id: ManagerId) -> list[Effect]:
        """The manager's process or block is known to have ended."""
        record = self._managers.get(manager_id)
        if record is None or record.is_gone:
            return []
        record.is_gone = True
        return [Bury(manager_id)]

    def manager_lost(self, manager_id: ManagerId, started: Collection[TaskId] | None, *, stamp: int) -> list[Effect]:
        """A manager is gone for good. `started`: the tasks it may have begun; None if that is not known, then all."""
        record = self._managers[manager_id]
        record.is_gone = record.is_buried = True
        unstarted: list[Held] = []
        lost: list[Lease] = []
        for held in [held for held in self._held.values() if held.manager is record]:
            if started is None or held.task.task_id in started:
                lost.append(self._drop(held).task.lease)
            else:
                unstarted.append(held)
        effects = self._requeue(unstarted, stamp)
        effects += self._report_lost(lost, "manager_lost", {"hostname": record.hostname})
        return effects + (self._return_waiting() if self.is_draining else self._dispatch(stamp)) + self._finish()

    # --- time, disk, end ---------------------------------------------------------------------------------------

    def tick(self, *, now: float, stamp: int) -> list[Effect]:
        """Time passed."""
        effects: list[Effect] = []
        for record in self._managers.values():
            if not record.is_gone and now - record.last_heard > self._threshold:
                record.is_gone = True
                effects.append(Bury(record.manager_id))
            else:
                effects += self._tell_safe(record)
        self._early_cancels = {task_id: end for task_id, end in self._early_cancels.items() if end > now}
        self._managers = {
            manager_id: record
            for manager_id, record in self._managers.items()
            if not record.is_buried or now - record.last_heard < 10 * self._threshold
        }
        return effects + self._report_waiting(stamp) + self._finish(overdue=self._drain_is_over(now))

    def slept(self, seconds: float) -> None:
        """Nothing could be heard for so long because this process did not run: that is nobody's silence."""
        for record in self._managers.values():
            record.last_heard += seconds

    def disk(self, *, is_full: bool) -> list[Effect]:
        """Results cannot be written to disk now, or can again."""
        self._disk_is_full = is_full
        return [Window(self.window)]

    def drain(self, grace: float, *, now: float) -> list[Effect]:
        """Take nothing more, give back what has not started, let the rest finish within `grace` seconds."""
        self._drain_until = now + grace
        self._grace = grace
        effects: list[Effect] = [Window(0), *self._return_waiting()]
        for record in self.managers:
            record.is_draining = True
            effects.append(ToManager(record.manager_id, Drain(grace)))
        return effects + self._finish()

    # --- how -----------------------------------------------------------------------------------------------

    def _register(self, message: ManagerRegister, *, now: float, stamp: int) -> list[Effect]:
        known = self._managers.get(message.manager_id)
        if known is not None and (known.is_gone or known.epoch != message.epoch):
            return [_refusal(message.manager_id)]
        if known is None:
            known = self._managers[message.manager_id] = ManagerRecord(
                message.manager_id,
                max(message.capacity, 1),
                now=now,
                epoch=message.epoch,
                block_id=message.block_id,
                hostname=message.hostname,
                pid=message.pid,
            )
        known.last_heard = now
        known.begin_session(message.session)
        answer = ManagerRegistered(self._period, self._threshold, message.session)
        effects: list[Effect] = [ToManager(message.manager_id, answer), *self._reconcile(known, message.held, stamp)]
        if self.is_draining:
            known.is_draining = True
            effects += [*self._return_waiting(), ToManager(message.manager_id, Drain(self._grace))]
            return effects + self._finish()
        return [*effects, Window(self.window), *self._dispatch(stamp)]

    def _reconcile(self, record: ManagerRecord, holds: Collection[Lease], stamp: int) -> list[Effect]:
        """Settle what a manager that registers holds, and what it should hold."""
        there = {(lease.task_id, lease.attempt) for lease in holds}
        absent: list[Held] = []
        again: dict[bool, list[TaskId]] = {}
        for held in self._held.values():
            if held.manager is not record:
                continue
            key = (held.task.task_id, held.task.attempt)
            if key not in there:
                absent.append(held)
                continue
            there.discard(key)
            if held.cancel is not None:
                again.setdefault(held.cancel, []).append(held.task.task_id)
        # Nobody waits for the rest: its report was taken before, or the service wants it no more.
        if there:
            again.setdefault(True, []).extend(task_id for task_id, _ in sorted(there))
        effects = self._requeue(absent, stamp)
        return [
            *(ToManager(record.manager_id, Cancel(task_ids, force)) for force, task_ids in again.items()),
            *effects,
        ]

    def _tell_safe(self, record: ManagerRecord) -> list[Effect]:
        if record.safe == record.told:
            return []
        record.told, record.weight = record.safe, 0
        return [ToManager(record.manager_id, ReportsAck(record.session, record.safe))]

    def _results(self, sender: ManagerRecord, results: list[TaskResult]) -> list[Effect]:
        """Of each open lease the first result counts, whoever sent it."""
        accepted: list[TaskResult] = []
        effects: list[Effect] = []
        ran: dict[FunctionId, list[int]] = {}
        held_now, ended = self._held, self._ended
        for result in results:
            task_id = result.task_id
            held = held_now.get(task_id)
            if held is None or held.task.attempt != result.attempt:
                self.late_results += 1
                continue
            times = result.times
            function_id = held.task.function_id
            if held.manager is sender:
                del held_now[task_id]
                total = ran.get(function_id)
                if total is None:
                    total = ran[function_id] = [0, 0]
                total[0] += 1
                total[1] += times.ended - times.started
            else:
                self._end_elsewhere(held, effects)
            kept = ended[task_id] = TaskResult(
                task_id,
                result.attempt,
                result.state,
                result.value,
                result.error,
                TaskTimes(held.arrived, times.manager, times.started, times.ended),
            )
            accepted.append(kept)
        for function_id, (number, nanoseconds) in ran.items():
            sender.release(function_id, number)
            self._run_times.observe(function_id, nanoseconds / 1e9, number)
        weight = sum([len(result.value) for result in results])
        report = sender.reported(len(accepted), len(results), weight)
        if not accepted:
            sender.count_safe()
            return effects
        sender.settling.append(report)
        sender.unsettled += len(accepted)
        return [Deliver(sender.manager_id, accepted), *effects, *self._finish()]

    def _end_elsewhere(self, held: Held, effects: list[Effect]) -> None:
        """A manager that was given up ended a lease that waits again, or that another manager has by now."""
        holder = held.manager
        self._drop(held)
        if holder is not None and not holder.is_gone:
            effects.append(ToManager(holder.manager_id, Cancel([held.task.task_id], force=True)))

    def _given_back(self, record: ManagerRecord, message: GiveBack, *, stamp: int) -> list[Effect]:
        unstarted = [held for lease in message.unstarted if (held := self._leased_to(record, lease)) is not None]
        lost = [held for lease in message.lost if (held := self._leased_to(record, lease)) is not None]
        if message.missing_functions:
            record.functions.forget({held.task.function_id for held in unstarted})
        effects = self._requeue(unstarted, stamp)
        leases = [self._drop(held).task.lease for held in lost]
        effects += self._report_lost(leases, message.reason, message.details)
        if message.lost:
            report = record.reported(len(leases), len(message.lost))
            self._lost.update(dict.fromkeys(leases, (record, report)))
            record.count_safe()
        return effects + (self._return_waiting() if self.is_draining else self._dispatch(stamp)) + self._finish()

    def _is_open(self, lease: Lease) -> bool:
        held = self._held.get(lease.task_id)
        return held is not None and held.task.attempt == lease.attempt

    def _leased_to(self, record: ManagerRecord, lease: Lease) -> Held | None:
        held = self._held.get(lease.task_id)
        if held is None or held.manager is not record or held.task.attempt != lease.attempt:
            return None
        return held

    def _drop(self, held: Held) -> Held:
        """The lease is no longer open here."""
        del self._held[held.task.task_id]
        if held.manager is None:
            held.is_over = True
        else:
            held.manager.release(held.task.function_id)
        return held

    def _requeue(self, unstarted: list[Held], stamp: int) -> list[Effect]:
        """What came back unstarted waits again, unless it was to be cancelled."""
        for held in unstarted:
            if held.manager is not None:
                held.manager.release(held.task.function_id)
            held.manager = None
        self._waiting.extendleft([held for held in reversed(unstarted) if held.cancel is None])
        cancelled = [self._cancel_waiting(held, stamp) for held in unstarted if held.cancel is not None]
        return [Deliver(None, cancelled)] if cancelled else []

    def _report_lost(self, lost: list[Lease], reason: str, details: dict[str, Any]) -> list[Effect]:
        if not lost:
            return []
        self._lost.update(dict.fromkeys(lost))
        return [Report(GiveBack(lost=lost, reason=reason, details=details))]

    def _return_waiting(self) -> list[Effect]:
        unstarted = [held.task.lease for held in self._waiting if not held.is_over]
        unstarted += [held.task.lease for held in self._held.values() if held.is_fetching]
        for lease in unstarted:
            del self._held[lease.task_id]
        self._waiting.clear()
        return [Report(GiveBack(unstarted=unstarted))] if unstarted else []

    def _supersede(self, lease: Lease, effects: list[Effect]) -> bool:
        """Whether a lease of a task that is here already is news: a later attempt fences the earlier one."""
        task_id = lease.task_id
        if (ended := self._ended.get(task_id)) is not None:
            if ended.attempt >= lease.attempt:
                return False
            effects += self.acknowledged([ended.lease])
            return True
        held = self._held[task_id]
        if held.task.attempt >= lease.attempt:
            return False
        holder = held.manager
        self._drop(held)
        if holder is not None and not holder.is_gone:
            effects.append(ToManager(holder.manager_id, Cancel([task_id], force=True)))
        return True

    def _cancel_early(self, batch: TaskBatch, *, now: float, stamp: int) -> list[Effect]:
        cancelled = [task.task_id for task in batch.tasks if self._early_cancels.pop(task.task_id, None) is not None]
        return self.cancel(Cancel(cancelled), now=now, stamp=stamp) if cancelled else []

    def _fetching(self, lease: Lease) -> Held | None:
        held = self._held.get(lease.task_id)
        return held if held is not None and held.is_fetching and held.task.attempt == lease.attempt else None

    def _cancel_waiting(self, held: Held, stamp: int) -> TaskResult:
        error = TaskError(code="task_cancelled", message="The task was cancelled before it started.")
        return self._end_waiting(held, TaskState.CANCELLED, error, stamp)

    def _end_waiting(self, held: Held, state: TaskState, error: TaskError, stamp: int) -> TaskResult:
        task = self._drop(held).task
        result = TaskResult(
            task.task_id,
            task.attempt,
            state,
            error=error,
            times=TaskTimes(interchange=held.arrived, ended=stamp),
        )
        self._ended[task.task_id] = result
        return result

    def _report_waiting(self, stamp: int) -> list[Effect]:
        """Say which tasks wait for a free worker; those that are gone in a moment are not worth a message."""
        transitions: list[Transition] = []
        before = stamp - int(WAITS_LONG * 1e9)
        for held in self._waiting:
            if held.arrived > before or len(transitions) >= REPORTED_PER_TICK:
                break
            if not held.is_over and not held.is_reported:
                held.is_reported = True
                task = held.task
                transitions.append(Transition(task.task_id, task.attempt, TaskState.WAITING_FOR_NODES, held.arrived))
        return [Report(Transitions(transitions))] if transitions else []

    def _dispatch(self, stamp: int) -> list[Effect]:  # noqa: ARG002 - the seam for walltimes of waiting tasks
        if not self._waiting or self.is_draining:
            return []
        effects: list[Effect] = []
        for record, taken in deal(self._waiting, self._managers.values(), self._run_times):
            for part in _parts(taken):
                missing = record.functions.to_send(held.task.function_id for held in part)
                bodies = [self._bodies[function_id] for function_id in missing]
                batch = TaskBatch([held.task for held in part], bodies, record.session)
                effects.append(ToManager(record.manager_id, batch))
        return effects

    def _prune_bodies(self) -> None:
        """Forget bodies that neither the session nor an open lease refers to."""
        if len(self._bodies) <= self._body_limit:
            return
        used = {held.task.function_id for held in self._held.values()}
        self._bodies = {
            function_id: body
            for function_id, body in self._bodies.items()
            if function_id in used or function_id in self._session_functions
        }
        self._body_limit = len(self._bodies) + SPARE_BODIES

    def _drain_is_over(self, now: float) -> bool:
        return self._drain_until is not None and now > self._drain_until + LAST_WORDS

    def _finish(self, *, overdue: bool = False) -> list[Effect]:
        if not self.is_draining or self._has_finished or (self._held and not overdue):
            return []
        self._has_finished = True
        lost = [self._drop(held).task.lease for held in list(self._held.values())]
        return [*self._report_lost(lost, "endpoint_lost", {}), Finished()]


def _refusal(manager_id: ManagerId) -> ToManager:
    text = "The interchange gave this manager up and its tasks to others; it must end."
    return ToManager(manager_id, ManagerRefused(SUPERSEDED, text))


def _parts(taken: list[Held]) -> Iterable[list[Held]]:
    """Cut what a manager is given into frames of bounded size."""
    start, size = 0, 0
    for index, held in enumerate(taken):
        size += len(held.task.payload)
        if index > start and (size > BATCH_BYTES or index - start >= BATCH_TASKS):
            yield taken[start:index]
            start, size = index, len(held.task.payload)
    yield taken[start:]
