"""The watch on the first task of each worker: that its user hears that it runs, that it is stopped, and that nothing waits behind it."""

from __future__ import annotations

from typing import Final

from funcx_core.protocol.endpoint import Transitions
from funcx_core.protocol.task import TaskState, TaskTimes, Transition
from funcx_endpoint.manager.machine.effects import Effect, Level, Peek, Send, Signal
from funcx_endpoint.manager.machine.held import Held, Reason, Stop
from funcx_endpoint.manager.machine.holdings import STUCK_SECONDS, recall
from funcx_endpoint.manager.machine.slots import Slot

REPORT_SECONDS: Final = 0.1
"""A task that runs longer than this is worth telling its user that it runs."""


class Watch:
    """`walltime`: seconds, for tasks that set none; None for no limit."""

    def __init__(self, walltime: float | None) -> None:
        self._default_walltime = walltime

    def deadlines(self, slot: Slot, head: Held, *, has_idle: bool) -> list[float]:
        """Return when `look` is wanted.

        Args:
            slot: the worker.
            head: its first task.
            has_idle: whether another worker could take what waits behind it.
        """
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

    def look(self, slot: Slot, head: Held, now: float, at: int, *, started: int, is_heard: bool) -> list[Effect]:
        """Do what is due.

        Args:
            slot: the worker.
            head: its first task.
            now: monotonic seconds.
            at: Unix nanoseconds.
            started: the number in the worker's page.
            is_heard: whether the interchange listens.
        """
        effects: list[Effect] = []
        if len(slot.dealt) > 1 and now >= slot.since + STUCK_SECONDS:
            slot.looked = head.number
            if started > head.number:
                # It has ended, and its result waits in the page behind a task that is not as short as it was.
                return [Peek(slot.index)]
        if not head.is_reported and now >= slot.since + REPORT_SECONDS:
            if started < head.number or not is_heard:
                slot.report_at = now + REPORT_SECONDS  # The worker is slow or was stopped, or nobody listens.
            else:
                effects.append(_running(slot, head, now, at))
        walltime = self._walltime(head)
        if head.stop is None and walltime is not None and now >= slot.since + walltime:
            head.stop = Stop(Reason.WALLTIME, head.options.interrupt_grace)
        return effects + press(slot, now)

    def _walltime(self, held: Held) -> float | None:
        return held.options.walltime or self._default_walltime


def _running(slot: Slot, head: Held, now: float, at: int) -> Effect:
    head.is_reported = True
    began = at - int((now - slot.since) * 1e9)
    times = TaskTimes(manager=head.arrived, started=began, worker=head.place)
    return Send(Transitions([Transition(head.task.task_id, head.task.attempt, TaskState.RUNNING, began, times)]))


def stop(slot: Slot, held: Held, now: float, *, force: bool) -> list[Effect]:
    """Stop a task of this worker, because it was cancelled; `force` at once."""
    if held.stop is None:
        held.stop = Stop(Reason.CANCEL, held.options.interrupt_grace)
    held.stop.is_forced |= force
    effects = press(slot, now)
    return effects + recall(slot) if len(slot.dealt) > 1 else effects


def press(slot: Slot, now: float) -> list[Effect]:
    """Send the signal that is due to the first task of a worker, if it is being stopped."""
    head = slot.head
    if head is None or head.stop is None or (level := head.stop.due(now)) is None:
        return []
    return [Signal(slot.index, head.number, level)]
