"""The leases in the manager's hands: those that wait, and those that were dealt to a worker.

A lease arrives in a `TaskBatch` and waits. It is dealt to a worker under a number; the worker runs its tasks in that order
and writes the number of the one it starts into a page that outlives it. What comes back from a worker unstarted waits
again, in its old order and before what came later.

A task that waits behind a stuck one is taken back as soon as another worker idles: first what the stuck worker has not
received (the kernel decides who receives it), then, if the worker can answer, the rest of the chunk in its memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import structs

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.task import Lease, TaskResult
from funcx_core.protocol.worker import Chunk, Dealt
from funcx_endpoint.manager.dealing import Cut, choose_slot, cut_chunk
from funcx_endpoint.manager.effects import DealChunk, Effect, SendRecall, TakeBack
from funcx_endpoint.manager.held import Held
from funcx_endpoint.manager.nodes import NodePool
from funcx_endpoint.manager.pace import Pace
from funcx_endpoint.manager.slots import Slot

STUCK_SECONDS: Final = 0.025
"""A task that runs longer than this is stuck, as far as those behind it are concerned."""
TASK_SECONDS: Final = 0.000015
"""What a task costs its worker besides the user's code."""


class Refused(msgspec.Struct, frozen=True):
    """Leases of a batch that are not taken: their function's body is `missing` here, or they are `unwanted`.

    `impossible` are the results of those that can never run here.
    """

    missing: list[Lease]
    unwanted: list[Lease]
    impossible: list[TaskResult]


class Holdings:
    """What is held, in `slots` and waiting for one."""

    def __init__(self, slots: list[Slot], pool: NodePool) -> None:
        self._slots = slots
        self._pool = pool
        self._held: dict[TaskId, Held] = {}
        self._waiting: deque[Held] = deque()
        self._functions = FunctionCache()
        self._pace = Pace()

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for a worker."""
        return bool(self._waiting)

    @property
    def longest_task(self) -> float:
        """Seconds of the longest task so far."""
        return self._pace.longest

    def get(self, task_id: TaskId) -> Held | None:
        """Return what is held of this task."""
        return self._held.get(task_id)

    def leases(self) -> list[Lease]:
        """Return every lease."""
        return [held.task.lease for held in self._held.values()]

    def forget_functions(self) -> None:
        """A session begins, in which every body is sent anew."""
        self._functions.clear()

    def arrive(self, batch: TaskBatch, at: int, *, is_open: bool) -> Refused:
        """Let the tasks of a batch wait; nothing is taken unless `is_open`."""
        self._functions.receive(batch.functions, [task.function_id for task in batch.tasks])
        missing: list[Lease] = []
        unwanted: list[Lease] = []
        impossible: list[TaskResult] = []
        functions, known, waiting = self._functions, self._held, self._waiting
        for task in batch.tasks:
            function = functions.get(task.function_id)
            if function is None:
                missing.append(task.lease)
            elif not is_open:
                unwanted.append(task.lease)
            elif task.task_id in known:
                if known[task.task_id].task.attempt != task.attempt:
                    unwanted.append(task.lease)
            elif task.options is not None and (fault := self._pool.fault(task.options)) is not None:
                impossible.append(Held(task, function, at).refused(fault))
            else:
                held = known[task.task_id] = Held(task, function, at)
                waiting.append(held)
        return Refused(missing, unwanted, impossible)

    def release(self, held: Held) -> Held:
        """Hold it no longer."""
        del self._held[held.task.task_id]
        return held

    def release_all(self, helds: Sequence[Held]) -> list[Lease]:
        """Hold these no longer; return their leases."""
        return [self.release(held).task.lease for held in helds]

    def release_waiting(self) -> list[Lease]:
        """Hold nothing any longer that waits; return the leases."""
        leases = self.release_all(self._waiting)
        self._waiting.clear()
        return leases

    def wait_no_more(self, task_ids: Collection[TaskId]) -> None:
        """These were released while they waited."""
        self._waiting = deque(held for held in self._waiting if held.task.task_id not in task_ids)

    def wait_again(self, helds: Sequence[Held]) -> list[TaskResult]:
        """Let leases that came back unstarted wait again; return how those ended that were being stopped."""
        stopped = [self.release(held).stopped() for held in helds if held.stop is not None]
        self._waiting.extendleft(held for held in reversed(helds) if held.stop is None)
        return stopped

    def finished(self, slot: Slot, results: Sequence[TaskResult], now: float) -> list[TaskResult]:
        """Take the ended tasks out; return their results as they are reported. What was not dealt there is passed over."""
        known, dealt = self._held, slot.dealt
        ended: list[TaskResult] = []
        spent: dict[FunctionId, tuple[int, int]] = {}
        for result in results:
            held = known.get(result.task_id)
            if held is None or held.worker != slot.index or held.task.attempt != result.attempt:
                continue
            del known[result.task_id]
            del dealt[held.number]
            ended.append(held.stamped(result))
            function_id, times = held.function.function_id, result.times
            count, spans = spent.get(function_id, (0, 0))
            spent[function_id] = count + 1, spans + max(0, times.ended - times.started)
        if ended:
            self._learn(spent, now - slot.since)
            slot.since = now
            slot.drop_done_chunks()
        return ended

    def _learn(self, spent: dict[FunctionId, tuple[int, int]], elapsed: float) -> None:
        # What the worker's clock says, but never more than has passed by ours: that includes how late this process is,
        # and dealing less because of it would make it later still. A clock that jumps spoils one average for a moment.
        for function_id, (count, spans) in spent.items():
            self._pace.observe(function_id, min(spans / 1e9, elapsed) / count + TASK_SECONDS)

    def deal(self, now: float) -> Iterator[Effect]:
        """Deal what waits to workers that are free, chunk by chunk."""
        if self._pool.gives_nodes:
            yield from self._deal_with_nodes(now)
            return
        waiting = self._waiting
        while waiting:
            slot, alike = choose_slot(self._slots, now)
            if slot is None:
                break
            cut = cut_chunk(waiting, self._pace, share=-(-len(waiting) // alike), ahead=bool(slot.dealt))
            if cut is None:
                break
            yield DealChunk(slot.index, _numbered(slot, cut, now))

    def _deal_with_nodes(self, now: float) -> Iterator[Effect]:
        """Deal tasks one by one, each with nodes of its own."""
        waiting, pool = self._waiting, self._pool
        while waiting and (slot := next((slot for slot in self._slots if slot.is_idle), None)) is not None:
            choice = pool.choose(waiting, (held for other in self._slots for held in other.dealt.values()))
            if choice is None:
                return
            held = waiting[choice.place]
            del waiting[choice.place]
            held.nodes = choice.nodes
            cut = Cut([held], {held.function.function_id: held.function}, None)
            variables = pool.variables(choice.nodes, held.task.options)
            yield DealChunk(slot.index, structs.replace(_numbered(slot, cut, now), variables=variables))

    def steal(self, now: float) -> Iterator[Effect]:
        """Take back what is stuck behind a task, if a worker idles."""
        if not any(slot.is_idle for slot in self._slots):
            return
        for slot in self._slots:
            head = slot.head
            if head is None or len(slot.dealt) == 1 or slot.recalled == head.number:
                continue
            if now >= slot.since + STUCK_SECONDS:
                yield from recall(slot)


def _numbered(slot: Slot, cut: Cut, now: float) -> Chunk:
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


def recall(slot: Slot) -> list[Effect]:
    """Ask for everything behind the first task of a worker."""
    first = next(iter(slot.dealt))
    slot.recalled = first
    effects: list[Effect] = [TakeBack(slot.index)]
    if slot.chunks[0][0] != first:
        effects.append(SendRecall(slot.index))
    return effects
