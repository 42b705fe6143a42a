"""The book of leases of an endpoint: which are open, waiting or ended here, and the ways in which one changes its place. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from funcx_core.errors import ResourcesUnavailable
from funcx_core.ids import ManagerId, TaskId
from funcx_core.protocol.endpoint import GiveBack, TaskBatch
from funcx_core.protocol.task import Lease, Task, TaskError, TaskResult, TaskState, TaskTimes
from funcx_endpoint.interchange.backlog import Backlog
from funcx_endpoint.interchange.bodies import Bodies
from funcx_endpoint.interchange.dispatch import RunTimes, deal
from funcx_endpoint.interchange.effects import Deliver, Effect, Finished, Forget, Report, ToManager
from funcx_endpoint.interchange.placing import Placing
from funcx_endpoint.interchange.records import Held, ManagerRecord, Reported
from funcx_endpoint.shapes import Largest, Routing

BATCH_TASKS: Final = 500
BATCH_BYTES: Final = 1024 * 1024


ORDINARY: Final = Routing()


class Ledger:
    """What `Interchange` remembers, and the changes that several of its events have in common."""

    def __init__(
        self,
        *,
        heartbeat_period: float,
        heartbeat_threshold: float,
        window: int | None = None,
        routing: Routing = ORDINARY,
    ) -> None:
        self._period = heartbeat_period
        self._threshold = heartbeat_threshold
        self._fixed_window = window
        self._held: dict[TaskId, Held] = {}
        self._backlog = Backlog()
        self._routing = routing
        self._largest = Largest(routing.node)
        self._now = -math.inf
        self._is_particular = False  # whether a manager is, see `ManagerRecord.is_particular`
        self._ended: dict[TaskId, TaskResult] = {}
        self._lost: dict[Lease, tuple[ManagerRecord, Reported] | None] = {}
        self._managers: dict[ManagerId, ManagerRecord] = {}
        self._bodies = Bodies()
        self._early_cancels: dict[TaskId, float] = {}
        self._run_times = RunTimes()
        self._disk_is_full = False
        self._drain_until: float | None = None
        self._grace = 0.0
        self._has_finished = False
        self.late_results = 0

    # --- what the shell asks -----------------------------------------------------------------------------------

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
    def demand(self) -> int:
        """Slots that open tasks take or would take."""
        extra = sum(record.extra for record in self._managers.values())
        wide = sum(
            (self._largest.width(lane.shape) - 1) * len(lane.queue)
            for lane in self._backlog.lanes()
            if not lane.is_light
        )
        return len(self._held) + extra + wide

    @property
    def unacknowledged(self) -> int:
        """Results that the service has not acknowledged."""
        return len(self._ended)

    @property
    def now(self) -> float:
        """The latest time that it was told."""
        return self._now

    def get_total_live_workers(self) -> int:
        """Return the workers of all managers that are there."""
        return self.workers

    def get_total_tasks_outstanding(self) -> int:
        """Return how many tasks wait or run."""
        return len(self._held)

    def get_outstanding_breakdown(self) -> list[tuple[str, int, bool]]:
        """Return the tasks in the queue and at each manager, and whether it takes more."""
        queue = [("interchange", self.waiting, not self.is_draining)]
        return [*queue, *((str(record.manager_id), record.leased, record.is_open) for record in self.managers)]

    def open_leases(self) -> Iterable[Held]:
        """Return every lease that waits or runs."""
        return self._held.values()

    def open_tasks(self) -> Iterator[Task]:
        """Return every task that waits or runs."""
        return (held.task for held in self._held.values())

    def held(self) -> list[Lease]:
        """Return all leases that a registration must name as held: open ones, and ended ones not yet acknowledged."""
        return [held.task.lease for held in self._held.values()] + [result.lease for result in self._ended.values()]

    def lost(self) -> list[Lease]:
        """Return the leases that a registration must name as lost."""
        return list(self._lost)

    def check(self) -> None:
        """Assert what must always hold; tests call it after every step."""
        assert not self._held.keys() & self._ended.keys(), "a lease is open and ended"  # noqa: S101
        queued = [held for held in self._backlog if not held.is_over]
        unleased = [held for held in self._held.values() if held.manager is None and not held.is_fetching]
        assert len(queued) == len(unleased), "a waiting lease is not in the queue once"  # noqa: S101
        assert {id(held) for held in queued} == {id(held) for held in unleased}, "the queue has what is not waiting"  # noqa: S101
        for record in self._managers.values():
            leased = [held for held in self._held.values() if held.manager is record]
            assert record.leased == len(leased) == sum(record.counts.values()), "a manager's count is wrong"  # noqa: S101
            assert record.unsettled >= 0, "more was settled than ended"  # noqa: S101
            assert record.extra == sum(held.width - 1 for held in leased), "a manager's slots are wrong"  # noqa: S101
            lane = record.reserved_for
            assert lane is None or lane.reserved is record, "a manager is kept free for nobody"  # noqa: S101

    # --- leases change their place -------------------------------------------------------------------------------

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

    def _is_open(self, lease: Lease) -> bool:
        held = self._held.get(lease.task_id)
        return held is not None and held.task.attempt == lease.attempt

    def _leased_to(self, record: ManagerRecord, lease: Lease) -> Held | None:
        held = self._held.get(lease.task_id)
        if held is None or held.manager is not record or held.task.attempt != lease.attempt:
            return None
        return held

    def _fetching(self, lease: Lease) -> Held | None:
        held = self._held.get(lease.task_id)
        return held if held is not None and held.is_fetching and held.task.attempt == lease.attempt else None

    def _drop(self, held: Held) -> Held:
        """The lease is no longer open here."""
        del self._held[held.task.task_id]
        if held.manager is None:
            held.is_over = True
        else:
            held.manager.release_one(held)
        return held

    def _requeue(self, unstarted: list[Held], stamp: int) -> list[Effect]:
        """What came back unstarted waits again, unless it was to be cancelled."""
        for held in unstarted:
            if held.manager is not None:
                held.manager.release_one(held)
            held.manager = None
        self._backlog.put_back([held for held in unstarted if held.cancel is None])
        cancelled = [self._cancel_waiting(held, stamp) for held in unstarted if held.cancel is not None]
        return [Deliver(None, cancelled)] if cancelled else []

    def _report_lost(self, lost: list[Lease], reason: str, details: dict[str, Any]) -> list[Effect]:
        if not lost:
            return []
        self._lost.update(dict.fromkeys(lost))
        return [Report(GiveBack(lost=lost, reason=reason, details=details))]

    def _return_waiting(self) -> list[Effect]:
        unstarted = [held.task.lease for held in self._backlog if not held.is_over]
        unstarted += [held.task.lease for held in self._held.values() if held.is_fetching]
        for lease in unstarted:
            del self._held[lease.task_id]
        self._backlog.clear()
        return [Report(GiveBack(unstarted=unstarted))] if unstarted else []

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

    def _refuse(self, refused: Iterable[tuple[Held, str]], stamp: int) -> list[Effect]:
        """Fail waiting tasks that no node of this endpoint can run."""
        ended = [
            self._end_waiting(held, TaskState.FAILED, TaskError(code=ResourcesUnavailable.code, message=why), stamp)
            for held, why in refused
        ]
        return [Deliver(None, ended)] if ended else []

    # --- leasing on, and the end -----------------------------------------------------------------------------------

    def _dispatch(self) -> list[Effect]:
        if not self._backlog or self.is_draining:
            return []
        effects: list[Effect] = []
        for record, taken in self._deal():
            for part in _parts(taken):
                missing = record.functions.to_send(held.task.function_id for held in part)
                batch = TaskBatch([held.task for held in part], self._bodies.named(missing), record.session)
                effects.append(ToManager(record.manager_id, batch))
        return effects

    def _deal(self) -> list[tuple[ManagerRecord, list[Held]]]:
        queue, managers = self._backlog.only, self._managers.values()
        if queue is not None and not self._is_particular and not self._routing.is_hard:
            return deal(queue, managers, self._run_times, self._routing.prefetch)
        routing = self._routing
        round_ = Placing(
            self._backlog,
            managers,
            self._run_times,
            now=self._now,
            is_hard=routing.is_hard,
            most_ahead=routing.prefetch,
        )
        return round_.deal()

    def _finish(self, *, overdue: bool = False) -> list[Effect]:
        if not self.is_draining or self._has_finished or (self._held and not overdue):
            return []
        self._has_finished = True
        lost = [self._drop(held).task.lease for held in list(self._held.values())]
        return [*self._report_lost(lost, "endpoint_lost", {}), Finished()]


def _parts(taken: list[Held]) -> Iterable[list[Held]]:
    """Cut what a manager is given into frames of bounded size."""
    start, size = 0, 0
    for index, held in enumerate(taken):
        size += len(held.task.payload)
        if index > start and (size > BATCH_BYTES or index - start >= BATCH_TASKS):
            yield taken[start:index]
            start, size = index, len(held.task.payload)
    yield taken[start:]
