from __future__ import annotations

import pytest

from funcx_core.protocol.endpoint import Cancel, GiveBack, Results, TaskBatch, Transitions
from funcx_core.protocol.manager import Drain, Drained, ManagerHeartbeat, ManagerRegister, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import Function, Lease, Task, TaskError, TaskResult, TaskState, TaskTimes, Transition
from funcx_endpoint.interchange.crew import MOST_FETCHES
from funcx_endpoint.interchange.effects import Bury, Deliver, Fetch, Finished, Forget, Report, ToManager, Window
from funcx_endpoint.interchange.state import Interchange

F = Function("f", "f", b"body")
MS = 1_000_000


def task(name, attempt=1, function="f"):
    return Task(name, attempt, function, b"payload")


def result(name, attempt=1, milliseconds=1, state=TaskState.SUCCESS):
    return TaskResult(name, attempt, state, b"v", None, TaskTimes(0, 1, 1, 1 + milliseconds * MS))


def registration(name, capacity=1, epoch=1, session=0, held=()):
    return ManagerRegister(
        manager_id=name, block_id="0", epoch=epoch, capacity=capacity, hostname="h", pid=1,
        python_version="", version="", cores=1, memory_bytes=1, session=session, held=list(held),
    )  # fmt: skip


@pytest.fixture
def ix():
    return Interchange(heartbeat_period=1, heartbeat_threshold=10)


def register(ix, name, capacity=1, now=0.0):
    return ix.receive(name, registration(name, capacity), now=now, stamp=1)


def lease(ix, *names, functions=(F,)):
    return ix.tasks(TaskBatch([task(name) for name in names], list(functions)), now=0, stamp=5)


def dealt(effects):
    return [
        (effect.manager_id, [task.task_id for task in effect.message.tasks])
        for effect in effects
        if isinstance(effect, ToManager) and isinstance(effect.message, TaskBatch)
    ]


def test_a_task_goes_to_an_idle_manager_with_its_function_once(ix):
    assert register(ix, "m", 2) == [ToManager("m", ManagerRegistered(1, 10)), Window(1024)]
    assert lease(ix, "a") == [ToManager("m", TaskBatch([task("a")], [F]))]
    assert lease(ix, "b", functions=()) == [ToManager("m", TaskBatch([task("b")], []))]


# --- large arguments -------------------------------------------------------------------------------------------

REFERENCE = b"rb\nreference"


def large(name, attempt=1):
    return Task(name, attempt, "f", REFERENCE)


def test_a_task_with_large_arguments_is_dealt_when_they_are_here(ix):
    register(ix, "m", 2)
    assert ix.tasks(TaskBatch([large("a"), task("b")], [F]), now=0, stamp=5) == [
        Fetch(large("a")),
        ToManager("m", TaskBatch([task("b")], [F])),
    ]
    assert (ix.held(), ix.waiting, [task.payload for task in ix.with_blobs()]) == (
        [Lease("a", 1), Lease("b", 1)],
        1,
        [REFERENCE],
    )
    ix.check()
    assert ix.fetched(Lease("a", 2)) == []
    assert ix.fetched(Lease("a", 1)) == [ToManager("m", TaskBatch([large("a")], []))]
    assert ix.fetched(Lease("a", 1)) == []
    ix.check()


def test_a_task_whose_arguments_cannot_be_had_fails(ix):
    ix.tasks(TaskBatch([large("a")], [F]), now=0, stamp=5)
    error = TaskError(code="argument_load_error", message="gone")
    (deliver,) = ix.not_fetched(Lease("a", 1), error, stamp=9)
    assert deliver == Deliver(
        None, [TaskResult("a", 1, TaskState.FAILED, error=error, times=TaskTimes(interchange=5, ended=9))]
    )
    assert ix.not_fetched(Lease("a", 1), error, stamp=9) == []
    assert ix.unacknowledged_results() == [deliver.results]
    ix.check()


def input_lost(name):
    return TaskResult(name, 1, TaskState.FAILED, error=TaskError(code="input_lost", message="gone"))


def test_inputs_that_were_removed_before_a_task_could_start_are_fetched_again(ix):
    register(ix, "m", 2)
    ix.tasks(TaskBatch([large("a")], [F]), now=0, stamp=5)
    for _ in range(MOST_FETCHES):
        ix.fetched(Lease("a", 1))
        assert ix.receive("m", Results([input_lost("a")]), now=1, stamp=6) == [Fetch(large("a"))]
        ix.check()
    assert ix.fetched(Lease("a", 1)) == [ToManager("m", TaskBatch([large("a")], []))]
    (deliver,) = ix.receive("m", Results([input_lost("a")]), now=2, stamp=7)
    assert deliver.results[0].error.code == "input_lost"
    ix.check()


def test_a_task_that_is_to_be_cancelled_does_not_fetch_its_inputs_again(ix):
    register(ix, "m", 2)
    ix.tasks(TaskBatch([large("a")], [F]), now=0, stamp=5)
    ix.fetched(Lease("a", 1))
    ix.cancel(Cancel(["a"]), now=1, stamp=6)
    (deliver,) = ix.receive("m", Results([input_lost("a")]), now=1, stamp=6)
    assert deliver.results[0].state is TaskState.CANCELLED
    ix.check()


def test_a_task_may_be_cancelled_or_given_back_while_its_arguments_come(ix):
    ix.tasks(TaskBatch([large("a"), large("b")], [F]), now=0, stamp=5)
    (deliver,) = ix.cancel(Cancel(["a"]), now=1, stamp=6)
    assert deliver.results[0].state is TaskState.CANCELLED
    assert ix.fetched(Lease("a", 1)) == []
    assert Report(GiveBack(unstarted=[Lease("b", 1)])) in ix.drain(5, now=2)
    assert ix.fetched(Lease("b", 1)) == []
    ix.check()


def test_a_result_that_cannot_be_sent_is_replaced_by_the_reason(ix):
    register(ix, "m")
    lease(ix, "a")
    ix.receive("m", Results([result("a")]), now=1, stamp=6)
    failed = result("a", state=TaskState.FAILED)
    assert ix.replaced(failed)
    assert ix.unacknowledged_results() == [[failed]]
    ix.acknowledged([Lease("a", 1)])
    assert not ix.replaced(failed)


def test_tasks_wait_for_a_manager(ix):
    assert lease(ix, "a", "b") == []
    assert dealt(register(ix, "m")) == [("m", ["a"])]


def test_a_slot_is_free_when_its_result_is_on_disk(ix):
    register(ix, "m")
    lease(ix, "a", "b")
    slow = result("a", milliseconds=1000)
    (deliver,) = ix.receive("m", Results([slow]), now=1, stamp=6)
    assert deliver == Deliver(
        "m", [TaskResult("a", 1, slow.state, b"v", None, TaskTimes(5, 1, 1, slow.times.ended, "h:m"))]
    )
    assert dealt(ix.settled("m", 1)) == [("m", ["b"])]


def test_short_tasks_are_sent_ahead_of_the_workers(ix):
    register(ix, "m", 2)
    lease(ix, *"abcdefghij")
    ix.receive("m", Results([result("a", milliseconds=5)]), now=1, stamp=6)
    # 20 ms for each of 2 workers are 8 tasks of 5 ms; one is there.
    assert dealt(ix.settled("m", 1)) == [("m", list("cdefghi"))]


def test_tasks_of_middling_length_are_sent_one_ahead(ix):
    register(ix, "m", 2)
    lease(ix, *"abcdefgh")
    ix.receive("m", Results([result("a", milliseconds=45)]), now=1, stamp=6)
    assert dealt(ix.settled("m", 1)) == [("m", ["c", "d", "e"])]


def test_prefetched_tasks_are_shared_between_managers(ix):
    register(ix, "m", 1)
    register(ix, "n", 1)
    lease(ix, *"abcdefgh")
    ix.receive("m", Results([result("a")]), now=1, stamp=6)
    ix.settled("m", 1)
    assert {record.manager_id: record.leased for record in ix.managers} == {"m": 4, "n": 3}


def test_big_batches_are_cut(ix):
    register(ix, "m", 1200)
    effects = lease(ix, *[f"t{number}" for number in range(1200)])
    assert [len(names) for _, names in dealt(effects)] == [500, 500, 200]


def test_the_result_of_a_task_that_nobody_holds_is_late(ix):
    register(ix, "m")
    assert ix.receive("m", Results([result("a")]), now=1, stamp=6) == []
    lease(ix, "a")
    assert ix.receive("m", Results([result("a", attempt=7)]), now=1, stamp=6) == []
    assert ix.late_results == 2


def test_a_silent_manager_loses_what_it_had_started(ix):
    register(ix, "m", 2)
    lease(ix, "a", "b")
    assert ix.tick(now=10, stamp=9) == []
    assert ix.tick(now=11, stamp=9) == [Bury("m")]
    assert ix.tick(now=12, stamp=9) == []
    assert ix.manager_lost("m", {"a"}, stamp=9) == [
        Report(GiveBack(lost=[Lease("a", 1)], reason="manager_lost", details={"hostname": "h"}))
    ]
    assert dealt(register(ix, "n", now=13)) == [("n", ["b"])]


def test_the_late_result_of_a_silent_manager_counts_while_its_lease_is_open(ix):
    register(ix, "m", 2)
    lease(ix, "a", "b")
    ix.tick(now=11, stamp=9)
    ix.manager_lost("m", set(), stamp=9)
    register(ix, "n", 1, now=12)
    effects = ix.receive("m", Results([result("a")]), now=13, stamp=9)
    assert [result.task_id for effect in effects if isinstance(effect, Deliver) for result in effect.results] == ["a"]
    assert ToManager("n", Cancel(["a"], force=True)) in effects
    assert any(getattr(getattr(effect, "message", None), "code", "") == "superseded" for effect in effects)
    ix.check()


def test_a_lost_lease_is_named_in_registrations_until_it_is_acknowledged(ix):
    register(ix, "m")
    lease(ix, "a")
    ix.receive("m", GiveBack(lost=[Lease("a", 1)], reason="worker_lost"), now=1, stamp=2)
    assert ix.lost() == [Lease("a", 1)]
    ix.acknowledged([Lease("a", 1)])
    assert ix.lost() == []


def test_results_stay_until_they_are_acknowledged(ix):
    register(ix, "m")
    lease(ix, "a")
    ix.receive("m", Results([result("a")]), now=1, stamp=2)
    assert ix.held() == [Lease("a", 1)]
    assert [[r.task_id for r in frame] for frame in ix.unacknowledged_results()] == [["a"]]
    assert ix.acknowledged([Lease("a", 2)]) == []
    assert ix.acknowledged([Lease("a", 1)]) == [Forget([Lease("a", 1)])]
    assert ix.held() == []


def test_what_an_earlier_agent_left_is_named(ix):
    ix.recovered([result("a")], [Lease("a", 1), Lease("b", 1)])
    assert (ix.held(), ix.lost()) == ([Lease("a", 1)], [Lease("b", 1)])


def test_a_waiting_task_is_cancelled_here(ix):
    lease(ix, "a")
    (deliver,) = ix.cancel(Cancel(["a"]), now=1, stamp=2)
    assert (deliver.manager_id, deliver.results[0].state) == (None, TaskState.CANCELLED)
    assert dealt(register(ix, "m")) == []


def test_a_leased_task_is_cancelled_by_its_manager(ix):
    register(ix, "m")
    lease(ix, "a")
    assert ix.cancel(Cancel(["a"], force=True), now=1, stamp=2) == [ToManager("m", Cancel(["a"], force=True))]


def test_a_cancel_may_overtake_its_task(ix):
    register(ix, "m")
    assert ix.cancel(Cancel(["a"]), now=0, stamp=2) == []
    effects = lease(ix, "a")
    assert [type(effect) for effect in effects] == [Deliver]


def test_a_task_without_its_function_goes_back(ix):
    assert lease(ix, "a", functions=()) == [Report(GiveBack(unstarted=[Lease("a", 1)], missing_functions=True))]


def test_a_duplicate_is_ignored_and_a_later_attempt_fences(ix):
    """F29"""
    register(ix, "m")
    lease(ix, "a")
    assert lease(ix, "a") == []
    effects = ix.tasks(TaskBatch([task("a", 2)]), now=1, stamp=2)
    assert effects[0] == ToManager("m", Cancel(["a"], force=True))
    assert dealt(effects) == [("m", ["a"])]
    assert ix.receive("m", Results([result("a")]), now=2, stamp=3) == []


def test_a_full_disk_closes_the_window(ix):
    assert ix.disk(is_full=True) == [Window(0)]
    assert ix.disk(is_full=False) == [Window(1024)]


def test_a_drain_returns_what_waits_and_ends_with_the_last_task(ix):
    register(ix, "m")
    lease(ix, "a", "b")
    assert ix.drain(30, now=1) == [
        Window(0),
        Report(GiveBack(unstarted=[Lease("b", 1)])),
        ToManager("m", Drain(30)),
    ]
    assert lease(ix, "c") == [Report(GiveBack(unstarted=[Lease("c", 1)]))]
    effects = ix.receive("m", Results([result("a")]), now=2, stamp=3)
    assert [type(effect) for effect in effects] == [Deliver, Finished]


def test_a_drain_of_nothing_ends_at_once(ix):
    assert ix.drain(30, now=1) == [Window(0), Finished()]


def test_a_drain_that_takes_too_long_reports_what_it_kills(ix):
    register(ix, "m")
    lease(ix, "a")
    ix.drain(5, now=1)
    assert ix.tick(now=8, stamp=9) == []
    assert ix.tick(now=9.1, stamp=9) == [Report(GiveBack(lost=[Lease("a", 1)], reason="endpoint_lost")), Finished()]


def test_what_a_drained_manager_did_not_take_waits_again(ix):
    register(ix, "m")
    lease(ix, "a")
    ix.receive("m", Drained(), now=1, stamp=2)
    assert dealt(register(ix, "n")) == [("n", ["a"])]


def test_tasks_that_wait_long_are_reported_once(ix):
    lease(ix, "a")
    late = 2_000_000_000
    assert ix.tick(now=2, stamp=late) == [
        Report(Transitions([Transition("a", 1, TaskState.WAITING_FOR_NODES, 5)])),
    ]
    assert ix.tick(now=3, stamp=late) == []


def test_a_task_that_runs_is_reported_with_its_node(ix):
    register(ix, "m")
    lease(ix, "a")
    from_manager = Transition("a", 1, TaskState.RUNNING, 7, TaskTimes(manager=6, started=7, worker=2))
    from_older_one = Transition("a", 1, TaskState.RUNNING, 7)
    for sent, passed_on in (
        (from_manager, TaskTimes(5, 6, 7, 0, "h:m", 2)),
        (from_older_one, None),
    ):
        (report,) = ix.receive("m", Transitions([sent]), now=1, stamp=8)
        assert report.message.transitions[0].times == passed_on


def test_an_unknown_manager_is_refused(ix):
    (refusal,) = ix.receive("m", Results([result("a")]), now=1, stamp=2)
    assert refusal.message.code == "superseded"


def test_released_leases_are_dropped_when_a_session_opens(ix):
    register(ix, "m")
    lease(ix, "a", "b")
    ix.recovered([result("c")], [Lease("d", 1)])
    effects = ix.session_opened([Lease(name, 1) for name in "abcd"], now=1, stamp=2)
    assert Forget([Lease("c", 1)]) in effects
    assert ToManager("m", Cancel(["a"], force=True)) in effects
    assert ix.lost() == []


# --- sessions of managers -------------------------------------------------------------------------------------------


def again(ix, *held, session=1, capacity=2):
    return ix.receive("m", registration("m", capacity, session=session, held=held), now=1, stamp=9)


def test_what_never_reached_a_manager_waits_again(ix):
    register(ix, "m", 2)
    lease(ix, "a", "b")
    effects = again(ix, Lease("a", 1))
    assert effects[0] == ToManager("m", ManagerRegistered(1, 10, 1))
    assert effects[-1] == ToManager("m", TaskBatch([task("b")], [F], 1))


def test_a_cancellation_is_repeated_in_a_new_session(ix):
    register(ix, "m", 2)
    lease(ix, "a", "b")
    ix.cancel(Cancel(["a", "b"]), now=0, stamp=6)
    effects = again(ix, Lease("a", 1))
    assert ToManager("m", Cancel(["a"])) in effects
    (deliver,) = [effect for effect in effects if isinstance(effect, Deliver)]
    assert [(result.task_id, result.state) for result in deliver.results] == [("b", TaskState.CANCELLED)]


def test_a_manager_stops_what_nobody_waits_for(ix):
    register(ix, "m", 2)
    assert ToManager("m", Cancel(["old"], force=True)) in again(ix, Lease("old", 1))


def test_a_manager_may_forget_results_when_they_are_on_disk(ix):
    register(ix, "m", 2)
    lease(ix, "a", "b")
    ix.receive("m", Results([result("a"), result("unknown")]), now=1, stamp=6)
    assert ix.tick(now=1, stamp=6) == []
    assert ix.settled("m", 1) == []
    assert ix.tick(now=1, stamp=6) == [ToManager("m", ReportsAck(0, 2))]
    assert ix.tick(now=1, stamp=6) == []


def test_what_is_reported_again_is_not_safe_before_the_first_report_is(ix):
    register(ix, "m", 2)
    lease(ix, "a")
    ix.receive("m", Results([result("a")]), now=1, stamp=6)
    again(ix, Lease("a", 1))
    assert ix.receive("m", Results([result("a")]), now=1, stamp=6) == []
    assert ix.tick(now=1, stamp=6) == []
    ix.settled("m", 1)
    assert ix.tick(now=1, stamp=6) == [ToManager("m", ReportsAck(1, 1))]


def test_a_loss_is_safe_when_the_service_knows_of_it(ix):
    register(ix, "m", 2)
    lease(ix, "a")
    ix.receive("m", GiveBack(lost=[Lease("a", 1)], reason="worker_lost"), now=1, stamp=6)
    assert ix.tick(now=1, stamp=6) == []
    ix.acknowledged([Lease("a", 1)])
    assert ix.tick(now=1, stamp=6) == [ToManager("m", ReportsAck(0, 1))]


def test_much_that_is_safe_is_told_at_once(ix):
    register(ix, "m", 2)
    lease(ix, "a")
    big = TaskResult("a", 1, TaskState.SUCCESS, bytes(2_000_000), None, TaskTimes(0, 1, 1, 2))
    ix.receive("m", Results([big]), now=1, stamp=6)
    assert ix.settled("m", 1) == [ToManager("m", ReportsAck(0, 1))]


def test_a_manager_whose_disk_is_full_is_given_nothing(ix):
    register(ix, "m", 2)
    ix.receive("m", ManagerHeartbeat(2, 0, "disk-full"), now=1, stamp=6)
    assert lease(ix, "a") == []
    assert dealt(ix.receive("m", ManagerHeartbeat(2, 0), now=2, stamp=6)) == [("m", ["a"])]


def test_a_manager_whose_block_ends_is_given_nothing_more(ix):
    register(ix, "m", 2)
    ix.receive("m", ManagerHeartbeat(2, 0, "draining"), now=1, stamp=6)
    assert lease(ix, "a") == []
    assert dealt(ix.receive("m", ManagerHeartbeat(2, 0), now=2, stamp=6)) == []
    assert dealt(register(ix, "other", 1)) == [("other", ["a"])]


def test_a_manager_is_not_silent_because_the_agent_slept(ix):
    register(ix, "m")
    ix.slept(60)
    assert ix.tick(now=65, stamp=9) == []
    assert ix.tick(now=71, stamp=9) == [Bury("m")]


def test_a_manager_on_hold_is_given_nothing_until_that_ends(ix):
    register(ix, "m", 2)
    assert dealt(lease(ix, "a")) == [("m", ["a"])]
    assert ix.hold_manager("m") == []
    assert dealt(lease(ix, "b", functions=())) == []
    assert dealt(ix.hold_manager("m", hold=False)) == [("m", ["b"])]
    ix.check()
    with pytest.raises(KeyError):
        ix.hold_manager("other")
