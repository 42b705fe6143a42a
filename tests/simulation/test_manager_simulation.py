"""Random lives of a manager with simulated workers: whatever happens, each lease is in exactly one place and ends once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import Cancel, GiveBack, Results, TaskBatch
from funcx_core.protocol.manager import Drained, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import (
    ContainerImage,
    Function,
    Task,
    TaskError,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
)
from funcx_core.protocol.worker import Chunk, Dealt
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.machine.effects import (
    DealChunk,
    Dismiss,
    Effect,
    End,
    Level,
    NoteReturned,
    NoteSafe,
    Peek,
    Send,
    SendRecall,
    Signal,
    Spawn,
    TakeBack,
)
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.workers.death import Death

WORKERS = 3
FUNCTIONS = [Function(FunctionId(name), name, b"") for name in ("short", "middle", "long")]
SECONDS = {"short": 0.0002, "middle": 0.02, "long": 2.0}
IMAGES = [ContainerImage("", "podman", location) for location in ("a", "b")]
CONTAINERS = [
    None,
    ContainerSettings(kind="podman", idle_seconds=1),
    ContainerSettings(kind="podman", is_single_use=True),
]
KILLED = TaskError(code="remote_task_error", message="", type_name="KeyboardInterrupt")


class SimulatedWorker:
    """What a worker does, in steps that the test chooses."""

    def __init__(self) -> None:
        self.started = 0
        self.spawn(None)

    def spawn(self, image: ContainerImage | None) -> None:
        self.image = image
        self.is_ready = False
        self.is_alive = True
        self.unread: deque[Chunk] = deque()
        self.todo: deque[Dealt] = deque()
        self.bodies: set[FunctionId] = set()
        self.running: Dealt | None = None
        self.interrupted = False
        self.unsent: list[TaskResult] = []
        self.recalls = 0


class ManagerLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.names = 0
        self.given: set[TaskId] = set()
        self.ended: dict[TaskId, str] = {}
        self.executions: dict[TaskId, int] = {}
        self.journal: dict[tuple[int, int], TaskId] = {}
        self.workers = [SimulatedWorker() for _ in range(WORKERS)]
        self.sent_functions: set[FunctionId] = set()
        self.is_over = False
        self.is_drained = False
        self.reported = 0
        self.safe = [0] * WORKERS

    @initialize(walltime=st.sampled_from([None, 1.0]), containers=st.sampled_from(CONTAINERS))
    def begin(self, walltime: float | None, containers: ContainerSettings | None) -> None:
        self.containers = containers
        self.manager = Manager(
            Rules(
                workers=WORKERS,
                heartbeat_period=5,
                heartbeat_threshold=1e9,
                walltime=walltime,
                is_local=True,
                containers=containers,
            )
        )
        self.perform(self.manager.start(0.0))
        self.perform(self.manager.registered(ManagerRegistered(5, 30), 0.0))

    # --- effects ------------------------------------------------------------------------------------------------

    def perform(self, effects: Sequence[Effect]) -> None:
        queue = deque(effects)
        while queue:
            queue.extend(self.perform_one(queue.popleft()))

    def perform_one(self, effect: Effect) -> list[Effect]:  # noqa: C901, PLR0912 - one short case per effect
        match effect:
            case Send(message=Results(results=results)):
                self.reported += len(results)
                for result in results:
                    self.end(result.task_id, result.state.value)
            case Send(message=GiveBack(unstarted=unstarted, lost=lost)):
                for lease in unstarted:
                    self.end(lease.task_id, "unstarted")
                    assert self.executions.get(lease.task_id, 0) == 0, "given back as unstarted, but it ran"
                self.reported += len(lost)
                for lease in lost:
                    self.end(lease.task_id, "lost")
            case NoteSafe(numbers=numbers):
                for index, number in enumerate(numbers):
                    assert self.workers[index].started >= number or not self.open_up_to(index, number)
                    self.safe[index] = max(self.safe[index], number)
            case Send(message=Drained()):
                self.is_drained = True
            case DealChunk(worker=index, chunk=chunk):
                self.deal(self.workers[index], index, chunk)
            case NoteReturned(worker=index, numbers=numbers):
                for number in numbers:
                    del self.journal[index, number]
            case TakeBack(worker=index):
                return self.take_back(index)
            case SendRecall(worker=index):
                self.workers[index].recalls += 1
            case Signal(worker=index, number=number, level=level):
                self.signal(index, number, level)
            case Peek(worker=index):
                return self.manager.finished(index, list(self.workers[index].unsent), self.now)
            case Spawn(worker=index, image=image):
                self.workers[index].spawn(image)
            case Dismiss(worker=index):
                worker = self.workers[index]
                at_work = [worker.unread, worker.todo, worker.running, worker.unsent]
                assert not any(at_work)
                worker.is_alive = False
            case End():
                self.is_over = True
        return []

    def open_up_to(self, index: int, number: int) -> list[TaskId]:
        """Tasks dealt to a worker under that number or a lower one that have not ended."""
        return [
            task_id
            for (worker, dealt), task_id in self.journal.items()
            if worker == index and dealt <= number and task_id not in self.ended
        ]

    def deal(self, worker: SimulatedWorker, index: int, chunk: Chunk) -> None:
        for dealt in chunk.tasks:
            assert (index, dealt.number) not in self.journal
            self.journal[index, dealt.number] = dealt.task.task_id
        worker.unread.append(chunk)
        assert len(worker.unread) + bool(worker.todo or worker.running) <= 3  # two, and one that is done but unsent

    def take_back(self, index: int) -> list[Effect]:
        worker = self.workers[index]
        numbers = [dealt.number for chunk in worker.unread for dealt in chunk.tasks]
        worker.unread.clear()
        return self.manager.returned(index, numbers, self.now, missing=True) if numbers else []

    def signal(self, index: int, number: int, level: Level) -> None:
        worker = self.workers[index]
        if not worker.is_alive or worker.started > number:
            return
        if level is Level.KILL:
            worker.is_alive = False
        elif worker.running is not None and worker.running.number == number:
            worker.interrupted = True

    def end(self, task_id: TaskId, how: str) -> None:
        assert task_id in self.given
        assert task_id not in self.ended, f"{task_id} ended twice: {self.ended[task_id]}, {how}"
        self.ended[task_id] = how

    # --- the interchange ----------------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_over)
    @rule(
        kinds=st.lists(st.sampled_from(FUNCTIONS), min_size=1, max_size=12),
        walltime=st.sampled_from([None, None, 0.5]),
        image=st.sampled_from([None, None, *IMAGES]),
    )
    def lease(self, kinds: list[Function], walltime: float | None, image: ContainerImage | None) -> None:
        tasks = []
        for function in kinds:
            self.names += 1
            options = TaskOptions(walltime=walltime, container=image) if walltime or image else None
            tasks.append(Task(TaskId(f"t{self.names}"), 1, function.function_id, b"", options))
            self.given.add(tasks[-1].task_id)
        new = {f.function_id: f for f in kinds if f.function_id not in self.sent_functions}
        self.sent_functions |= set(new)
        self.perform(self.manager.task_batch(TaskBatch(tasks, list(new.values())), self.now, 0))

    @precondition(lambda self: self.names and not self.is_over)
    @rule(data=st.data(), force=st.booleans())
    def cancel(self, data: st.DataObject, force: bool) -> None:
        number = data.draw(st.integers(1, self.names))
        self.perform(self.manager.cancel(Cancel([TaskId(f"t{number}")], force), self.now))

    @precondition(lambda self: not self.is_over)
    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        self.perform(self.manager.acknowledged(ReportsAck(0, int(self.reported * share))))

    @precondition(lambda self: not self.is_over)
    @rule(grace=st.sampled_from([0.1, 5.0]), chance=st.integers(0, 9))
    def drain(self, grace: float, chance: int) -> None:
        if chance == 0:
            self.perform(self.manager.drain(grace, self.now))

    @precondition(lambda self: not self.is_over)
    @rule(seconds=st.sampled_from([0.001, 0.03, 0.2, 3.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.manager.tick(self.now, 0, [worker.started for worker in self.workers]))

    # --- the workers --------------------------------------------------------------------------------------------

    def step(self, index: int) -> None:
        """The next thing that this worker would do by itself."""
        worker = self.workers[index]
        if not worker.is_alive:
            self.bury(index)
        elif not worker.is_ready:
            worker.is_ready = True
            self.perform(self.manager.ready(index, self.now))
        elif worker.running is not None:
            self.finish(worker)
        elif worker.todo:
            self.start_next(worker, index)
        elif worker.unsent:
            self.flush(index)
        elif worker.unread:
            chunk = worker.unread.popleft()
            worker.bodies |= {function.function_id for function in chunk.functions}
            worker.todo.extend(chunk.tasks)

    def start_next(self, worker: SimulatedWorker, index: int) -> None:
        dealt = worker.todo.popleft()
        assert dealt.task.function_id in worker.bodies
        assert self.journal[index, dealt.number] == dealt.task.task_id
        wanted = None if dealt.task.options is None else dealt.task.options.container
        assert worker.image == wanted, "run in another container"
        worker.running, worker.started = dealt, dealt.number
        task_id = dealt.task.task_id
        self.executions[task_id] = self.executions.get(task_id, 0) + 1
        assert self.executions[task_id] == 1, "run twice in one attempt"

    def finish(self, worker: SimulatedWorker) -> None:
        assert worker.running is not None
        task = worker.running.task
        self.now += SECONDS[task.function_id]
        times = TaskTimes(started=1, ended=1 + int(SECONDS[task.function_id] * 1e9))
        state, error = (TaskState.FAILED, KILLED) if worker.interrupted else (TaskState.SUCCESS, None)
        worker.unsent.append(TaskResult(task.task_id, task.attempt, state, b"", error, times))
        worker.running, worker.interrupted = None, False

    def flush(self, index: int) -> None:
        worker = self.workers[index]
        results, worker.unsent = worker.unsent, []
        if self.is_single_use(worker):
            worker.is_alive = False
            assert len(results) == 1
        self.perform(self.manager.finished(index, results, self.now))

    def is_single_use(self, worker: SimulatedWorker) -> bool:
        return self.containers is not None and self.containers.is_single_use and worker.image is not None

    def bury(self, index: int) -> None:
        worker = self.workers[index]
        worker.is_alive = False
        if worker.unsent:
            self.flush(index)
        self.perform(self.manager.died(index, Death(started=worker.started, signal=9), self.now))

    @precondition(lambda self: not self.is_over)
    @rule(index=st.integers(0, WORKERS - 1), steps=st.integers(1, 6))
    def work(self, index: int, steps: int) -> None:
        for _ in range(steps):
            if not self.is_over:
                self.step(index)

    @precondition(lambda self: not self.is_over)
    @rule(index=st.integers(0, WORKERS - 1))
    def send_early(self, index: int) -> None:
        if self.workers[index].unsent:
            self.flush(index)

    @precondition(lambda self: not self.is_over)
    @rule(index=st.integers(0, WORKERS - 1))
    def answer_recall(self, index: int) -> None:
        worker = self.workers[index]
        if worker.recalls and worker.is_alive:
            worker.recalls -= 1
            numbers = [dealt.number for dealt in worker.todo]
            worker.todo.clear()
            self.perform(self.manager.returned(index, numbers, self.now))

    @precondition(lambda self: not self.is_over)
    @rule(index=st.integers(0, WORKERS - 1))
    def die(self, index: int) -> None:
        if self.workers[index].is_ready and self.workers[index].is_alive:
            self.bury(index)

    @precondition(lambda self: not self.is_over)
    @rule(index=st.integers(0, WORKERS - 1))
    def die_while_it_starts(self, index: int) -> None:
        if not self.workers[index].is_ready and self.workers[index].is_alive:
            self.bury(index)

    @precondition(lambda self: self.is_over)
    @rule()
    def rest(self) -> None:
        """It has ended."""

    # --- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def each_lease_is_in_exactly_one_place(self) -> None:
        if not hasattr(self, "manager"):
            return
        here = [lease.task_id for lease in self.manager.leases()]
        assert len(here) == len(set(here))
        assert set(here) == self.given - set(self.ended) or self.is_over

    @invariant()
    def a_tick_is_never_wanted_again_and_again(self) -> None:
        if not hasattr(self, "manager") or self.is_over:
            return
        self.perform(self.manager.tick(self.now, 0, [worker.started for worker in self.workers]))
        assert self.is_over or self.manager.tick_at() > self.now

    def teardown(self) -> None:
        """Left alone, the manager and its workers bring everything to an end."""
        if not hasattr(self, "manager"):
            return
        for _ in range(3000):
            if self.is_over or not self.manager.leases():
                break
            self.tick(0.01)
            for index in range(WORKERS):
                if not self.is_over:
                    self.answer_recall(index)
                    self.work(index, 2)
        assert self.given == set(self.ended)
        assert self.is_drained or not self.is_over


TestManagerLife = ManagerLife.TestCase
TestManagerLife.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
