"""The interchange's events from managers. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Final

from msgspec import structs

from funcx_core.errors import InputLost
from funcx_core.ids import FunctionId, ManagerId, TaskId
from funcx_core.protocol.endpoint import Cancel, Events, GiveBack, Results, Transitions
from funcx_core.protocol.manager import (
    DISK_FULL,
    DRAINING,
    Drain,
    Drained,
    FromManager,
    ManagerEnvironment,
    ManagerHeartbeat,
    ManagerRefused,
    ManagerRegister,
    ManagerRegistered,
    ReportsAck,
)
from funcx_core.protocol.task import Lease, TaskError, TaskResult, TaskTimes, Transition
from funcx_endpoint.interchange.effects import Bury, Deliver, Effect, Fetch, Report, ToManager, Window
from funcx_endpoint.interchange.records import Held, ManagerRecord
from funcx_endpoint.interchange.upstream import Upstream
from funcx_endpoint.shapes import PLAIN, Node

MUCH_TO_KEEP: Final = 1024 * 1024
"""Bytes of reports after which a manager is told at once that it may forget them."""
MOST_FETCHES: Final = 3
"""How often the inputs of one task are fetched again; nodes that do not share the folder would never find them."""
SUPERSEDED: Final = "superseded"


class Crew(Upstream):
    """Managers register, report, fall silent and end."""

    def receive(  # noqa: PLR0911 - one return for each message
        self, manager_id: ManagerId, message: FromManager, *, now: float, stamp: int
    ) -> list[Effect]:
        """A manager sent `message`."""
        if isinstance(message, ManagerRegister):
            return self._register(message, now=now, stamp=stamp)
        record = self._managers.get(manager_id)
        if record is None:
            return [_refusal(manager_id)]
        record.last_heard = self._now = now
        effects: list[Effect] = [_refusal(manager_id)] if record.is_gone else []
        match message:
            case Results(results=results):
                return effects + self._results(record, results)
            case _ if record.is_gone:
                return effects
            case ManagerHeartbeat(idle=idle, state=state):
                record.load, record.memory_free = message.load, message.memory_free
                record.containers = message.containers
                record.idle = idle
                was_full, record.is_full = record.is_full, state == DISK_FULL
                record.is_draining |= state == DRAINING
                return self._dispatch() if was_full and not record.is_full else effects
            case GiveBack():
                return self._given_back(record, message, stamp=stamp)
            case Drained():
                record.is_draining = True
                return self.manager_lost(manager_id, frozenset(), stamp=stamp)
            case Events() | Transitions():
                return [Report(self._placed(record, message))]
            case ManagerEnvironment():
                return effects  # The shell keeps it: nothing is decided from it.

    def settled(self, manager_id: ManagerId | None, number: int) -> list[Effect]:
        """`number` results of a `Deliver` are on disk or acknowledged: their slots are free."""
        effects: list[Effect] = []
        if manager_id is not None and (record := self._managers.get(manager_id)) is not None:
            record.unsettled -= number
            # `Deliver`s are settled in their order.
            record.settling.popleft().waiting = 0
            record.count_safe()
            if record.is_draining or record.weight > MUCH_TO_KEEP:
                effects += self._tell_safe(record)
        return effects + self._dispatch()

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
        return effects + (self._return_waiting() if self.is_draining else self._dispatch()) + self._finish()

    def _register(self, message: ManagerRegister, *, now: float, stamp: int) -> list[Effect]:
        self._now = now
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
                node=_node(message, self._routing.node),
                ends_at=math.inf if message.seconds_left is None else now + message.seconds_left,
                bound=message.container,
            )
        refused = self._refused_now() if self._largest.learn(known.node) else []
        self._is_particular |= known.is_particular
        known.last_heard = now
        known.begin_session(message.session)
        answer = ManagerRegistered(self._period, self._threshold, message.session)
        effects: list[Effect] = [ToManager(message.manager_id, answer), *self._reconcile(known, message.held, stamp)]
        effects += self._refuse(refused, stamp)
        if self.is_draining:
            known.is_draining = True
            effects += [*self._return_waiting(), ToManager(message.manager_id, Drain(self._grace))]
            return effects + self._finish()
        return [*effects, Window(self.window), *self._dispatch()]

    def _refused_now(self) -> list[tuple[Held, str]]:
        """Return the waiting tasks of which it turns out that no node can run them."""
        waiting = (held for lane in self._backlog.lanes() if lane.shape is not PLAIN for held in lane.queue)
        found = ((held, self._largest.refusal(held.task.options)) for held in waiting if not held.is_over)
        return [(held, why) for held, why in found if why is not None]

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
        is_shared = self._backlog.is_shared
        node = sender.place
        for result in results:
            task_id = result.task_id
            held = held_now.get(task_id)
            if held is None or held.task.attempt != result.attempt:
                self.late_results += 1
                continue
            if result.error is not None and held.manager is sender and self._is_to_be_fetched_again(held, result.error):
                effects += self._fetch_again(held)
                continue
            times = result.times
            function_id = held.task.function_id
            if is_shared:
                self._backlog.ended(held, (times.ended - times.started) / 1e9)
            if held.manager is sender:
                del held_now[task_id]
                if held.width > 1:
                    sender.extra -= held.width - 1
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
                TaskTimes(held.arrived, times.manager, times.started, times.ended, node, times.worker),
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

    def _placed(self, record: ManagerRecord, message: Events | Transitions) -> Events | Transitions:
        """Return it; what a transition says of times, with this hop's time and the node's name."""
        if isinstance(message, Events):
            return message
        placed: list[Transition] = []
        for each in message.transitions:
            held, times = self._held.get(each.task_id), each.times
            if held is not None and times is not None:
                times = structs.replace(times, interchange=held.arrived, node=record.place)
            placed.append(structs.replace(each, times=times))
        return Transitions(placed)

    def _is_to_be_fetched_again(self, held: Held, error: TaskError) -> bool:
        """Whether somebody removed inputs of a task before it could start. It did not run, so it may run again."""
        return error.code == InputLost.code and held.fetched_again < MOST_FETCHES

    def _fetch_again(self, held: Held) -> list[Effect]:
        if held.cancel is not None:
            return self._requeue([held], held.arrived)
        assert held.manager is not None  # noqa: S101 - it sent a result
        held.manager.release_one(held)
        held.manager = None
        held.fetched_again += 1
        held.is_fetching = True
        return [Fetch(held.task)]

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
        return effects + (self._return_waiting() if self.is_draining else self._dispatch()) + self._finish()


def _node(message: ManagerRegister, configured: Node | None) -> Node:
    """Return a manager's node in slots."""
    return Node(
        max(message.capacity, 1),
        message.cores,
        message.memory_bytes,
        message.accelerators,
        None if configured is None else configured.seconds,
        message.nodes,
    )


def _refusal(manager_id: ManagerId) -> ToManager:
    text = "The interchange gave this manager up and its tasks to others; it must end."
    return ToManager(manager_id, ManagerRefused(SUPERSEDED, text))
