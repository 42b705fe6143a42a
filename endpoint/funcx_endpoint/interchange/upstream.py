"""The interchange's events from the forwarder. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from funcx_core.ids import ManagerId, TaskId
from funcx_core.protocol.blob import names_blobs
from funcx_core.protocol.endpoint import Cancel, GiveBack, TaskBatch
from funcx_core.protocol.task import Lease, Task, TaskError, TaskResult, TaskState
from funcx_endpoint.interchange.effects import Deliver, Effect, Fetch, Report, ToManager, Window
from funcx_endpoint.interchange.ledger import BATCH_BYTES, BATCH_TASKS, Ledger
from funcx_endpoint.interchange.records import Held

LEAST_WINDOW: Final = 1024
WINDOW_PER_WORKER: Final = 4


class Upstream(Ledger):
    """Leases come, results are acknowledged, tasks are cancelled."""

    @property
    def window(self) -> int:
        """How many leases the endpoint takes at most."""
        if self._disk_is_full or self.is_draining:
            return 0
        return self._fixed_window or max(LEAST_WINDOW, WINDOW_PER_WORKER * self.workers)

    def recovered(self, results: Sequence[TaskResult], lost: Iterable[Lease]) -> None:
        """An earlier agent of this endpoint left these results, and these leases without one."""
        for result in results:
            self._ended[result.task_id] = result
        for lease in lost:
            if lease.task_id not in self._ended:
                self._lost[lease] = None

    def session_opened(self, release: Sequence[Lease], *, now: float, stamp: int) -> list[Effect]:
        """A session with the forwarder is open; `release` names held leases that the service no longer wants."""
        self._bodies.new_session()
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
        self._bodies.receive(batch)
        effects: list[Effect] = []
        without_body: list[Lease] = []
        held_now, bodies, backlog = self._held, self._bodies, self._backlog
        wait, owner, options, refusal = None, None, None, None
        refused: list[tuple[Held, str]] = []
        is_hard = self._routing.is_hard
        for task in batch.tasks:
            task_id = task.task_id
            if task.function_id not in bodies:
                without_body.append(task.lease)
                continue
            if (task_id in held_now or task_id in self._ended) and not self._supersede(task.lease, effects):
                continue
            held = Held(task, stamp)
            held_now[task_id] = held
            if names_blobs(task.payload):
                held.is_fetching = True
                effects.append(Fetch(task))
            else:
                # Mostly a batch is one owner's, with the same options.
                if wait is None or task.owner != owner or task.options is not options or is_hard:
                    owner, options = task.owner, task.options
                    self._note_container(held)
                    wait = backlog.queue_for(held).append
                    refusal = self._largest.refusal(options)
                if refusal is None:
                    wait(held)
                else:
                    refused.append((held, refusal))
        effects += self._refuse(refused, stamp)
        if without_body:
            effects.append(Report(GiveBack(unstarted=without_body, missing_functions=True)))
        if self._early_cancels:
            effects += self._cancel_early(batch, now=now, stamp=stamp)
        self._bodies.prune(held_now.values())
        if self.is_draining:
            return effects + self._return_waiting()
        return effects + self._dispatch()

    def _note_container(self, held: Held) -> None:
        """Where a manager runs one container at a time, that of the function counts if the task names none."""
        options = held.task.options
        if self._routing.is_hard and (options is None or options.container_id is None):
            held.container = self._bodies.container_of(held.task.function_id)

    def fetched(self, lease: Lease) -> list[Effect]:
        """The arguments of this lease are here."""
        held = self._fetching(lease)
        if held is None:
            return []
        held.is_fetching = False
        refusal = self._largest.refusal(held.task.options)
        if refusal is not None:
            return [*self._refuse([(held, refusal)], held.arrived), *self._finish()]
        self._note_container(held)
        self._backlog.queue_for(held).append(held)
        return self._return_waiting() if self.is_draining else self._dispatch()

    def not_fetched(self, lease: Lease, error: TaskError, *, stamp: int) -> list[Effect]:
        """The arguments of this lease cannot be had: it fails."""
        held = self._fetching(lease)
        if held is None:
            return []
        return [Deliver(None, [self._end_waiting(held, TaskState.FAILED, error, stamp)]), *self._finish()]

    def with_blobs(self) -> list[Task]:
        """Return the open tasks whose arguments are in blobs, wholly or partly."""
        return [held.task for held in self._held.values() if names_blobs(held.task.payload)]

    def replaced(self, result: TaskResult) -> bool:
        """The result of an ended lease cannot be sent; this is told instead. Whether anybody still waits for it."""
        ended = self._ended.get(result.task_id)
        if ended is None or ended.attempt != result.attempt:
            return False
        self._ended[result.task_id] = result
        return True

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
