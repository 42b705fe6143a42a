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

from typing import Final

from funcx_core.ids import ManagerId
from funcx_core.protocol.endpoint import Transitions
from funcx_core.protocol.manager import Drain
from funcx_core.protocol.task import TaskState, Transition
from funcx_endpoint.interchange.crew import Crew
from funcx_endpoint.interchange.effects import Bury, Effect, Report, ToManager, Window

REPORTED_PER_TICK: Final = 1000
WAITS_LONG: Final = 1.0
"""Seconds after which a waiting task is reported as such."""
LAST_WORDS: Final = 3.0
"""Seconds beyond the grace of a drain in which managers may say what became of their tasks."""


class Interchange(Crew):
    """Leases tasks to managers. Pure: `now` is monotonic, `stamp` is Unix nanoseconds for people."""

    def tick(self, *, now: float, stamp: int) -> list[Effect]:
        """Time passed."""
        self._now = now
        self._backlog.forget_idle(self._held.values())
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
        self._is_particular = any(record.is_particular for record in self.managers)
        return effects + self._dispatch() + self._report_waiting(stamp) + self._finish(overdue=self._drain_is_over(now))

    @property
    def wants_slots(self) -> bool:
        """Whether tasks wait for a free slot."""
        return bool(self._backlog)

    def slept(self, seconds: float) -> None:
        """Nothing could be heard for so long because this process did not run: that is nobody's silence."""
        for record in self._managers.values():
            record.last_heard += seconds

    def hold_manager(self, manager_id: ManagerId, *, hold: bool = True) -> list[Effect]:
        """Give a manager nothing more, or something again. What it has goes on.

        Raises:
            KeyError: there is no such manager.
        """
        self._managers[manager_id].is_held = hold
        return [] if hold else self._dispatch()

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

    def _report_waiting(self, stamp: int) -> list[Effect]:
        """Say which tasks wait for a free worker; those that are gone in a moment are not worth a message."""
        transitions: list[Transition] = []
        before = stamp - int(WAITS_LONG * 1e9)
        for held in self._backlog.older_than(before):
            if len(transitions) >= REPORTED_PER_TICK:
                break
            if not held.is_over and not held.is_reported:
                held.is_reported = True
                task = held.task
                transitions.append(Transition(task.task_id, task.attempt, TaskState.WAITING_FOR_NODES, held.arrived))
        return [Report(Transitions(transitions))] if transitions else []

    def _drain_is_over(self, now: float) -> bool:
        return self._drain_until is not None and now > self._drain_until + LAST_WORDS
