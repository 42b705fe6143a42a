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
from typing import Any, Final

import msgspec
from msgspec import structs

from funcx_core.errors import ContainerUnavailable
from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.task import Lease, TaskResult
from funcx_core.protocol.worker import Chunk, Dealt
from funcx_endpoint.manager.containers.kinds import Kinds
from funcx_endpoint.manager.machine.dealing import Cut, choose_slot, cut_chunk
from funcx_endpoint.manager.machine.effects import DealChunk, Effect, SendRecall, TakeBack
from funcx_endpoint.manager.machine.held import Held
from funcx_endpoint.manager.machine.nodes import NodePool
from funcx_endpoint.manager.machine.pace import Pace
from funcx_endpoint.manager.machine.room import Room
from funcx_endpoint.manager.machine.slots import Slot

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

    def __init__(self, slots: list[Slot], kinds: Kinds, pool: NodePool, room: Room | None = None) -> None:
        self._slots = slots
        self._kinds = kinds
        self._pool = pool
        self._room = room
        self._special = 0  # how many such are held
        self._held: dict[TaskId, Held] = {}
        self._waiting: dict[str, deque[Held]] = {kinds.default: deque()}
        """By the kind of worker that they wait for; the kind that was served least lately stands first."""
        self._functions = FunctionCache()
        self._pace = Pace()

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for a worker."""
        return any(self._waiting.values())

    def waiting(self) -> dict[str, int]:
        """Return how many tasks wait for each kind of worker, the kind first that was served least lately."""
        return {kind: len(queue) for kind, queue in self._waiting.items()}

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
        default = self._kinds.default
        functions, known, waiting = self._functions, self._held, self._waiting[default]
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
                held = Held(task, function, at, kind=default)
                if task.options is not None and task.options.resources is not None:
                    self._note_room(held)
                if function.container is None and (task.options is None or task.options.container is None):
                    waiting.append(held)
                elif (result := self._wait_contained(held)) is not None:
                    impossible.append(result)
                    continue
                known[task.task_id] = held
        return Refused(missing, unwanted, impossible)

    def _wait_contained(self, held: Held) -> TaskResult | None:
        """Let a task wait that asks for a container; returns its result if there can be none."""
        try:
            held.kind = self._kinds.of(held.task, held.function)
        except LookupError as error:
            return held.failed(ContainerUnavailable.code, str(error))
        self._waiting.setdefault(held.kind, deque()).append(held)
        return None

    def release(self, held: Held) -> Held:
        """Hold it no longer."""
        self._special -= held.is_special
        del self._held[held.task.task_id]
        return held

    def release_all(self, helds: Sequence[Held]) -> list[Lease]:
        """Hold these no longer; return their leases."""
        return [self.release(held).task.lease for held in helds]

    def release_waiting(self) -> list[Lease]:
        """Hold nothing any longer that waits; return the leases."""
        leases = [lease for queue in self._waiting.values() for lease in self.release_all(queue)]
        self._waiting = {self._kinds.default: deque()}
        return leases

    def fail_waiting(self, kind: str, code: str, message: str, details: dict[str, Any]) -> list[TaskResult]:
        """Hold no longer what waits for a kind of worker that cannot be had; return the results."""
        queue = self._waiting.get(kind, deque())
        results = [self.release(held).failed(code, message, details) for held in queue]
        queue.clear()
        return results

    def wait_no_more(self, task_ids: Collection[TaskId]) -> None:
        """These were released while they waited."""
        for kind, queue in self._waiting.items():
            self._waiting[kind] = deque(held for held in queue if held.task.task_id not in task_ids)

    def wait_again(self, helds: Sequence[Held]) -> list[TaskResult]:
        """Let leases that came back unstarted wait again; return how those ended that were being stopped."""
        stopped = [self.release(held).stopped() for held in helds if held.stop is not None]
        for held in reversed(helds):
            if held.stop is None:
                self._waiting.setdefault(held.kind, deque()).appendleft(held)
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
            self._special -= held.is_special
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
        if not self._kinds.may_differ:
            yield from self._deal_kind(self._kinds.default, self._slots, now)
            return
        for kind in list(self._waiting):
            slots = [slot for slot in self._slots if slot.kind == kind and not slot.is_moving]
            chunks = list(self._deal_kind(kind, slots, now))
            if chunks:
                self._waiting[kind] = self._waiting.pop(kind)  # It was served last now.
            if not self._waiting[kind] and kind != self._kinds.default:
                del self._waiting[kind]
            yield from chunks

    def _deal_kind(self, kind: str, slots: list[Slot], now: float) -> Iterator[Effect]:
        waiting = self._waiting[kind]
        if self._pool.gives_nodes:
            return self._deal_with_nodes(waiting, slots, now)
        if self._kinds.is_single_use(kind):
            return self._deal_singly(waiting, slots, now)
        return self._deal_chunks(waiting, slots, now)

    def _deal_chunks(self, waiting: deque[Held], slots: list[Slot], now: float) -> Iterator[Effect]:
        lent = self._lent()
        while waiting:
            free = [slot for slot in slots if slot.index not in lent] if lent else slots
            if waiting[0].is_special:
                chunk = self._deal_special(waiting, free, lent, now)
                if chunk is None:
                    break
                yield chunk
                lent = self._lent()
                continue
            slot, alike = choose_slot(free, now)
            if slot is None:
                break
            cut = cut_chunk(waiting, self._pace, share=-(-len(waiting) // alike), ahead=bool(slot.dealt))
            if cut is None:
                break
            yield DealChunk(slot.index, _numbered(slot, cut, now))

    def _note_room(self, held: Held) -> None:
        room = self._room
        if room is None or self._pool.gives_nodes or not room.is_special(held.task.options):
            return
        held.width, held.is_special = room.width(held.task.options), True
        self._special += 1

    def _lent(self) -> set[int]:
        """Return the workers whose places others have. Worked out anew each time, so that none is ever left behind."""
        if not self._special:
            return set()
        return {index for slot in self._slots for held in slot.dealt.values() for index in held.lent}

    def _deal_special(self, waiting: deque[Held], slots: list[Slot], lent: set[int], now: float) -> DealChunk | None:
        """Deal the first task to a worker, with places of others; None until there are enough that idle."""
        room, held = self._room, waiting[0]
        slot = next((slot for slot in slots if slot.is_idle), None)
        if room is None or slot is None or held.task.options is None:
            return None
        others = [one.index for one in self._slots if one.is_idle and one is not slot and one.index not in lent]
        if len(others) < held.width - 1:
            return None
        waiting.popleft()
        held.lent = tuple(others[: held.width - 1])
        places = {slot.index, *held.lent}
        chunk = structs.replace(
            _numbered(slot, _alone(held), now),
            variables=room.variables(places, held.task.options),
            processors=room.processors(places),
        )
        return DealChunk(slot.index, chunk, held.width)

    def _deal_singly(self, waiting: deque[Held], slots: list[Slot], now: float) -> Iterator[Effect]:
        """Deal one task to each worker, which is its only one."""
        for slot in slots:
            if waiting and slot.is_idle:
                yield DealChunk(slot.index, _numbered(slot, _alone(waiting.popleft()), now))

    def _deal_with_nodes(self, waiting: deque[Held], slots: list[Slot], now: float) -> Iterator[Effect]:
        """Deal tasks one by one, each with nodes of its own."""
        pool = self._pool
        while waiting and (slot := next((slot for slot in slots if slot.is_idle), None)) is not None:
            choice = pool.choose(waiting, (held for other in self._slots for held in other.dealt.values()))
            if choice is None:
                return
            held = waiting[choice.place]
            del waiting[choice.place]
            held.nodes = choice.nodes
            variables = pool.variables(choice.nodes, held.task.options)
            yield DealChunk(slot.index, structs.replace(_numbered(slot, _alone(held), now), variables=variables))

    def steal(self, now: float) -> Iterator[Effect]:
        """Take back what is stuck behind a task, if a worker idles."""
        idle = {slot.kind for slot in self._slots if slot.is_idle}
        if not idle:
            return
        for slot in self._slots:
            head = slot.head
            if head is None or len(slot.dealt) == 1 or slot.recalled == head.number or head.kind not in idle:
                continue
            if now >= slot.since + STUCK_SECONDS:
                yield from recall(slot)


def _alone(held: Held) -> Cut:
    return Cut([held], {held.function.function_id: held.function}, None)


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
