"""Random histories of an interchange: each lease is in one place, capacity holds, nothing is lost, nothing ends twice."""

from __future__ import annotations

import itertools
import math

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from funcx_core.ids import BlockId, FunctionId, ManagerId, TaskId
from funcx_core.protocol.endpoint import Cancel, GiveBack, Results, TaskBatch
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.manager import Drain, ManagerHeartbeat, ManagerRefused, ManagerRegister
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import Function, Lease, Task, TaskError, TaskOptions, TaskResult, TaskState, TaskTimes
from funcx_endpoint.interchange.effects import Bury, Deliver, Fetch, Finished, Forget, Report, ToManager, Window
from funcx_endpoint.interchange.state import Interchange
from funcx_endpoint.shapes import Routing

THRESHOLD = 10.0
LARGE = b"rb\nreference"
OPTIONS = [
    None,
    None,
    None,
    TaskOptions(priority=9),
    TaskOptions(walltime=60),
    TaskOptions(container_id="c1"),
    TaskOptions(container_id="c2", resources=Resources(cores=2)),
    TaskOptions(resources=Resources(cores=3)),
    TaskOptions(resources=Resources(accelerators=2), priority=-3),
    TaskOptions(resources=Resources(memory_gb=1.5), walltime=200),
]
FUNCTIONS = [Function(FunctionId(f"f{n}"), f"f{n}", b"body") for n in range(3)]
SECONDS = {"f0": 0.0, "f1": 0.01, "f2": 1.0}


class ManagerModel:
    """What a manager really has; frozen ones work on but hear and say nothing."""

    def __init__(self, manager_id: ManagerId, capacity: int) -> None:
        self.manager_id = manager_id
        self.capacity = capacity
        self.held: dict[TaskId, Task] = {}
        self.functions = FunctionCache()
        self.dead = False
        self.frozen = False
        self.inbox: list = []


class InterchangeMachine(RuleBasedStateMachine):
    managers = Bundle("managers")

    @initialize(window=st.sampled_from([None, 5]), is_hard=st.booleans(), prefetch=st.sampled_from([None, 0, 1]))
    def begin(self, window, is_hard, prefetch):
        self.routing = Routing(is_hard=is_hard, prefetch=prefetch)
        self.now = 100.0
        self.numbers = itertools.count(1)
        self.machine = Interchange(
            heartbeat_period=1, heartbeat_threshold=THRESHOLD, window=window, routing=self.routing
        )
        self.models: dict[ManagerId, ManagerModel] = {}
        self.burials: list[ManagerId] = []
        self.unsettled: list[tuple[ManagerId | None, int]] = []
        # The forwarder's view: what it leased and heard nothing final of.
        self.leased: dict[TaskId, int] = {}
        self.results: dict[Lease, TaskResult] = {}
        self.spool: set[Lease] = set()
        self.lost: set[Lease] = set()
        self.fetching: list[Lease] = []
        self.fetched: set[Lease] = set()
        self.returned: set[Lease] = set()
        self.upstream: list[TaskResult] = []
        self.online = False
        self.finished = False
        self.sent_functions: set[str] = set()

    # --- effects -------------------------------------------------------------------------------------------------

    def perform(self, effects):  # noqa: C901, PLR0912 - one case for each effect
        for effect in effects:
            match effect:
                case ToManager(manager_id=manager_id, message=message):
                    model = self.models[manager_id]
                    if not model.dead:
                        model.inbox.append(message)
                        self.read_inbox(model)
                case Deliver(manager_id=manager_id, results=results):
                    assert results
                    self.unsettled.append((manager_id, len(results)))
                    for result in results:
                        assert result.lease not in self.spool, "a lease ended twice"
                        self.spool.add(result.lease)
                    if self.online:
                        self.upstream += results
                case Forget(leases=leases):
                    for lease in leases:
                        self.spool.remove(lease)
                case Report(message=GiveBack() as message) if self.online:
                    for lease in (*message.unstarted, *message.lost):
                        if self.leased.get(lease.task_id) == lease.attempt:  # else it was released before
                            del self.leased[lease.task_id]
                    self.lost |= set(message.lost)
                    self.returned |= set(message.unstarted)
                    if message.missing_functions:
                        self.sent_functions.clear()
                case Fetch(task=task):
                    assert task.payload == LARGE
                    self.fetching.append(task.lease)
                case Bury(manager_id=manager_id):
                    self.burials.append(manager_id)
                case Finished():
                    assert not self.finished
                    self.finished = True
                case Report() | Window():
                    pass

    def read_inbox(self, model):
        if model.frozen:
            return
        while model.inbox:
            message = model.inbox.pop(0)
            match message:
                case TaskBatch(tasks=tasks, functions=functions):
                    model.functions.receive(functions, [task.function_id for task in tasks])
                    for task in tasks:
                        assert task.function_id in model.functions, "a task came without its function"
                        assert task.task_id not in model.held, "a manager got a lease twice"
                        self.check_place(model, task)
                        assert task.payload != LARGE or task.lease in self.fetched, "a task came before its arguments"
                        model.held[task.task_id] = task
                case Cancel(task_ids=task_ids):
                    ended = [model.held.pop(task_id) for task_id in task_ids if task_id in model.held]
                    self.say(model, Results([self.result(task, TaskState.CANCELLED) for task in ended]))
                case ManagerRefused():
                    model.dead = True
                    model.held.clear()
                case Drain():
                    pass

    def check_place(self, model, task):
        """Each task is begun only where its wishes can be met."""
        options = task.options or TaskOptions()
        wanted = options.resources or Resources()
        assert (wanted.cores or 0) <= model.capacity, "more processors than the node has"
        assert (wanted.accelerators or 0) <= model.facts["accelerators"], "more accelerators than the node has"
        assert model.facts["container"] in {None, options.container_id or ""}, "a manager of another container"
        left = model.ends_at - self.now
        assert left > 0, "begun in a block that has ended"
        assert options.walltime is None or options.walltime <= left, "begun where there is no time for it"

    def say(self, model, message):
        self.perform(self.machine.receive(model.manager_id, message, now=self.now, stamp=self.stamp))

    def result(self, task, state=TaskState.SUCCESS):
        run = int(SECONDS[task.function_id] * 1e9)
        return TaskResult(task.task_id, task.attempt, state, b"v", None, TaskTimes(0, 1, 1, 1 + run))

    @property
    def stamp(self):
        return int(self.now * 1e9)

    # --- managers ------------------------------------------------------------------------------------------------

    @rule(
        target=managers,
        capacity=st.integers(1, 4),
        seconds_left=st.sampled_from([None, None, 20.0, 300.0]),
        container=st.sampled_from([None, None, "", "c1"]),
        accelerators=st.integers(0, 2),
    )
    def register(self, capacity, seconds_left, container, accelerators):
        if len(self.models) > 5:
            return multiple()
        manager_id = ManagerId(f"m{next(self.numbers)}")
        self.models[manager_id] = model = ManagerModel(manager_id, capacity)
        model.ends_at = math.inf if seconds_left is None else self.now + seconds_left
        model.facts = {"seconds_left": seconds_left, "container": container, "accelerators": accelerators}
        self.say(self.models[manager_id], self.registration(manager_id, capacity))
        return manager_id

    def registration(self, manager_id, capacity, session=0, held=()):
        return ManagerRegister(
            manager_id=manager_id,
            block_id=BlockId("0"),
            epoch=1,
            capacity=capacity,
            hostname="h",
            pid=1,
            python_version="",
            version="",
            cores=capacity,
            memory_bytes=capacity * 10**9,
            session=session,
            held=list(held),
            **self.models[manager_id].facts,
        )

    def alive(self, manager_id):
        model = self.models[manager_id]
        return not (model.dead or model.frozen)

    @rule(manager_id=managers)
    def register_again(self, manager_id):
        model = self.models[manager_id]
        if self.alive(manager_id):
            model.functions.clear()
            held = [task.lease for task in model.held.values()]
            self.say(model, self.registration(manager_id, model.capacity, next(self.numbers), held))

    @rule(manager_id=managers, number=st.integers(1, 4))
    def finish(self, manager_id, number):
        model = self.models[manager_id]
        if not self.alive(manager_id) or not model.held:
            return
        tasks = [model.held.pop(task_id) for task_id in list(model.held)[:number]]
        self.say(model, Results([self.result(task) for task in tasks]))

    @rule(manager_id=managers, missing=st.booleans())
    def give_back_unstarted(self, manager_id, missing):
        model = self.models[manager_id]
        if not self.alive(manager_id) or not model.held:
            return
        task = model.held.pop(list(model.held)[-1])
        if missing:
            model.functions.clear()
        self.say(model, GiveBack(unstarted=[task.lease], missing_functions=missing))
        if missing:
            # Everything was forgotten, so later batches that lean on it come back as well.
            model.dead = True
            self.perform(self.machine.manager_ended(manager_id))

    @rule(manager_id=managers)
    def lose_worker(self, manager_id):
        model = self.models[manager_id]
        if self.alive(manager_id) and model.held:
            task = model.held.pop(next(iter(model.held)))
            self.say(model, GiveBack(lost=[task.lease], reason="worker_lost", details={"signal": 9}))

    @rule(manager_id=managers)
    def heartbeat(self, manager_id):
        if self.alive(manager_id):
            self.say(self.models[manager_id], ManagerHeartbeat(0, 0))

    @rule(manager_id=managers)
    def freeze(self, manager_id):
        self.models[manager_id].frozen = True

    @rule(manager_id=managers)
    def thaw(self, manager_id):
        model = self.models[manager_id]
        if model.frozen and not model.dead:
            model.frozen = False
            # Its workers went on; what they did is said before the inbox is read.
            done = list(model.held.values())[:1]
            for task in done:
                del model.held[task.task_id]
            if done:
                self.say(model, Results([self.result(task) for task in done]))
            else:
                self.say(model, ManagerHeartbeat(0, 0))
            self.read_inbox(model)

    @rule(manager_id=consumes(managers))
    def kill(self, manager_id):
        self.models[manager_id].dead = True
        self.perform(self.machine.manager_ended(manager_id))

    @precondition(lambda self: self.burials)
    @rule(known=st.booleans(), data=st.data())
    def bury(self, known, data):
        manager_id = self.burials.pop()
        model = self.models[manager_id]
        started = (
            set(data.draw(st.lists(st.sampled_from(list(model.held)), unique=True))) if known and model.held else set()
        )
        self.perform(self.machine.manager_lost(manager_id, started if known else None, stamp=self.stamp))

    # --- the forwarder -------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.online and not self.finished)
    @rule(data=st.data())
    def open_session(self, data):
        held, lost = self.machine.held(), self.machine.lost()
        assert len({lease.task_id for lease in held}) == len(held)
        self.online = True
        self.sent_functions.clear()
        for lease in lost:
            self.leased.pop(lease.task_id, None)
            self.lost.add(lease)
        named = {lease.task_id for lease in held}
        # Everything else was never started, as far as the forwarder can know: it is leased again.
        for task_id in list(self.leased):
            if task_id not in named:
                del self.leased[task_id]
        unknown = [lease for lease in held if self.leased.get(lease.task_id) != lease.attempt]
        release = unknown + data.draw(st.lists(st.sampled_from(held), unique=True) if held else st.just([]))
        self.perform(self.machine.session_opened(release, now=self.now, stamp=self.stamp))
        for lease in release:
            self.leased.pop(lease.task_id, None)
        for frame in self.machine.unacknowledged_results():
            self.upstream += frame

    @precondition(lambda self: self.online)
    @rule()
    def lose_session(self):
        self.online = False
        self.upstream.clear()

    @precondition(lambda self: self.online and not self.finished)
    @rule(
        number=st.integers(1, 6),
        function=st.sampled_from(FUNCTIONS),
        again=st.booleans(),
        payload=st.sampled_from([b"p", LARGE]),
        options=st.sampled_from(OPTIONS),
        owner=st.sampled_from(["ann", "ann", "bob", "cid"]),
    )
    def lease(self, number, function, again, payload, options, owner):  # noqa: PLR0917 - drawn by name
        tasks = [
            Task(TaskId(f"t{next(self.numbers)}"), 1, function.function_id, payload, options, owner)
            for _ in range(number)
        ]
        if again and self.lost:
            old = self.lost.pop()
            if old.task_id not in self.leased:
                tasks.append(Task(old.task_id, old.attempt + 1, function.function_id, payload))
        functions = [] if function.function_id in self.sent_functions else [function]
        self.sent_functions.add(function.function_id)
        for task in tasks:
            self.leased[task.task_id] = task.attempt
        self.perform(self.machine.tasks(TaskBatch(tasks, functions), now=self.now, stamp=self.stamp))

    @precondition(lambda self: self.online and self.leased)
    @rule(data=st.data(), known=st.booleans())
    def cancel(self, data, known):
        task_id = data.draw(st.sampled_from(sorted(self.leased))) if known else TaskId(f"t{next(self.numbers)}")
        self.perform(self.machine.cancel(Cancel([task_id]), now=self.now, stamp=self.stamp))

    @precondition(lambda self: self.upstream)
    @rule()
    def acknowledge(self):
        acked = []
        for result in self.upstream:
            acked.append(result.lease)
            if self.leased.get(result.task_id) == result.attempt:
                assert result.lease not in self.results, "two results of one lease"
                self.results[result.lease] = result
                del self.leased[result.task_id]
        self.upstream.clear()
        acked += list(self.lost)
        self.perform(self.machine.acknowledged(acked))

    @precondition(lambda self: self.fetching)
    @rule(data=st.data(), succeeds=st.booleans())
    def arguments_come(self, data, succeeds):
        lease = self.fetching.pop(data.draw(st.integers(0, len(self.fetching) - 1)))
        if succeeds:
            self.fetched.add(lease)
            self.perform(self.machine.fetched(lease))
        else:
            error = TaskError(code="argument_load_error", message="gone")
            self.perform(self.machine.not_fetched(lease, error, stamp=self.stamp))

    # --- time, disk, end -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.unsettled)
    @rule()
    def settle(self):
        manager_id, number = self.unsettled.pop(0)
        self.perform(self.machine.settled(manager_id, number))

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.perform(self.machine.tick(now=self.now, stamp=self.stamp))

    @rule(is_full=st.booleans())
    def disk(self, is_full):
        self.perform(self.machine.disk(is_full=is_full))
        assert not is_full or self.machine.window == 0

    @precondition(lambda self: not self.finished and len(self.models) > 3)
    @rule()
    def drain(self):
        self.perform(self.machine.drain(5, now=self.now))
        assert self.machine.waiting == 0

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def each_lease_is_in_one_place(self):
        if hasattr(self, "machine"):
            self.machine.check()
            assert {lease.task_id for lease in self.spool} == {
                result.task_id for frame in self.machine.unacknowledged_results() for result in frame
            }

    @invariant()
    def nothing_is_lost(self):
        if hasattr(self, "machine") and self.online and not self.finished:
            known = {lease.task_id for lease in (*self.machine.held(), *self.machine.lost())}
            assert self.leased.keys() <= known, "the forwarder waits for a lease that nobody has"

    @invariant()
    def nothing_is_given_twice(self):
        """What the tasks of a manager ask for is there, with a slot for each that does not say."""
        if not hasattr(self, "machine"):
            return
        for record in self.machine.managers:
            held = [held for held in self.machine._held.values() if held.manager is record]
            wide = [one for one in held if one.width > 1]
            if wide:
                assert sum(one.width for one in held) <= record.capacity, "slots were given twice"
            wishes = [one.task.options.resources for one in held if one.task.options and one.task.options.resources]
            assert sum(wish.cores or 0 for wish in wishes) <= record.capacity
            assert sum(wish.accelerators or 0 for wish in wishes) <= record.node.accelerators
            if self.routing.is_hard:
                assert len({(one.task.options or TaskOptions()).container_id or "" for one in held}) <= 1

    @invariant()
    def a_manager_is_kept_free_for_one_that_waits(self):
        if hasattr(self, "machine"):
            lanes = self.machine._backlog.lanes()
            kept = [record for record in self.machine._managers.values() if record.reserved_for is not None]
            assert all(record.reserved_for in lanes for record in kept), "a manager is kept free for nobody"

    @invariant()
    def leases_fit_capacity(self):
        if hasattr(self, "machine"):
            for record in self.machine.managers:
                unknown = record.counts.get("f2", 0)
                assert unknown <= record.capacity, "a long task waits behind another one"

    def serve_everybody(self):
        """With good managers that work on, every waiting task is served, whoever has however many."""
        for model in self.models.values():
            model.dead = True
            self.perform(self.machine.manager_ended(model.manager_id))
        while self.burials:
            self.perform(self.machine.manager_lost(self.burials.pop(), frozenset(), stamp=self.stamp))
        good = [ManagerModel(ManagerId(name), 4) for name in ("good1", "good2")]
        for model in good:
            self.models[model.manager_id] = model
            model.ends_at = math.inf
            model.facts = {"seconds_left": None, "container": None, "accelerators": 2}
            self.say(model, self.registration(model.manager_id, 4))
        for _ in range(10_000):
            while self.unsettled:
                self.perform(self.machine.settled(*self.unsettled.pop(0)))
            model = next((model for model in good if model.held), None)
            if model is None:
                break
            task = model.held.pop(next(iter(model.held)))
            self.say(model, Results([self.result(task)]))
        fetching = sum(held.is_fetching for held in self.machine._held.values())
        assert self.machine.waiting == fetching, "a task is never served"

    def teardown(self):
        """Whatever happened: when every manager is gone and a session is open, nothing stays behind."""
        if not hasattr(self, "machine"):
            return
        if not self.machine.is_draining and self.machine.window:
            self.serve_everybody()
        if not self.online:
            self.lose_nothing_more()
        for manager_id, model in self.models.items():
            model.dead = True
            self.perform(self.machine.manager_ended(manager_id))
        while self.burials:
            self.perform(self.machine.manager_lost(self.burials.pop(), None, stamp=self.stamp))
        self.machine.check()
        assert self.machine.running == 0
        self.nothing_is_lost()

    def lose_nothing_more(self):
        self.leased = {
            lease.task_id: lease.attempt
            for lease in self.machine.held()
            if self.leased.get(lease.task_id) == lease.attempt
        }


InterchangeMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestInterchange = InterchangeMachine.TestCase
