"""The manager's machine, one behaviour per test."""

from __future__ import annotations

import pytest

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import Cancel, GiveBack, Results, TaskBatch, Transitions
from funcx_core.protocol.manager import Drained, ManagerHeartbeat, ManagerRefused, ManagerRegistered, ReportsAck
from funcx_core.protocol.task import (
    Function,
    Lease,
    Task,
    TaskError,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
    event_seq,
)
from funcx_endpoint.manager.machine.effects import (
    DealChunk,
    Effect,
    End,
    Enrol,
    Level,
    NoteReturned,
    NoteSafe,
    Peek,
    Send,
    SendRecall,
    Signal,
    Spawn,
    TakeBack,
    TryJournal,
)
from funcx_endpoint.manager.machine.holdings import TASK_SECONDS
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.workers.death import Death
from funcx_endpoint.manager.workers.limits import Excess

F = Function(FunctionId("f"), "f", b"body")


def a_manager(workers: int = 2, **rules: object) -> Manager:
    manager = Manager(Rules(workers=workers, heartbeat_period=5, heartbeat_threshold=30, **rules))  # type: ignore[arg-type]
    assert manager.start(0.0) == [*(Spawn(index) for index in range(workers)), Enrol()]
    manager.registered(ManagerRegistered(5, 30), 0.0)
    for index in range(workers):
        assert manager.ready(index, 0.0) == []
    return manager


def tasks(*names: str, function: Function = F, **options: object) -> list[Task]:
    settings = TaskOptions(**options) if options else None  # type: ignore[arg-type]
    return [Task(TaskId(name), 1, function.function_id, b"", settings) for name in names]


def give(manager: Manager, given: list[Task], now: float = 0.0) -> list[Effect]:
    return manager.task_batch(TaskBatch(given, [F]), now, 7)


def result(
    name: str, state: TaskState = TaskState.SUCCESS, error: TaskError | None = None, seconds: float = 0.001
) -> TaskResult:
    times = TaskTimes(started=1_000_000, ended=1_000_000 + int(seconds * 1e9))
    return TaskResult(TaskId(name), 1, state, b"v", error, times)


def dealt(effects: list[Effect]) -> list[tuple[int, list[str]]]:
    return [(e.worker, [d.task.task_id for d in e.chunk.tasks]) for e in effects if isinstance(e, DealChunk)]


def sent(effects: list[Effect], kind: type) -> list:
    return [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, kind)]


def a_manager_that_knows(seconds: float, workers: int = 2, **rules: object) -> Manager:
    """One that has seen that tasks of F take so long; the next number of worker 0 is 2."""
    manager = a_manager(workers, **rules)
    give(manager, tasks("known"))
    manager.finished(0, [result("known", seconds=seconds - TASK_SECONDS)], seconds)
    return manager


def test_tasks_of_an_unknown_function_are_dealt_one_by_one() -> None:
    assert dealt(give(a_manager(), tasks("a", "b", "c"))) == [(0, ["a"]), (1, ["b"])]


def test_a_result_frees_the_worker_for_the_next_task() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    effects = manager.finished(0, [result("a")], 0.2)
    assert sent(effects, Results) == [
        Results(
            [TaskResult(TaskId("a"), 1, TaskState.SUCCESS, b"v", None, TaskTimes(0, 7, 1_000_000, 2_000_000, "", 0))]
        )
    ]
    assert dealt(effects) == [(0, ["b"])]


def test_short_tasks_are_dealt_in_chunks_of_four_milliseconds_two_ahead() -> None:
    manager = a_manager_that_knows(0.001)
    given = tasks(*(f"t{n}" for n in range(20)))
    assert [(worker, len(names)) for worker, names in dealt(give(manager, given))] == [(0, 4), (1, 4), (0, 4), (1, 4)]


def test_few_short_tasks_are_shared_by_idle_workers() -> None:
    manager = a_manager_that_knows(0.0001)
    assert dealt(give(manager, tasks("a", "b", "c", "d"))) == [(0, ["a", "b"]), (1, ["c", "d"])]


def test_a_clock_that_jumps_forward_does_not_make_a_function_long() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    manager.finished(0, [result("a", seconds=3600)], 0.0005)
    assert [len(names) for _, names in dealt(give(manager, tasks(*"bcdefghijklmnop")))] == [7, 7]


def test_nothing_is_dealt_ahead_of_or_behind_a_long_task() -> None:
    manager = a_manager_that_knows(1.0)
    assert dealt(give(manager, tasks("a", "b", "c"))) == [(0, ["a"]), (1, ["b"])]


def test_a_function_body_goes_to_each_worker_once() -> None:
    manager = a_manager(1)
    first = give(manager, tasks("a"))
    second = manager.finished(0, [result("a")], 1.0) + give(manager, tasks("b"), 1.0)
    chunks = [e.chunk for e in first + second if isinstance(e, DealChunk)]
    assert [chunk.functions for chunk in chunks] == [[F], []]


def test_a_worker_without_the_body_gets_it_with_the_next_deal() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    effects = manager.returned(0, [1], 0.0, missing=True)
    assert effects[0] == NoteReturned(0, [1])
    assert [e.chunk.functions for e in effects if isinstance(e, DealChunk)] == [[F]]


def test_tasks_without_a_body_go_back_to_the_sender() -> None:
    manager = a_manager()
    effects = manager.task_batch(TaskBatch(tasks("a")), 0.0, 7)
    assert effects == [Send(GiveBack(unstarted=[Lease(TaskId("a"), 1)], missing_functions=True))]


def test_a_lease_that_is_here_already_is_not_taken_twice() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    assert give(manager, tasks("a")) == []
    assert manager.leases() == [Lease(TaskId("a"), 1)]


def test_a_worker_that_dies_loses_what_it_had_started_and_nothing_else() -> None:
    manager = a_manager_that_knows(0.001, workers=1, hostname="node7")
    give(manager, tasks("a", "b"), 1.0)  # numbers 2 and 3
    effects = manager.died(0, Death(started=2, signal=9, oom=True), 1.1)
    assert effects == [
        NoteReturned(0, [3]),
        Send(
            GiveBack(
                lost=[Lease(TaskId("a"), 1)],
                reason="worker_lost",
                details={"signal": 9, "exitcode": None, "oom": True, "hostname": "node7"},
            )
        ),
        Spawn(0),
    ]
    assert dealt(manager.ready(0, 1.2)) == [(0, ["b"])]


def test_a_worker_that_hung_while_it_loaded_fails_that_task_and_gives_back_the_rest() -> None:
    """U18: not started again, whatever `retry_on_loss` says: it would hang again."""
    manager = a_manager_that_knows(0.001, workers=1, hostname="node7")
    give(manager, tasks("a", "b"), 1.0)  # numbers 2 and 3
    effects = manager.died(0, Death(started=2, exitcode=1, stderr="File joins.py", has_hung_loading=True), 1.1)
    [failed] = sent(effects, Results)[0].results
    assert (failed.task_id, failed.state, failed.error.code) == ("a", TaskState.FAILED, "function_load_error")
    assert failed.error.details["stderr"] == "File joins.py"
    assert sent(effects, GiveBack) == []
    assert dealt(manager.ready(0, 1.2)) == [(0, ["b"])]


def test_what_a_worker_used_too_much_of_is_told_with_its_loss() -> None:
    """U10, U14"""
    for excess, oom in ((Excess("memory", 600, 512), True), (Excess("processes", 600, 512), False)):
        manager = a_manager(workers=1)
        give(manager, tasks("a"))
        [lost] = sent(manager.died(0, Death(started=1, signal=9, excess=excess), 0.1), GiveBack)
        assert lost.details["oom"] is oom
        assert (lost.details[f"{excess.what}_used"], lost.details[f"{excess.what}_limit"]) == (600, 512)


def test_what_a_dead_worker_had_not_started_goes_to_another_at_once() -> None:
    manager = a_manager()
    give(manager, tasks("a"))
    effects = manager.died(0, Death(started=0, exitcode=1), 0.1)
    assert dealt(effects) == [(1, ["a"])]
    assert sent(effects, GiveBack) == []


def test_a_result_of_a_lease_that_went_elsewhere_is_dropped() -> None:
    manager = a_manager()
    give(manager, tasks("a"))
    manager.died(0, Death(started=0, exitcode=1), 0.1)
    assert manager.finished(0, [result("a")], 0.2) == []


def test_a_worker_that_never_gets_ready_is_started_again_ever_later() -> None:
    manager = Manager(Rules(workers=1, heartbeat_period=500, heartbeat_threshold=3000))
    manager.start(0.0)
    manager.registered(ManagerRegistered(5, 30), 0.0)
    assert manager.died(0, Death(started=0, exitcode=1), 1.0) == []
    assert manager.tick_at() == 1.1
    assert manager.tick(1.1, 0, [0]) == [Spawn(0)]
    manager.died(0, Death(started=0, exitcode=1), 2.0)
    assert manager.tick_at() == 2.2


def test_a_waiting_task_is_cancelled_at_once() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    [results] = sent(manager.cancel(Cancel([TaskId("b")]), 0.0), Results)
    [ended] = results.results
    assert (ended.task_id, ended.state, ended.error.code) == ("b", TaskState.CANCELLED, "task_cancelled")
    assert manager.leases() == [Lease(TaskId("a"), 1)]


def test_a_running_task_is_cancelled_by_signals_of_rising_level() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", interrupt_grace=2.0))
    assert manager.cancel(Cancel([TaskId("a")]), 1.0) == [Signal(0, 1, Level.INTERRUPT)]
    assert manager.cancel(Cancel([TaskId("a")]), 1.1) == []
    assert manager.tick(2.9, 0, [1])[-1:] != [Signal(0, 1, Level.TERMINATE)]
    assert Signal(0, 1, Level.TERMINATE) in manager.tick(3.0, 0, [1])
    assert Signal(0, 1, Level.KILL) in manager.tick(5.0, 0, [1])
    effects = manager.died(0, Death(started=1, signal=9), 5.1)
    [results] = sent(effects, Results)
    assert results.results[0].state is TaskState.CANCELLED
    assert sent(effects, GiveBack) == []


def test_a_forced_cancel_kills_at_once() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    manager.cancel(Cancel([TaskId("a")]), 1.0)
    assert manager.cancel(Cancel([TaskId("a")], force=True), 1.1) == [Signal(0, 1, Level.KILL)]


def test_a_success_wins_against_a_cancel_and_a_failure_does_not() -> None:
    """U25"""
    manager = a_manager()
    give(manager, tasks("a", "b"))
    manager.cancel(Cancel([TaskId("a"), TaskId("b")]), 1.0)
    raised = TaskError(code="remote_task_error", message="", type_name="KeyboardInterrupt")
    first = sent(manager.finished(0, [result("a")], 1.1), Results)[0].results[0]
    second = sent(manager.finished(1, [result("b", TaskState.FAILED, raised)], 1.1), Results)[0].results[0]
    assert (first.state, second.state) == (TaskState.SUCCESS, TaskState.CANCELLED)


def test_what_was_dealt_behind_a_cancelled_task_is_taken_back() -> None:
    manager = a_manager_that_knows(0.001, workers=1)
    give(manager, tasks(*"abcdefgh"), 1.0)  # chunks 2-5 and 6-9
    effects = manager.cancel(Cancel([TaskId("a")]), 1.0)
    assert effects == [Signal(0, 2, Level.INTERRUPT), TakeBack(0), SendRecall(0)]
    assert manager.returned(0, [6, 7, 8, 9], 1.0) == [NoteReturned(0, [6, 7, 8, 9])]
    assert manager.returned(0, [3, 4, 5], 1.0) == [NoteReturned(0, [3, 4, 5])]
    assert dealt(manager.finished(0, [result("a")], 1.1))[0][1][0] == "b"


def test_a_task_that_was_cancelled_before_its_turn_ends_when_it_comes_back() -> None:
    manager = a_manager_that_knows(0.001, workers=1)
    give(manager, tasks("a", "b"), 1.0)
    assert manager.cancel(Cancel([TaskId("b")]), 1.0) == [TakeBack(0), SendRecall(0)]
    [results] = sent(manager.returned(0, [3], 1.0), Results)
    assert results.results[0].state is TaskState.CANCELLED


def test_a_task_over_its_walltime_is_stopped_with_a_timeout() -> None:
    manager = a_manager(1, walltime=10.0)
    give(manager, tasks("a", "b", walltime=1.0))
    manager.tick(0.5, 0, [1])
    assert manager.tick_at() == 1.0
    assert manager.tick(1.0, 0, [1]) == [Signal(0, 1, Level.INTERRUPT)]
    raised = TaskError(code="remote_task_error", message="", type_name="KeyboardInterrupt")
    [results] = sent(manager.finished(0, [result("a", TaskState.FAILED, raised)], 1.1), Results)
    assert (results.results[0].state, results.results[0].error.code) == (TaskState.FAILED, "task_timeout")


def test_only_a_task_that_runs_for_a_while_is_reported_as_running() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    assert manager.tick_at() == pytest.approx(0.1)
    [change] = sent(manager.tick(0.1, 1_000_000_000, [1]), Transitions)
    assert change.transitions[0].state is TaskState.RUNNING
    assert (change.transitions[0].times.manager, change.transitions[0].times.worker) == (7, 0)
    assert change.transitions[0].at == pytest.approx(900_000_000)
    assert manager.tick(0.2, 0, [1]) == []


def test_tasks_behind_a_stuck_one_are_taken_back_when_another_worker_idles() -> None:
    manager = a_manager_that_knows(0.001)
    give(manager, tasks(*"abcd"), 1.0)  # two each
    assert manager.finished(1, [result("c"), result("d")], 1.01)[1:] == []
    assert manager.tick_at() == pytest.approx(1.025)
    assert manager.tick(1.03, 0, [2, 2]) == [TakeBack(0), SendRecall(0)]
    assert manager.tick(1.04, 0, [2, 2]) == []
    assert dealt(manager.returned(0, [3], 1.05)) == [(1, ["b"])]


def test_a_result_that_waits_behind_a_stuck_task_is_looked_for_in_the_page() -> None:
    manager = a_manager_that_knows(0.001, workers=1)
    give(manager, tasks("a", "b"), 1.0)
    assert manager.tick(1.03, 0, [3]) == [Peek(0)]
    assert manager.tick_at() > 1.03


def test_a_drain_gives_back_what_waits_and_ends_when_the_rest_is_done() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    assert manager.drain(10, 1.0) == [Send(GiveBack(unstarted=[Lease(TaskId("b"), 1)]))]
    assert give(manager, tasks("c")) == [Send(GiveBack(unstarted=[Lease(TaskId("c"), 1)]))]
    effects = manager.finished(0, [result("a")], 2.0)
    assert effects[1:] == [Send(Drained())]
    assert manager.acknowledged(ReportsAck(0, 1)) == [NoteSafe([1]), End("Drained.")]


def test_a_drain_whose_grace_is_over_reports_what_runs_as_lost() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    manager.drain(1, 1.0)
    effects = manager.tick(2.0, 0, [1])
    assert sent(effects, GiveBack)[0].lost == [Lease(TaskId("a"), 1)]
    assert effects[-1] == Send(Drained())
    assert manager.tick(4.9, 0, [1]) == []
    assert manager.tick(5.0, 0, [1]) == [Send(ManagerHeartbeat(1, 0, "draining")), End("Drained.")]


def test_who_retires_says_so_before_it_gives_anything_back() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    assert manager.retire(10, 1.0) == [
        Send(ManagerHeartbeat(0, 1, "draining")),
        Send(GiveBack(unstarted=[Lease(TaskId("b"), 1)])),
    ]


def states(manager: Manager, now: float) -> list[str]:
    """What the manager says of itself at a time, when its interchange has just been heard."""
    manager.heard(now)
    return [beat.state for beat in sent(manager.tick(now, 0, [1]), ManagerHeartbeat)]


def test_a_manager_retires_before_its_block_ends() -> None:
    manager = a_manager(1, block_ends_at=1000.0, block_seconds=1000.0)
    give(manager, tasks("a", "b"))
    assert states(manager, 969.0) == [""]
    assert manager.tick_at() == 970.0
    assert manager.tick(970.0, 0, [1]) == [
        Send(ManagerHeartbeat(0, 1, "draining")),
        Send(GiveBack(unstarted=[Lease(TaskId("b"), 1)])),
    ]
    manager.heard(993.0)
    assert sent(manager.tick(993.9, 0, [1]), GiveBack) == []
    assert sent(manager.tick(994.0, 0, [1]), GiveBack)[0].lost == [Lease(TaskId("a"), 1)]


@pytest.mark.parametrize(("longest", "retires_at"), [(100.0, 850.0), (400.0, 500.0)])
def test_a_manager_retires_the_earlier_the_longer_its_tasks_are_but_works_for_half_of_its_time(
    longest: float, retires_at: float
) -> None:
    manager = a_manager_that_knows(longest, 1, block_ends_at=1000.0, block_seconds=1000.0)
    assert "draining" not in states(manager, retires_at - 1)
    assert "draining" in states(manager, retires_at)


def test_an_idle_manager_only_wakes_for_its_heartbeat() -> None:
    manager = a_manager()
    assert manager.tick_at() == 5.0
    assert manager.tick(5.0, 0, [0, 0]) == [Send(ManagerHeartbeat(2, 0))]
    assert manager.tick_at() == 10.0


def test_a_silent_interchange_is_asked_again_and_the_workers_go_on() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    assert Enrol() in manager.tick(31.0, 0, [1])
    assert Enrol() in manager.tick(1000.0, 0, [1])
    session, held = manager.registration()
    assert held == [Lease(TaskId("a"), 1)]
    assert manager.finished(0, [result("a")], 1001.0) == []
    assert sent(manager.registered(ManagerRegistered(5, 30, session), 1002.0), Results)


def test_a_manager_abroad_ends_when_the_interchange_stays_silent() -> None:
    manager = a_manager(1, is_local=False)
    assert isinstance(manager.tick(301.0, 0, [0])[0], End)


def test_a_refused_manager_ends() -> None:
    assert isinstance(a_manager().refused(ManagerRefused("superseded", ""), 0.0)[0], End)


# --- sessions -------------------------------------------------------------------------------------------------------


def lease_of(name: str) -> Lease:
    return Lease(TaskId(name), 1)


def register(manager: Manager, now: float = 1.0) -> tuple[list[Lease], list[Effect]]:
    """Begin a new session; return what the registration named, and what is said when it is answered."""
    assert manager.renewed(now) == [Enrol()]
    session, held = manager.registration()
    return held, manager.registered(ManagerRegistered(5, 30, session), now)


def test_a_new_session_names_what_is_held_and_says_again_what_is_not_acknowledged() -> None:
    manager = a_manager(2)
    give(manager, tasks("a", "b", "c"))
    done = manager.finished(0, [result("a")], 0.1)[0]
    lost = next(e for e in manager.died(1, Death(started=1), 0.2) if isinstance(e, Send))
    held, effects = register(manager)
    assert held == [lease_of(name) for name in "cab"]
    assert effects == [done, lost]


def test_what_is_acknowledged_is_not_said_again() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    manager.finished(0, [result("a")], 0.1)
    assert manager.acknowledged(ReportsAck(7, 1)) == [], "another session counted other things"
    assert manager.acknowledged(ReportsAck(0, 1)) == [NoteSafe([1])]
    assert register(manager) == ([lease_of("b")], [])


def test_results_are_safe_in_the_journal_when_all_before_them_are_acknowledged() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b", "c"))
    manager.finished(0, [result("a")], 0.1)
    manager.finished(0, [result("b")], 0.2)
    assert manager.acknowledged(ReportsAck(0, 1)) == []
    manager.finished(0, [result("c")], 0.3)
    assert manager.acknowledged(ReportsAck(0, 2)) == [NoteSafe([2])]
    assert manager.acknowledged(ReportsAck(0, 3)) == [NoteSafe([3])]


def test_leases_of_an_older_session_are_not_taken() -> None:
    manager = a_manager(1)
    register(manager)
    assert give(manager, tasks("a")) == []
    assert manager.leases() == []


def test_a_connection_that_is_not_known_makes_it_register_once() -> None:
    manager = a_manager(1)
    unknown = ManagerRefused("register", "")
    assert manager.refused(unknown, 1.0) == [Enrol()]
    assert manager.refused(unknown, 1.1) == []


def test_what_comes_back_while_a_session_begins_is_given_back_then() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    manager.renewed(1.0)
    session, held = manager.registration()
    assert held == [lease_of("a"), lease_of("b")]
    assert manager.drain(10, 1.0) == []
    assert manager.registered(ManagerRegistered(5, 30, session), 1.1) == [
        Send(ManagerHeartbeat(0, 1, "draining")),
        Send(GiveBack(unstarted=[lease_of("b")])),
    ]


def test_a_journal_that_cannot_be_written_stops_the_taking_of_tasks() -> None:
    manager = a_manager(1)
    give(manager, tasks("a", "b"))
    full = Send(ManagerHeartbeat(1, 0, "disk-full"))
    assert manager.not_dealt(0, [1], 0.0) == [full, Send(GiveBack(unstarted=[lease_of("a"), lease_of("b")]))]
    assert give(manager, tasks("c")) == [Send(GiveBack(unstarted=[lease_of("c")]))]
    assert manager.tick(1.0, 0, [0]) == [TryJournal()]
    assert manager.journal_works(1.0) == [Send(ManagerHeartbeat(1, 0))]
    assert dealt(give(manager, tasks("d"))) == [(0, ["d"])]


def test_events_of_a_task_are_numbered_by_attempt() -> None:
    manager = a_manager(1)
    give(manager, tasks("a"))
    assert [manager.next_event(TaskId("a")), manager.next_event(TaskId("a"))] == [event_seq(1, 1), event_seq(1, 2)]
    assert manager.next_event(TaskId("unknown")) is None
