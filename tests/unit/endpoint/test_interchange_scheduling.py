"""Who gets which waiting task: shares of owners, priorities, room on nodes, time left in blocks, containers."""

from __future__ import annotations

import pytest

from funcx_core.protocol.endpoint import Results, TaskBatch
from funcx_core.protocol.manager import ManagerHeartbeat, ManagerRegister
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import (
    ContainerImage,
    Function,
    Lease,
    Task,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
)
from funcx_endpoint.interchange.effects import Deliver, ToManager
from funcx_endpoint.interchange.state import Interchange
from funcx_endpoint.shapes import Node, Routing

FUNCTIONS = [Function("f", "f", b"body"), Function("g", "g", b"body")]


class Endpoint:
    """An interchange whose results are on disk at once, and the tasks that its managers have."""

    def __init__(self, routing=None):
        self.machine = Interchange(heartbeat_period=1, heartbeat_threshold=1e9, routing=routing or Routing())
        self.held = {}
        self.ended = {}
        self.started = []

    def perform(self, effects):
        for effect in effects:
            match effect:
                case ToManager(manager_id=manager_id, message=TaskBatch(tasks=tasks)):
                    for one in tasks:
                        self.held[one.task_id] = (manager_id, one)
                        self.started.append(one.task_id)
                case Deliver(manager_id=manager_id, results=results):
                    self.ended.update((one.task_id, one) for one in results)
                    self.perform(self.machine.settled(manager_id, len(results)))
        self.machine.check()

    def manager(self, name, capacity, *, now=0.0, cores=None, **facts):
        facts = {"memory_bytes": capacity * 10**9, "accelerators": 0, **facts}
        message = ManagerRegister(
            manager_id=name, block_id="0", epoch=1, capacity=capacity, hostname="h", pid=1, python_version="", version="",
            cores=cores or capacity, **facts,
        )  # fmt: skip
        self.perform(self.machine.receive(name, message, now=now, stamp=1))

    def submit(self, *names, owner="", function="f", stamp=5, now=0.0, **options):
        chosen = TaskOptions(**options) if options else None
        tasks = [Task(name, 1, function, b"payload", chosen, owner) for name in names]
        self.perform(self.machine.tasks(TaskBatch(tasks, FUNCTIONS), now=now, stamp=stamp))

    def finish(self, *names, seconds=1.0, now=0.0):
        for name in names:
            manager_id, one = self.held.pop(name)
            times = TaskTimes(0, 1, 1, 1 + int(seconds * 1e9))
            result = TaskResult(one.task_id, 1, TaskState.SUCCESS, b"v", None, times)
            self.perform(self.machine.receive(manager_id, Results([result]), now=now, stamp=9))
            self.machine.acknowledged([Lease(name, 1)])

    def running(self):
        return sorted(self.held)

    def on(self, manager_id):
        return sorted(name for name, (holder, _) in self.held.items() if holder == manager_id)

    def run_all(self, seconds=lambda name: 1.0):
        """Let the oldest running task end, until none is left; return the order in which all were started."""
        while self.held:
            name = next(iter(self.held))
            self.finish(name, seconds=seconds(name))
        return self.started


@pytest.fixture
def endpoint():
    return Endpoint()


# --- owners and priorities -----------------------------------------------------------------------------------------


def test_one_task_does_not_wait_for_the_many_of_somebody_else(endpoint):
    endpoint.manager("m", 1)
    endpoint.submit(*[f"a{n}" for n in range(100)], owner="ann")
    endpoint.submit("b", owner="bob")
    endpoint.finish("a0")
    endpoint.finish(*endpoint.running())
    assert "b" in endpoint.started[:3]


def test_owners_share_time_and_not_tasks(endpoint):
    endpoint.manager("m", 1)
    endpoint.submit(*[f"a{n}" for n in range(100)], owner="ann", function="f")
    endpoint.submit(*[f"b{n}" for n in range(100)], owner="bob", function="g")
    order = endpoint.run_all(lambda name: 10.0 if name[0] == "a" else 1.0)
    first = "".join(name[0] for name in order[10:54])
    assert first.count("a") == pytest.approx(4, abs=1)


def test_who_was_idle_has_earned_nothing_by_it(endpoint):
    endpoint.manager("m", 1)
    endpoint.submit("b", owner="bob")
    endpoint.submit(*[f"a{n}" for n in range(50)], owner="ann")
    for _ in range(30):
        endpoint.finish(*endpoint.running())
    endpoint.submit(*[f"c{n}" for n in range(50)], owner="bob")
    later = [name[0] for name in endpoint.run_all()[32:52]]
    assert later.count("a") == pytest.approx(10, abs=2)


def test_a_priority_is_among_the_tasks_of_one_owner(endpoint):
    endpoint.manager("m", 1)
    endpoint.submit("first", owner="ann")
    endpoint.submit("a1", "a2", owner="ann", priority=-5)
    endpoint.submit("a3", owner="ann", priority=100)
    endpoint.submit("b1", "b2", "b3", owner="bob")
    order = endpoint.run_all()
    assert [name for name in order if name[0] == "a"] == ["a3", "a1", "a2"]
    assert order.index("b1") < order.index("a1")
    assert order.index("b3") < 6


def test_what_came_back_unstarted_is_first_again_and_costs_nothing(endpoint):
    endpoint.manager("m", 2)
    endpoint.submit("a1", "a2", "a3", owner="ann")
    endpoint.submit("b1", "b2", owner="bob")
    assert endpoint.running() == ["a1", "a2"]
    endpoint.held.clear()
    endpoint.perform(endpoint.machine.manager_lost("m", frozenset(), stamp=3))
    endpoint.manager("n", 2)
    assert endpoint.running() == ["a1", "b1"]


def test_an_owner_who_has_gone_is_forgotten(endpoint):
    endpoint.manager("m", 2)
    endpoint.submit("a1", "a2", "a3", owner="ann")
    endpoint.submit("b1", owner="bob")
    assert endpoint.machine._backlog.is_shared
    endpoint.run_all()
    endpoint.submit("a4", owner="ann")
    endpoint.perform(endpoint.machine.tick(now=1.0, stamp=9))
    assert not endpoint.machine._backlog.is_shared


# --- room ----------------------------------------------------------------------------------------------------------


def test_a_task_with_three_cores_leaves_room_for_one(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("wide", resources=Resources(cores=3))
    endpoint.submit("a", "b")
    assert endpoint.running() == ["a", "wide"]
    endpoint.finish("wide")
    assert endpoint.running() == ["a", "b"]


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        (Resources(cores=0.5), 1),
        (Resources(memory_gb=2.5), 3),
        (Resources(accelerators=2), 4),
        (Resources(cores=1, memory_gb=0.1, accelerators=1), 2),
    ],
)
def test_the_largest_wish_decides(endpoint, resources, slots):
    endpoint.manager("m", 4, accelerators=2)
    endpoint.submit("wide", resources=resources)
    endpoint.submit("a", "b", "c", "d")
    assert len(endpoint.running()) == 1 + 4 - slots


def test_a_wide_task_is_not_overtaken_for_ever(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("a", "b", "c", "d", owner="ann")
    endpoint.submit("wide", owner="ann", resources=Resources(cores=4))
    endpoint.submit(*[f"s{n}" for n in range(50)], owner="ann", stamp=6)
    for name in ("a", "b", "c"):
        endpoint.finish(name)
    assert endpoint.running() == ["d"]
    endpoint.finish("d")
    assert endpoint.running() == ["wide"]


def test_others_go_on_where_nothing_is_kept_free(endpoint):
    endpoint.manager("m", 2)
    endpoint.manager("n", 2)
    endpoint.submit("a", "b", "c", "d")
    endpoint.submit("wide", resources=Resources(cores=2))
    endpoint.submit("e", "f", stamp=6)
    endpoint.finish(endpoint.on("m")[0], endpoint.on("n")[0])
    assert "wide" not in endpoint.running()
    endpoint.finish(*[name for name in "abcd" if name in endpoint.held])
    assert endpoint.running() == ["e", "f", "wide"]


def test_a_manager_that_goes_is_kept_free_no_longer(endpoint):
    endpoint.manager("m", 2)
    endpoint.submit("a", "b")
    endpoint.submit("wide", resources=Resources(cores=2))
    endpoint.finish("a")
    endpoint.perform(endpoint.machine.manager_lost("m", frozenset({"b"}), stamp=3))
    endpoint.manager("n", 2)
    assert endpoint.on("n") == ["wide"]


# --- time ----------------------------------------------------------------------------------------------------------


def test_a_task_is_begun_only_where_it_can_be_done(endpoint):
    endpoint.manager("old", 2, seconds_left=60.0)
    endpoint.submit("long", walltime=120)
    endpoint.submit("short", walltime=30)
    assert endpoint.running() == ["short"]
    endpoint.manager("new", 1, seconds_left=600.0)
    assert endpoint.on("new") == ["long"]


def test_it_is_known_how_long_a_function_takes(endpoint):
    endpoint.manager("old", 1, seconds_left=60.0)
    endpoint.submit("a", "b", "c")
    endpoint.finish("a", seconds=70)
    assert endpoint.running() == []
    endpoint.manager("new", 1, seconds_left=600.0)
    assert endpoint.on("new") == ["b"]


def test_a_task_that_fits_no_new_block_once_its_manager_is_there_is_tried():
    endpoint = Endpoint(Routing(node=Node(1, seconds=60.0)))
    endpoint.manager("first", 1, seconds_left=57.0)
    endpoint.submit("a", "b")
    endpoint.finish("a", seconds=54)
    assert endpoint.running() == ["b"], "no block has 59 s left when its manager registers"


def test_a_task_waits_for_a_block_like_the_best_one():
    endpoint = Endpoint(Routing(node=Node(1, seconds=60.0)))
    endpoint.manager("good", 1, seconds_left=59.5)
    endpoint.submit("a", "b", "c")
    endpoint.finish("a", seconds=54)
    endpoint.manager("slow", 1, seconds_left=57.0)
    assert (endpoint.on("good"), endpoint.on("slow")) == (["b"], [])


def test_a_block_that_ends_now_is_given_nothing(endpoint):
    endpoint.manager("old", 1, seconds_left=60.0)
    endpoint.perform(endpoint.machine.tick(now=57.0, stamp=1))
    endpoint.submit("a", now=57.0)
    assert endpoint.running() == []


# --- containers ----------------------------------------------------------------------------------------------------


def test_a_manager_of_one_container_runs_its_tasks_only(endpoint):
    endpoint.manager("m", 4, container="c1")
    endpoint.submit("plain")
    endpoint.submit("other", container_id="c2")
    endpoint.submit("mine", container_id="c1")
    assert endpoint.running() == ["mine"]


def test_soft_routing_mixes_containers_on_a_manager(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("a", container_id="c1")
    endpoint.submit("b", container_id="c2")
    endpoint.submit("c")
    assert endpoint.running() == ["a", "b", "c"]


def test_hard_routing_runs_one_container_at_a_time_and_starves_none():
    endpoint = Endpoint(Routing(is_hard=True))
    endpoint.manager("m", 2)
    endpoint.submit("a1", "a2", "a3", container_id="c1")
    endpoint.submit("b", container_id="c2", owner="bob")
    endpoint.submit("p", owner="cid")
    assert endpoint.running() == ["a1", "a2"]
    endpoint.finish("a1", "a2")
    assert endpoint.running() in (["b"], ["p"])
    assert set(endpoint.run_all()) == {"a1", "a2", "a3", "b", "p"}


def test_hard_routing_knows_the_containers_of_functions():
    endpoint = Endpoint(Routing(is_hard=True))
    endpoint.manager("m", 4)
    image = ContainerImage(container_id="c1", kind="podman", location="python")
    contained = Function("h", "h", b"body", image)
    tasks = [Task("in", 1, "h", b"payload"), Task("out", 1, "f", b"payload"), Task("in2", 1, "h", b"payload")]
    endpoint.perform(endpoint.machine.tasks(TaskBatch(tasks, [*FUNCTIONS, contained]), now=0, stamp=5))
    assert endpoint.running() == ["in", "in2"]
    endpoint.finish("in", "in2")
    assert endpoint.running() == ["out"]


def test_hard_routing_keeps_what_has_no_container_away_too():
    endpoint = Endpoint(Routing(is_hard=True))
    endpoint.manager("m", 4)
    endpoint.submit("a", container_id="c1")
    endpoint.perform(endpoint.machine.tick(now=1.0, stamp=9))
    endpoint.submit("p")
    assert endpoint.running() == ["a"]
    endpoint.finish("a")
    assert endpoint.running() == ["p"]


# --- ahead of the workers ------------------------------------------------------------------------------------------


def test_prefetch_bounds_what_waits_at_a_manager():
    endpoint = Endpoint(Routing(prefetch=3))
    endpoint.manager("m", 1)
    endpoint.submit("first")
    endpoint.finish("first", seconds=0.0001)
    endpoint.submit(*[f"a{n}" for n in range(100)])
    assert len(endpoint.running()) == 4


def test_owners_share_what_goes_ahead(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("first", owner="ann")
    endpoint.finish("first", seconds=0.001)
    endpoint.submit(*[f"a{n}" for n in range(500)], owner="ann")
    endpoint.submit("b", owner="bob")
    ahead = len(endpoint.running())
    assert ahead > 8
    endpoint.finish(*list(endpoint.held)[:10], seconds=0.001)
    assert "b" in endpoint.started[: ahead + 10]


# --- what can never run --------------------------------------------------------------------------------------------


def test_what_no_node_can_run_fails_and_says_which_number():
    endpoint = Endpoint(Routing(node=Node(4, cores=4, memory=8 * 10**9, accelerators=0, seconds=3600)))
    endpoint.submit("cores", resources=Resources(cores=8))
    endpoint.submit("gpu", resources=Resources(accelerators=1))
    endpoint.submit("time", walltime=7200)
    endpoint.submit("fits", resources=Resources(cores=4, memory_gb=8), walltime=3600)
    assert {name: one.error.code for name, one in endpoint.ended.items()} == dict.fromkeys(
        ["cores", "gpu", "time"], "resources_unavailable"
    )
    assert endpoint.ended["cores"].error.message.startswith(
        "The task asks for cores=8, and a node of this endpoint has 4. Ask for less"
    )
    endpoint.manager("m", 4, memory_bytes=8 * 10**9)
    assert endpoint.running() == ["fits"]


def test_what_the_settings_do_not_say_is_learned_from_managers(endpoint):
    endpoint.submit("wide", "wider", resources=Resources(cores=8))
    assert not endpoint.ended
    endpoint.manager("m", 4)
    assert set(endpoint.ended) == {"wide", "wider"}
    endpoint.manager("big", 8)
    endpoint.submit("again", resources=Resources(cores=8))
    assert endpoint.running() == ["again"]


def test_large_arguments_do_not_let_a_task_past_what_nodes_have():
    endpoint = Endpoint(Routing(node=Node(4, cores=4)))
    task = Task("wide", 1, "f", b"rb\nreference", TaskOptions(resources=Resources(cores=8)))
    endpoint.perform(endpoint.machine.tasks(TaskBatch([task], FUNCTIONS), now=0, stamp=5))
    endpoint.perform(endpoint.machine.fetched(Lease("wide", 1)))
    assert endpoint.ended["wide"].error.code == "resources_unavailable"


def test_a_manager_that_is_larger_than_the_settings_say_is_used():
    endpoint = Endpoint(Routing(node=Node(4, cores=4)))
    endpoint.manager("m", 4, cores=8)
    endpoint.submit("wide", resources=Resources(cores=8))
    assert endpoint.running() == ["wide"]


def test_more_nodes_than_a_block_gives_are_refused_as_soon_as_one_is_there(endpoint):
    endpoint.submit("three", "again", resources=Resources(nodes=3))
    endpoint.submit("two", resources=Resources(nodes=2))
    assert not endpoint.ended
    endpoint.manager("m", 1, nodes=1)
    assert endpoint.ended["two"].error.message.startswith(
        "The task asks for 2 nodes, and this endpoint gives each task one"
    )
    endpoint.manager("block", 2, nodes=2)
    endpoint.submit("pair", "pairs", resources=Resources(nodes=2))
    endpoint.submit("more", resources=Resources(nodes=3))
    assert endpoint.on("block") == ["pair"], "a task has its nodes to itself"
    assert "a block of this endpoint has 2" in endpoint.ended["more"].error.message


def test_tasks_of_one_node_share_a_block_with_one_of_several(endpoint):
    endpoint.manager("block", 4, nodes=4)
    endpoint.submit("three", resources=Resources(nodes=3, ranks_per_node=8))
    endpoint.submit("a", "b", resources=Resources(nodes=1))
    assert endpoint.running() == ["a", "three"]
    endpoint.finish("three")
    assert endpoint.running() == ["a", "b"]


def test_large_tasks_ask_for_as_many_blocks_as_they_need(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("a", "b", resources=Resources(cores=3))
    endpoint.submit("c")
    assert endpoint.machine.demand == 7


def test_nothing_goes_ahead_where_slots_are_kept_idle(endpoint):
    endpoint.manager("m", 4)
    endpoint.submit("first")
    endpoint.finish("first", seconds=0.0001)
    endpoint.submit("wide", resources=Resources(cores=3))
    endpoint.submit(*[f"a{n}" for n in range(100)])
    assert len(endpoint.running()) == 2


def test_heartbeats_change_no_turn(endpoint):
    endpoint.manager("m", 1)
    endpoint.submit("a", "b", owner="ann")
    endpoint.submit("c", owner="bob")
    endpoint.perform(endpoint.machine.receive("m", ManagerHeartbeat(0, 1), now=1.0, stamp=9))
    assert endpoint.running() == ["a"]
