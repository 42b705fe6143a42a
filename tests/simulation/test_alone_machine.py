"""The forwarder's part of an executor that stands alone, driven at random against an agent that obeys the protocol."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.endpoint import Attach, Cancel, GiveBack, Refused, Register, Registered, Results, Window
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.task import Lease, Task, TaskResult, TaskState
from funcx_endpoint.executors.alone.effects import Effect, Ended, SendAck, SendCommand, SendTasks
from funcx_endpoint.executors.alone.state import Session
from tests.support.offers import FUNCTION, a_task

WINDOW = 3


class Alone(RuleBasedStateMachine):
    """An agent with a small window, whose connections break, and tasks that are submitted, lost and cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(heartbeat_period=1.0, heartbeat_threshold=3.0)
        self.session.learn(FUNCTION)
        self.submitted: list[TaskId] = []
        self.ended: Counter[TaskId] = Counter()
        self.started: Counter[TaskId] = Counter()
        # The agent's side.
        self.held: dict[Lease, Task] = {}
        self.running: set[Lease] = set()
        self.unacknowledged: dict[Lease, TaskResult] = {}
        self.lost: set[Lease] = set()
        self.functions = FunctionCache()
        self.number = 0
        self.is_open = False

    # --- what happens ----------------------------------------------------------------------------------------------

    @rule(number=st.integers(1, 5))
    def submit(self, number: int) -> None:
        tasks = [a_task(f"t{len(self.submitted) + one}") for one in range(number)]
        self.submitted += [task.task_id for task in tasks]
        self.perform(self.session.submitted(tasks))

    @rule(window=st.integers(1, WINDOW))
    def register(self, window: int) -> None:
        self.is_open = False
        held = [*self.held, *self.unacknowledged]
        message = Register(
            endpoint_id=EndpointId("e"),
            epoch=1,
            window=window,
            heartbeat_period=1.0,
            held=held,
            lost=sorted(self.lost, key=lambda lease: lease.task_id),
        )
        self.perform(self.session.command(b"c", message))
        self.is_open = True
        self.functions.clear()
        self.perform(self.session.result_message(b"r", Attach(1, self.number)))
        self.perform(self.session.attach_tasks(b"t", Attach(1, self.number)))
        if self.unacknowledged:
            self.perform(self.session.result_message(b"r", Results(list(self.unacknowledged.values()))))

    @precondition(lambda self: self.is_open)
    @rule()
    def break_up(self) -> None:
        """From now on nothing arrives, until the agent registers again."""
        self.is_open = False

    @precondition(lambda self: self.is_open)
    @rule(window=st.integers(1, WINDOW))
    def change_window(self, window: int) -> None:
        self.perform(self.session.command(b"c", Window(1, window)))

    @precondition(lambda self: self.held.keys() - self.running)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.held.keys() - self.running, key=lambda one: one.task_id)))
        self.running.add(lease)
        self.started[lease.task_id] += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.running, key=lambda one: one.task_id)))
        self.finish(lease, TaskState.SUCCESS)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.running, key=lambda one: one.task_id)))
        self.running.discard(lease)
        del self.held[lease]
        self.lost.add(lease)
        if self.is_open:
            self.perform(self.session.result_message(b"r", GiveBack(lost=[lease], reason="worker_lost")))

    @precondition(lambda self: self.is_open and self.held.keys() - self.running)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(sorted(self.held.keys() - self.running, key=lambda one: one.task_id)))
        del self.held[lease]
        self.perform(self.session.result_message(b"r", GiveBack(unstarted=[lease])))

    @precondition(lambda self: self.submitted)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.perform(self.session.cancel([data.draw(st.sampled_from(self.submitted))]))

    # --- the agent -------------------------------------------------------------------------------------------------

    def finish(self, lease: Lease, state: TaskState) -> None:
        task = self.held.pop(lease)
        self.running.discard(lease)
        result = TaskResult(task.task_id, task.attempt, state)
        self.unacknowledged[lease] = result
        if self.is_open:
            self.perform(self.session.result_message(b"r", Results([result])))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ended(results=results):
                    self.ended.update(result.task_id for result in results)
                case SendTasks(batch=batch) if self.is_open and batch.session == self.number:
                    self.functions.receive(batch.functions, [task.function_id for task in batch.tasks])
                    assert all(task.function_id in self.functions for task in batch.tasks)
                    self.held.update({task.lease: task for task in batch.tasks})
                case SendAck(leases=leases):
                    for lease in leases:
                        self.unacknowledged.pop(lease, None)
                        self.lost.discard(lease)
                case SendCommand(message=message):
                    self.obey(message)

    def obey(self, message: object) -> None:
        match message:
            case Registered(release=release, session=number):
                self.number = number
                for lease in release:
                    self.held.pop(lease, None)
                    self.running.discard(lease)
                    self.unacknowledged.pop(lease, None)
            case Cancel(task_ids=task_ids) if self.is_open:
                for lease in [one for one in self.held if one.task_id in task_ids]:
                    self.finish(lease, TaskState.CANCELLED)
            case Refused():
                self.is_open = False

    # --- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def nothing_ends_twice_or_is_lost(self) -> None:
        assert all(count == 1 for count in self.ended.values())
        assert len(self.ended) + self.session.outstanding == len(self.submitted)

    @invariant()
    def nothing_starts_twice(self) -> None:
        assert all(count == 1 for count in self.started.values())

    @invariant()
    def the_window_is_kept(self) -> None:
        assert len(self.held) <= WINDOW

    def teardown(self) -> None:
        """With a connection that holds and an agent that works everything ends."""
        self.register(WINDOW)
        for _ in range(2 * len(self.submitted)):
            for lease in list(self.held):
                self.finish(lease, TaskState.SUCCESS)
        assert len(self.ended) == len(self.submitted)
        assert not self.unacknowledged
        assert not self.lost


TestAlone = Alone.TestCase
TestAlone.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
