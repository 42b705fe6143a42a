"""The forwarder's machine against a store, a network and an agent that lose, delay, repeat and die at random.

After each step the books must balance and no window may be exceeded. In the end, when the faults stop, every accepted task
must have exactly one outcome, and no task may have started more often than its `retry_on_loss` allows.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.effects import (
    AppendEvents,
    BeginAttempts,
    Commit,
    Effect,
    ListOpen,
    LoadCancelled,
    LoadExpired,
    LoadOffers,
    MarkSeen,
    Publish,
    RecordTransitions,
    Restore,
    SendAck,
    SendCommand,
    SendTasks,
)
from funcx_core.forwarder.records import Limits
from funcx_core.forwarder.state import ForwarderState
from funcx_core.ids import TaskId
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointStatus,
    GiveBack,
    Goodbye,
    Refused,
    Register,
    Registered,
    Results,
    ResultsAck,
    TaskBatch,
    Window,
)
from funcx_core.protocol.handoff import CancelRequested, Ended, ExpireRequested, More, Submitted, ToForwarder
from funcx_core.protocol.task import Lease, Task, TaskResult, TaskState
from tests.support.memory_store import MemoryStore
from tests.support.offers import A, an_offer

LIMITS = Limits(pending_tasks=6, batch_tasks=3, page_tasks=4, page_bytes=10_000_000)
CONFIG = ForwarderConfig(heartbeat_period=1.0, heartbeat_threshold=10.0, sweep_period=2.0)
CHANNELS = ("tasks", "results", "commands")
PATIENCE = 100

T = TypeVar("T")


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


class Link:
    """One connection of the agent: what is on its way up and down. `route` names it at the forwarder."""

    def __init__(self, route: bytes) -> None:
        self.route = route
        self.up: deque[Any] = deque()
        self.down: deque[Any] = deque()


class Agent:
    """An agent that follows the rules of `protocol.endpoint`. `results` and `lost` are on its disk."""

    def __init__(self, epoch: int, window: int) -> None:
        self.epoch = epoch
        self.window = window
        self.session = -1
        self.held: dict[Lease, Task] = {}
        self.started: set[Lease] = set()
        self.results: dict[Lease, TaskResult] = {}
        self.lost: dict[Lease, None] = {}
        self.given_back: list[GiveBack] = []  # since the last registration
        self.gone = False

    def next_agent(self) -> Agent:
        """It was killed and started again: what had started is lost, what had not is forgotten."""
        agent = Agent(self.epoch + 1, self.window)
        agent.results = self.results
        agent.lost = {**self.lost, **dict.fromkeys(lease for lease in self.held if lease in self.started)}
        return agent

    def registration(self) -> Register:
        self.session = -1
        self.given_back = []
        return Register(
            endpoint_id=A,
            epoch=self.epoch,
            window=self.window,
            heartbeat_period=1.0,
            held=[*self.held, *self.results],
            lost=list(self.lost),
        )

    def end(self, lease: Lease, state: TaskState) -> TaskResult:
        del self.held[lease]
        result = TaskResult(lease.task_id, lease.attempt, state, value=b"value")
        self.results[lease] = result
        return result

    def forget(self, leases: list[Lease]) -> None:
        for lease in leases:
            self.results.pop(lease, None)
            self.lost.pop(lease, None)


class ForwarderLife(RuleBasedStateMachine):
    @initialize(window=st.integers(0, 6))
    def begin(self, window: int) -> None:
        self.store = MemoryStore()
        self.now = 100.0
        self.routes = 0
        self.names = 0
        self.crashes = 0
        self.starts: Counter[TaskId] = Counter()
        self.retries: dict[TaskId, int] = {}
        self.published: dict[TaskId, list[TaskResult]] = {}
        self.agent = Agent(1, window)
        self._new_forwarder()

    def _new_forwarder(self) -> None:
        self.state = ForwarderState(CONFIG, LIMITS)
        self.inbox: deque[ToForwarder] = deque()
        self.reads: list[Effect] = []
        self.answers: list[tuple[Effect, Any]] = []
        self.writes: deque[Effect] = deque()
        self.written: deque[Effect] = deque()
        self.links: dict[str, Link] = {}
        for channel in CHANNELS:
            self._new_link(channel)
        self._register()

    def _new_link(self, channel: str) -> None:
        self.routes += 1
        self.links[channel] = Link(b"%d" % self.routes)

    def _register(self) -> None:
        if not self.agent.gone:
            self.links["commands"].up.append(self.agent.registration())

    # --- performing effects ---

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendTasks():
                    self._send_tasks(effect)
                case SendAck():
                    self._send("results", effect.route, ResultsAck(effect.leases))
                case SendCommand():
                    self._send("commands", effect.route, effect.message)
                case Publish():
                    self._publish(effect)
                case Restore() | ListOpen() | LoadOffers() | LoadCancelled() | LoadExpired():
                    self.reads.append(effect)
                case Commit() | BeginAttempts() | RecordTransitions() | AppendEvents():
                    self.writes.append(effect)
                case MarkSeen():
                    pass

    def _send(self, channel: str, route: bytes, message: Any) -> bool:
        link = self.links[channel]
        if link.route != route:
            return False
        link.down.append(message)
        return True

    def _send_tasks(self, effect: SendTasks) -> None:
        leases = self.state._endpoints[A].leases
        if leases.session is not None and leases.session.number == effect.session:
            assert leases.leased <= leases.session.window
        assert 0 < len(effect.tasks) <= LIMITS.batch_tasks
        if not self._send("tasks", effect.route, TaskBatch(effect.tasks, [], effect.session)):
            self.perform(self.state.undeliverable(effect))

    def _publish(self, effect: Publish) -> None:
        for message in effect.messages:
            if isinstance(message, Ended):
                for result in message.results:
                    self.published.setdefault(result.task_id, []).append(result)

    # --- clients and web services ---

    @rule(count=st.integers(1, 5), retries=st.integers(0, 2), how=st.sampled_from(["handed over", "more", "lost"]))
    def submit(self, count: int, retries: int, how: str) -> None:
        offers = [an_offer(f"t{self.names + n:04}", retries=retries) for n in range(count)]
        self.names += count
        self.store.accept(A, offers)
        self.retries.update({offer.task.task_id: retries for offer in offers})
        if how == "handed over":
            self.inbox.append(Submitted(A, offers, []))
        elif how == "more":
            self.inbox.append(More(A))

    @rule(pick=st.integers(0, 1000), lose=st.booleans())
    def cancel(self, pick: int, lose: bool) -> None:
        still_open = [task_id for task_id, row in self.store.rows.items() if row.is_open]
        if still_open:
            task_id = still_open[pick % len(still_open)]
            self.store.mark_cancelling([task_id])
            if not lose:
                self.inbox.append(CancelRequested(A, [task_id]))

    @rule(pick=st.integers(0, 1000))
    def expire(self, pick: int) -> None:
        waiting = [task_id for task_id, row in self.store.rows.items() if row.is_open]
        if waiting:
            self.inbox.append(ExpireRequested(A, [waiting[pick % len(waiting)]]))

    @precondition(lambda self: self.inbox)
    @rule()
    def hand_over(self) -> None:
        self.perform(self.state.handed_over(self.inbox.popleft()))

    # --- the store ---

    @precondition(lambda self: self.reads)
    @rule(pick=st.integers(0, 1000))
    def read(self, pick: int) -> None:
        effect = self.reads.pop(pick % len(self.reads))
        match effect:
            case Restore():
                leases = [*effect.register.held, *effect.register.lost]
                answer: Any = at_once(self.store.headers(A, leases))
            case ListOpen():
                answer = at_once(self.store.open_tasks(A, at_most=effect.at_most))
            case LoadOffers() | LoadCancelled() | LoadExpired():
                answer = at_once(self.store.offers(effect.task_ids))
        self.answers.append((effect, answer))

    @precondition(lambda self: self.answers)
    @rule(pick=st.integers(0, 1000))
    def answer(self, pick: int) -> None:
        effect, answer = self.answers.pop(pick % len(self.answers))
        match effect:
            case Restore():
                self.perform(self.state.restored(effect, answer, now=self.now))
            case ListOpen():
                self.perform(self.state.listed(effect, answer))
            case LoadOffers():
                self.perform(self.state.loaded(effect, answer))
            case LoadCancelled():
                self.perform(self.state.cancelled_loaded(effect, answer))
            case LoadExpired():
                self.perform(self.state.expired_loaded(effect, answer))

    @precondition(lambda self: self.writes)
    @rule()
    def write(self) -> None:
        effect = self.writes.popleft()
        match effect:
            case Commit():
                at_once(self.store.complete(A, effect.results))
                for result in effect.results:
                    row = self.store.rows[result.task_id]
                    assert row.result == result or self.crashes, "what was decided was not what was committed"
                self.written.append(effect)
            case BeginAttempts():
                at_once(self.store.begin_attempts(effect.leases))
                self.written.append(effect)
            case RecordTransitions():
                at_once(self.store.transition(A, effect.transitions))

    @precondition(lambda self: self.written)
    @rule()
    def learn_of_write(self) -> None:
        effect = self.written.popleft()
        if isinstance(effect, Commit):
            self.perform(self.state.committed(effect))
        elif isinstance(effect, BeginAttempts):
            self.perform(self.state.attempts_begun(effect))

    # --- the network ---

    @rule(channel=st.sampled_from(CHANNELS))
    def arrive_at_forwarder(self, channel: str) -> None:
        link = self.links[channel]
        if not link.up:
            return
        message = link.up.popleft()
        if channel == "tasks":
            self.perform(self.state.attach_tasks(A, link.route, message, now=self.now))
        elif channel == "results":
            self.perform(self.state.result_message(A, link.route, message, now=self.now))
        else:
            self.perform(self.state.command(A, link.route, message, now=self.now))

    @rule(channel=st.sampled_from(CHANNELS))
    def arrive_at_agent(self, channel: str) -> None:
        link = self.links[channel]
        if not link.down or self.agent.gone:
            return
        match link.down.popleft():
            case TaskBatch(tasks=tasks, session=session):
                if session == self.agent.session:
                    self.agent.held.update({task.lease: task for task in tasks})
            case ResultsAck(leases=leases):
                self.agent.forget(leases)
            case Registered() as registered:
                self._registered(registered)
            case Refused(code="register"):
                self._register()
            case Refused(code=code):
                raise AssertionError(code)
            case Cancel(task_ids=task_ids):
                ended = [
                    self.agent.end(lease, TaskState.CANCELLED)
                    for lease in list(self.agent.held)
                    if lease.task_id in task_ids
                ]
                self.links["results"].up.append(Results(ended))

    def _registered(self, registered: Registered) -> None:
        agent = self.agent
        agent.session = registered.session
        for lease in registered.release:
            agent.held.pop(lease, None)
        agent.forget(registered.release)
        for channel in ("tasks", "results"):
            self.links[channel].up.append(Attach(agent.epoch, registered.session))
        self.links["results"].up.extend(agent.given_back)
        if agent.results:
            self.links["results"].up.append(Results(list(agent.results.values())))

    def _give_back(self, message: GiveBack) -> None:
        if self.agent.session == -1:
            self.agent.given_back.append(message)
        else:
            self.links["results"].up.append(message)

    @rule(channel=st.sampled_from(CHANNELS))
    def renew_connection(self, channel: str) -> None:
        self._new_link(channel)
        self._register()

    @rule()
    def repeat_results(self) -> None:
        if self.agent.results:
            self.links["results"].up.append(Results(list(self.agent.results.values())))

    @rule(pick=st.integers(0, 1000))
    def a_stranger_sends_a_result(self, pick: int) -> None:
        if self.store.rows:
            task_id = list(self.store.rows)[pick % len(self.store.rows)]
            forged = Results([TaskResult(task_id, 1, TaskState.SUCCESS, value=b"forged")])
            assert self.state.result_message(A, b"stranger", forged, now=self.now) == []

    @rule(pick=st.integers(0, 1000))
    def a_zombie_attempt_reports(self, pick: int) -> None:
        older = [task_id for task_id, row in self.store.rows.items() if row.attempt > 1]
        if older:
            task_id = older[pick % len(older)]
            attempt = self.store.rows[task_id].attempt - 1
            result = TaskResult(task_id, attempt, TaskState.SUCCESS, value=b"forged")
            self.links["results"].up.append(Results([result]))

    @rule()
    def an_older_agent_wakes_up(self) -> None:
        register = msgspec.structs.replace(self.agent.registration(), epoch=0)
        self.perform(self.state.command(A, b"zombie", register, now=self.now))
        self._register()

    # --- the agent ---

    @precondition(lambda self: not self.agent.gone)
    @rule(pick=st.integers(0, 1000))
    def start_task(self, pick: int) -> None:
        waiting = [lease for lease in self.agent.held if lease not in self.agent.started]
        if waiting:
            lease = waiting[pick % len(waiting)]
            self.agent.started.add(lease)
            self.starts[lease.task_id] += 1

    @rule(pick=st.integers(0, 1000))
    def finish_task(self, pick: int) -> None:
        running = [lease for lease in self.agent.held if lease in self.agent.started]
        if running:
            result = self.agent.end(running[pick % len(running)], TaskState.SUCCESS)
            self.links["results"].up.append(Results([result]))

    @rule(pick=st.integers(0, 1000))
    def give_back_unstarted(self, pick: int) -> None:
        waiting = [lease for lease in self.agent.held if lease not in self.agent.started]
        if waiting:
            lease = waiting[pick % len(waiting)]
            del self.agent.held[lease]
            self._give_back(GiveBack(unstarted=[lease]))

    @rule(pick=st.integers(0, 1000), reason=st.sampled_from(["worker_lost", "manager_lost"]))
    def lose_started(self, pick: int, reason: str) -> None:
        running = [lease for lease in self.agent.held if lease in self.agent.started]
        if running:
            lease = running[pick % len(running)]
            del self.agent.held[lease]
            self.agent.lost[lease] = None
            self._give_back(GiveBack(lost=[lease], reason=reason))

    @rule(window=st.integers(0, 6))
    def change_window(self, window: int) -> None:
        self.agent.window = window
        self.links["commands"].up.append(Window(self.agent.epoch, window))

    @precondition(lambda self: not self.agent.gone)
    @rule()
    def say_goodbye(self) -> None:
        unstarted = [lease for lease in self.agent.held if lease not in self.agent.started]
        for lease in unstarted:
            del self.agent.held[lease]
        self._give_back(GiveBack(unstarted=unstarted))
        self.links["commands"].up.append(Goodbye(self.agent.epoch))
        self.agent.gone = True

    @rule()
    def restart_agent(self) -> None:
        self.agent = self.agent.next_agent()
        for channel in CHANNELS:
            self._new_link(channel)
        self._register()

    # --- time, and the forwarder itself ---

    @rule(seconds=st.sampled_from([0.3, 1.0, 3.0, 11.0]), beat=st.booleans())
    def pass_time(self, seconds: float, beat: bool) -> None:
        self.now += seconds
        if beat and not self.agent.gone:
            self.links["commands"].up.append(EndpointHeartbeat(self.agent.epoch, EndpointStatus()))
        self.perform(self.state.tick(now=self.now))

    @rule()
    def kill_forwarder(self) -> None:
        self.crashes += 1
        self._new_forwarder()

    # --- what must hold ---

    @invariant()
    def the_books_balance(self) -> None:
        self.state.check()

    @invariant()
    def nothing_starts_too_often(self) -> None:
        for task_id, starts in self.starts.items():
            assert starts <= 1 + self.retries[task_id], f"{task_id} started {starts} times"

    @invariant()
    def what_is_published_is_one_outcome(self) -> None:
        if not self.crashes:
            for task_id, results in self.published.items():
                assert len(results) == 1, f"{task_id} was published twice"

    def teardown(self) -> None:
        """The faults stop. Then everything must come to its end."""
        if not hasattr(self, "store"):
            return
        if self.agent.gone:
            self.restart_agent()
        self.change_window(4)
        for _ in range(PATIENCE):
            self._a_calm_moment()
            self.the_books_balance()
            self.nothing_starts_too_often()
            if self._is_settled():
                break
        assert self._is_settled(), "something is lost"
        for task_id, results in self.published.items():
            if not self.crashes:
                assert results == [self.store.rows[task_id].result]
        assert not any(result.value == b"forged" for results in self.published.values() for result in results)

    def _is_settled(self) -> bool:
        ended = all(not row.is_open for row in self.store.rows.values())
        quiet = not (self.reads or self.answers or self.writes or self.written)
        return ended and quiet and not self.agent.results and not self.agent.lost and not self.agent.held

    def _store_catches_up(self) -> None:
        while self.writes or self.written or self.reads or self.answers:
            while self.writes:
                self.write()
            while self.written:
                self.learn_of_write()
            while self.reads:
                self.read(0)
            while self.answers:
                self.answer(0)

    @precondition(lambda self: not self.agent.gone)
    @rule(pick=st.integers(0, 1000))
    def a_lease_comes_back_and_goes_out_again(self, pick: int) -> None:
        """Seldom by random steps, and where attempt numbers matter."""
        self.everything_arrives()
        self.give_back_unstarted(pick)
        for _ in range(3):
            self.everything_arrives()
        self.a_zombie_attempt_reports(pick)

    @rule()
    def everything_arrives(self) -> None:
        """Without this, random steps seldom get as far as a task that runs."""
        while self.inbox:
            self.hand_over()
        for channel in CHANNELS:
            while self.links[channel].up:
                self.arrive_at_forwarder(channel)
        self._store_catches_up()
        for channel in CHANNELS:
            while self.links[channel].down and not self.agent.gone:
                self.arrive_at_agent(channel)

    def _a_calm_moment(self) -> None:
        self.everything_arrives()
        for _ in list(self.agent.held):
            self.start_task(0)
            self.finish_task(0)
        self.pass_time(1.0, beat=True)


ForwarderLife.TestCase.settings = settings(
    max_examples=int(os.environ.get("SIMULATION_EXAMPLES", "60")),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_forwarder_life = ForwarderLife.TestCase
