"""One interchange, two managers, and connections that break: whatever is lost on the way, each task ends once and runs once.

Both sides are the real machines. A link is two queues; a reset loses what is in them, and part of what was sent before it may
still have been read. The managers' workers do what they are told, in steps that the test chooses.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from funcx_core.ids import BlockId, FunctionId, ManagerId, TaskId
from funcx_core.protocol.endpoint import Cancel, GiveBack, Heartbeat, TaskBatch
from funcx_core.protocol.manager import Drain, ManagerRefused, ManagerRegister, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import Function, Lease, Task, TaskResult, TaskState, TaskTimes
from funcx_core.protocol.worker import Dealt
from funcx_endpoint.interchange.effects import Bury, Deliver, Forget, Report, ToManager
from funcx_endpoint.interchange.state import Interchange
from funcx_endpoint.manager.machine.effects import (
    DealChunk,
    End,
    Enrol,
    NoteReturned,
    NoteSafe,
    Send,
    Signal,
    Spawn,
    TakeBack,
)
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.workers.death import Death

WORKERS = 2
FUNCTIONS = [Function(FunctionId(name), name, b"body") for name in ("short", "long")]
NANOSECONDS = {"short": 100_000, "long": 300_000_000}
UNKNOWN = ManagerRefused("register", "")


class Node:
    """A manager with its workers, and its link."""

    def __init__(self, name: str) -> None:
        self.manager_id = ManagerId(name)
        self.machine = Manager(Rules(workers=WORKERS, heartbeat_period=1, heartbeat_threshold=1e9))
        self.up: deque[Any] = deque()
        self.down: deque[Any] = deque()
        self.is_known = False
        self.queues: list[deque[Dealt]] = [deque() for _ in range(WORKERS)]
        self.started = [0] * WORKERS
        self.alive = [False] * WORKERS
        self.safe = [0] * WORKERS
        self.numbers: dict[tuple[int, int], Lease] = {}
        self.has_ended = False


class Sessions(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 0.0
        self.count = itertools.count(1)
        self.interchange = Interchange(heartbeat_period=1, heartbeat_threshold=1e9)
        self.nodes = [Node("m1"), Node("m2")]
        self.given: set[TaskId] = set()
        self.cancelled: set[TaskId] = set()
        self.runs: dict[TaskId, int] = {}
        self.ended: dict[TaskId, TaskState] = {}
        self.lost: dict[Lease, bool] = {}
        self.settling: list[tuple[ManagerId | None, list[TaskResult]]] = []
        self.durable: set[Lease] = set()
        for node in self.nodes:
            self.perform(node, node.machine.start(0.0))

    # --- the interchange ----------------------------------------------------------------------------------------

    def decide(self, effects: Sequence[Any]) -> None:
        for effect in effects:
            match effect:
                case ToManager(manager_id=manager_id, message=message):
                    node = next(node for node in self.nodes if node.manager_id == manager_id)
                    if node.is_known:
                        node.down.append(message)
                case Deliver(manager_id=manager_id, results=results):
                    self.settling.append((manager_id, results))
                    for result in results:
                        assert result.task_id not in self.ended, "ended twice"
                        self.ended[result.task_id] = result.state
                case Report(message=GiveBack(lost=lost, unstarted=unstarted)):
                    assert not unstarted
                    for lease in lost:
                        assert lease.task_id not in self.ended, "ended twice"
                        assert self.runs.get(lease.task_id), "lost, but it never ran"
                        self.ended[lease.task_id] = TaskState.FAILED
                        self.lost[lease] = False
                case Bury():
                    raise AssertionError("nobody died")
                case Forget():
                    pass

    @rule(function=st.sampled_from(FUNCTIONS), number=st.integers(1, 8))
    def lease(self, function: Function, number: int) -> None:
        tasks = [Task(TaskId(f"t{next(self.count)}"), 1, function.function_id, b"") for _ in range(number)]
        self.given |= {task.task_id for task in tasks}
        self.decide(self.interchange.tasks(TaskBatch(tasks, [function]), now=self.now, stamp=0))

    @precondition(lambda self: self.given)
    @rule(data=st.data(), force=st.booleans())
    def cancel(self, data: st.DataObject, force: bool) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.given)))
        self.cancelled.add(task_id)
        self.decide(self.interchange.cancel(Cancel([task_id], force), now=self.now, stamp=0))

    @precondition(lambda self: self.settling)
    @rule()
    def write(self) -> None:
        manager_id, results = self.settling.pop(0)
        self.durable |= {result.lease for result in results}
        self.decide(self.interchange.settled(manager_id, len(results)))

    @precondition(lambda self: self.lost)
    @rule()
    def acknowledge_losses(self) -> None:
        self.lost = dict.fromkeys(self.lost, True)
        self.decide(self.interchange.acknowledged(list(self.lost)))

    @rule()
    def time_passes(self) -> None:
        self.now += 0.5
        self.decide(self.interchange.tick(now=self.now, stamp=0))
        for node in self.nodes:
            if node.is_known:
                node.down.append(Heartbeat())
            if not node.has_ended:
                self.perform(node, node.machine.tick(self.now, 0, node.started))

    # --- the links ----------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 1), number=st.integers(1, 4))
    def carry_up(self, which: int, number: int) -> None:
        node = self.nodes[which]
        for _ in range(min(number, len(node.up))):
            message = node.up.popleft()
            node.is_known |= isinstance(message, ManagerRegister)
            if node.is_known:
                self.decide(self.interchange.receive(node.manager_id, message, now=self.now, stamp=0))
            else:
                node.down.append(UNKNOWN)

    @rule(which=st.integers(0, 1), number=st.integers(1, 4))
    def carry_down(self, which: int, number: int) -> None:
        node = self.nodes[which]
        for _ in range(min(number, len(node.down))):
            self.hear(node, node.down.popleft())

    def hear(self, node: Node, message: Any) -> None:
        machine = node.machine
        machine.heard(self.now)
        match message:
            case TaskBatch():
                self.perform(node, machine.task_batch(message, self.now, 0))
            case Cancel():
                self.perform(node, machine.cancel(message, self.now))
            case ManagerRegistered():
                self.perform(node, machine.registered(message, self.now))
            case ReportsAck():
                self.perform(node, machine.acknowledged(message))
            case ManagerRefused():
                self.perform(node, machine.refused(message, self.now))
            case Drain():
                self.perform(node, machine.drain(message.grace, self.now))

    @rule(which=st.integers(0, 1), notices=st.booleans(), survives=st.integers(0, 2))
    def reset(self, which: int, notices: bool, survives: int) -> None:
        """The connection breaks. What the manager sent last may still be in its socket and goes over the next one."""
        node = self.nodes[which]
        kept = list(node.up)[-survives:] if survives else []
        node.up.clear()
        node.down.clear()
        node.is_known = False
        node.up.extend(kept)
        if notices or not kept:
            self.perform(node, node.machine.renewed(self.now))

    # --- the managers -------------------------------------------------------------------------------------------

    def perform(self, node: Node, effects: Sequence[Any]) -> None:  # noqa: C901 - one short case for each effect
        queue = deque(effects)
        while queue:
            match queue.popleft():
                case Send(message=message):
                    node.up.append(message)
                case Enrol():
                    session, held = node.machine.registration()
                    node.up.append(registration(node.manager_id, session, held))
                case Spawn(worker=index):
                    node.alive[index] = True
                    queue.extend(node.machine.ready(index, self.now))
                case DealChunk(worker=index, chunk=chunk):
                    node.queues[index].extend(chunk.tasks)
                    node.numbers |= {(index, dealt.number): dealt.task.lease for dealt in chunk.tasks}
                case TakeBack(worker=index):
                    numbers = [dealt.number for dealt in node.queues[index] if dealt.number > node.started[index]]
                    node.queues[index] = deque(d for d in node.queues[index] if d.number not in numbers)
                    queue.extend(node.machine.returned(index, numbers, self.now, missing=True))
                case Signal(worker=index, number=number):
                    if node.started[index] <= number:
                        queue.extend(self.kill(node, index))
                case NoteReturned(worker=index, numbers=numbers):
                    for number in numbers:
                        del node.numbers[index, number]
                case NoteSafe(numbers=numbers):
                    self.note_safe(node, numbers)
                case End():
                    node.has_ended = True

    def note_safe(self, node: Node, numbers: list[int]) -> None:
        """What the manager would forget must be on disk, or known upstream."""
        for (index, number), lease in node.numbers.items():
            if number <= numbers[index] and node.started[index] >= number and self.runs.get(lease.task_id):
                assert lease in self.durable or self.lost.get(lease) or lease.task_id in self.cancelled

    def kill(self, node: Node, index: int) -> list[Any]:
        node.queues[index].clear()
        node.alive[index] = False
        return node.machine.died(index, Death(started=node.started[index], signal=9), self.now)

    @rule(which=st.integers(0, 1), index=st.integers(0, WORKERS - 1), steps=st.integers(1, 5))
    def work(self, which: int, index: int, steps: int) -> None:
        node = self.nodes[which]
        for _ in range(steps):
            if not node.queues[index]:
                return
            first = node.queues[index][0]
            if node.started[index] < first.number:
                node.started[index] = first.number
                task_id = first.task.task_id
                self.runs[task_id] = self.runs.get(task_id, 0) + 1
                assert self.runs[task_id] == 1, "a task ran twice"
            else:
                node.queues[index].popleft()
                self.now += NANOSECONDS[first.task.function_id] / 1e9
                self.perform(node, node.machine.finished(index, [result(first.task)], self.now))

    @rule(which=st.integers(0, 1), index=st.integers(0, WORKERS - 1))
    def die(self, which: int, index: int) -> None:
        node = self.nodes[which]
        if node.queues[index]:
            self.perform(node, self.kill(node, index))

    # --- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def the_interchange_is_sound(self) -> None:
        if hasattr(self, "interchange"):
            self.interchange.check()
            assert not any(node.has_ended for node in self.nodes)

    def teardown(self) -> None:
        """When the connections hold, everything comes to an end, and nothing is kept for ever."""
        if not hasattr(self, "interchange"):
            return
        for which, _ in enumerate(self.nodes):
            self.reset(which, True, 0)
        for _ in range(400):
            self.time_passes()
            for which, _ in enumerate(self.nodes):
                self.carry_up(which, 1000)
                self.carry_down(which, 1000)
                for index in range(WORKERS):
                    self.work(which, index, 4)
            while self.settling:
                self.write()
            if self.lost:
                self.acknowledge_losses()
            if set(self.ended) == self.given and all(node.machine.is_done for node in self.nodes):
                break
        assert set(self.ended) == self.given
        assert all(node.machine.is_done for node in self.nodes)


def registration(manager_id: ManagerId, session: int, held: list[Lease]) -> ManagerRegister:
    return ManagerRegister(
        manager_id=manager_id,
        block_id=BlockId("0"),
        epoch=1,
        capacity=WORKERS,
        hostname="h",
        pid=1,
        python_version="",
        version="",
        cores=1,
        memory_bytes=1,
        session=session,
        held=held,
    )


def result(task: Task) -> TaskResult:
    times = TaskTimes(started=1, ended=1 + NANOSECONDS[task.function_id])
    return TaskResult(task.task_id, task.attempt, TaskState.SUCCESS, b"v", None, times)


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
