"""The forwarder's part of an executor that stands alone, as sequences of events."""

from __future__ import annotations

from funcx_core.ids import EndpointId
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointStatus,
    GiveBack,
    Goodbye,
    Heartbeat,
    Refused,
    Register,
    Registered,
    Results,
    TaskBatch,
    Transitions,
    Window,
)
from funcx_core.protocol.task import Lease, TaskState, Transition
from funcx_endpoint.executors.alone.effects import Effect, Ended, SendAck, SendCommand, SendTasks, Started
from funcx_endpoint.executors.alone.state import BATCH_BYTES, BATCH_TASKS, Session
from tests.support.offers import FUNCTION, a_lease, a_result, a_task

COMMANDS, TASKS, RESULTS = b"commands", b"tasks", b"results"
EPOCH = 7


def a_register(*, held: tuple[Lease, ...] = (), lost: tuple[Lease, ...] = (), window: int = 10) -> Register:
    return Register(
        endpoint_id=EndpointId("e"),
        epoch=EPOCH,
        window=window,
        heartbeat_period=1.0,
        held=list(held),
        lost=list(lost),
    )


def open_channels(session: Session, number: int = 1, **register: object) -> list[Effect]:
    """Register and attach; return what follows from the attaching."""
    session.command(COMMANDS, a_register(**register))  # type: ignore[arg-type]
    return [
        *session.attach_tasks(TASKS, Attach(EPOCH, number)),
        *session.result_message(RESULTS, Attach(EPOCH, number)),
    ]


def a_session(*names: str, window: int = 10) -> Session:
    """With an agent, to which these tasks are leased."""
    session = Session(heartbeat_period=1.0, heartbeat_threshold=3.0)
    session.learn(FUNCTION)
    session.submitted([a_task(name) for name in names])
    open_channels(session, window=window)
    return session


def batch(*names: str, number: int = 1, attempt: int = 1, functions: bool = False) -> SendTasks:
    tasks = [a_task(name, attempt=attempt) for name in names]
    return SendTasks(TASKS, TaskBatch(tasks, [FUNCTION] if functions else [], number))


def ends(effects: list[Effect]) -> list[tuple[str, str, str]]:
    return [
        (one.task_id, one.state, one.error.code if one.error else "")
        for effect in effects
        if isinstance(effect, Ended)
        for one in effect.results
    ]


def test_tasks_wait_for_the_agent_and_their_function_goes_with_the_first() -> None:
    session = Session(heartbeat_period=1.0, heartbeat_threshold=3.0)
    session.learn(FUNCTION)
    assert session.submitted([a_task("t1")]) == []
    assert session.command(COMMANDS, a_register()) == [SendCommand(COMMANDS, Registered(EPOCH, 1.0, 3.0, [], 1))]
    assert session.attach_tasks(TASKS, Attach(EPOCH, 1)) == [batch("t1", functions=True)]
    assert session.submitted([a_task("t2")]) == [batch("t2")]
    assert session.outstanding == 2


def test_no_more_is_leased_than_the_window_allows_and_a_result_makes_room_first() -> None:
    session = a_session("t1", "t2", window=2)
    assert session.submitted([a_task("t3")]) == []
    result = a_result("t1")
    assert session.result_message(RESULTS, Results([result])) == [
        batch("t3"),
        SendAck(RESULTS, [a_lease("t1")]),
        Ended([result]),
    ]


def test_a_wider_window_lets_tasks_flow() -> None:
    session = a_session("t1", window=1)
    session.submitted([a_task("t2")])
    assert session.command(COMMANDS, Window(EPOCH, 5)) == [batch("t2")]


def test_batches_are_bounded_in_number_and_bytes() -> None:
    session = a_session(window=2000)
    many = session.submitted([a_task(f"t{number}") for number in range(BATCH_TASKS + 1)])
    assert [len(effect.batch.tasks) for effect in many if isinstance(effect, SendTasks)] == [BATCH_TASKS, 1]
    large = session.submitted([a_task(name, payload=bytes(BATCH_BYTES // 2 + 1)) for name in ("a", "b")])
    assert [len(effect.batch.tasks) for effect in large if isinstance(effect, SendTasks)] == [1, 1]


def test_a_result_counts_once_and_only_of_the_present_attempt() -> None:
    session = a_session("t1")
    session.result_message(RESULTS, Results([a_result("t1")]))
    again = session.result_message(RESULTS, Results([a_result("t1"), a_result("t9", attempt=2)]))
    assert again == [SendAck(RESULTS, [a_lease("t1"), a_lease("t9", 2)])]
    assert session.late_results == 2


def test_what_has_not_started_is_leased_again_in_its_order_and_first() -> None:
    session = a_session("t1", "t2", window=2)
    session.submitted([a_task("t3")])
    back = GiveBack(unstarted=[a_lease("t1"), a_lease("t2")])
    assert session.result_message(RESULTS, back) == [batch("t1", "t2", attempt=2)]


def test_a_function_that_the_agent_lost_is_sent_again() -> None:
    session = a_session("t1")
    back = GiveBack(unstarted=[a_lease("t1")], missing_functions=True)
    assert session.result_message(RESULTS, back) == [batch("t1", attempt=2, functions=True)]


def test_what_started_and_was_lost_fails_typed_and_is_acknowledged() -> None:
    session = a_session("t1")
    lost = GiveBack(lost=[a_lease("t1")], reason="worker_lost", details={"signal": 9})
    effects = session.result_message(RESULTS, lost)
    assert effects[0] == SendAck(RESULTS, [a_lease("t1")])
    assert ends(effects) == [("t1", TaskState.FAILED, "worker_lost")]
    assert session.outstanding == 0


def test_a_new_registration_settles_what_was_on_its_way() -> None:
    session = a_session("held", "lost", "gone")
    effects = session.command(
        COMMANDS, a_register(held=(a_lease("held"), a_lease("old")), lost=(a_lease("lost"), a_lease("older")))
    )
    assert effects[0] == SendCommand(COMMANDS, Registered(EPOCH, 1.0, 3.0, [a_lease("old")], 2))
    assert ends(effects) == [("lost", TaskState.FAILED, "endpoint_lost")]
    assert session.attach_tasks(TASKS, Attach(EPOCH, 2)) == [batch("gone", number=2, attempt=2, functions=True)]
    attached = session.result_message(RESULTS, Attach(EPOCH, 2))
    assert attached == [SendAck(RESULTS, [a_lease("lost"), a_lease("older")])]


def test_an_attach_of_an_older_registration_opens_nothing() -> None:
    session = a_session()
    session.command(COMMANDS, a_register())
    session.attach_tasks(TASKS, Attach(EPOCH, 1))
    assert session.submitted([a_task("t1")]) == []


def test_a_waiting_task_is_cancelled_at_once() -> None:
    session = Session(heartbeat_period=1.0, heartbeat_threshold=3.0)
    session.submitted([a_task("t1")])
    assert ends(session.cancel([a_task("t1").task_id])) == [("t1", TaskState.CANCELLED, "task_cancelled")]
    assert session.outstanding == 0


def test_the_agent_is_told_to_stop_a_leased_task_and_again_when_it_registers_anew() -> None:
    session = a_session("t1")
    stop = SendCommand(COMMANDS, Cancel([a_task("t1").task_id], force=True))
    assert session.cancel([a_task("t1").task_id], force=True) == [stop]
    assert stop in session.command(COMMANDS, a_register(held=(a_lease("t1"),)))


def test_a_cancelled_task_that_never_started_is_not_leased_again() -> None:
    session = a_session("t1", "t2")
    session.cancel([a_task("t1").task_id])
    assert ends(session.result_message(RESULTS, GiveBack(unstarted=[a_lease("t1")]))) == [
        ("t1", TaskState.CANCELLED, "task_cancelled")
    ]
    session.cancel([a_task("t2").task_id])
    assert ends(session.command(COMMANDS, a_register())) == [("t2", TaskState.CANCELLED, "task_cancelled")]


def test_with_the_agent_everything_is_lost_that_is_open() -> None:
    session = a_session("t1", window=1)
    session.submitted([a_task("t2")])
    effects = session.agent_ended("It died.", {"exitcode": -9})
    assert ends(effects) == [("t1", TaskState.FAILED, "endpoint_lost"), ("t2", TaskState.FAILED, "endpoint_lost")]
    assert not session.is_open


def test_what_cannot_be_sent_makes_the_agent_register_again() -> None:
    session = a_session("t1")
    (effect,) = session.undeliverable(batch("t1"))
    assert isinstance(effect, SendCommand)
    assert isinstance(effect.message, Refused)
    assert effect.message.code == "register"
    assert open_channels(session, 2) == [batch("t1", number=2, attempt=2, functions=True)]
    assert session.undeliverable(batch("t1")) == []


def test_a_stranger_is_told_to_register() -> None:
    session = a_session()
    (effect,) = session.command(b"other", EndpointHeartbeat(EPOCH, EndpointStatus()))
    assert isinstance(effect, SendCommand)
    assert effect.route == b"other"
    assert session.result_message(b"other", Results([a_result("t1")])) == []


def test_heartbeats_go_both_ways_until_the_agent_says_goodbye() -> None:
    session = a_session()
    assert session.heartbeat() == [SendCommand(COMMANDS, Heartbeat())]
    session.command(COMMANDS, EndpointHeartbeat(EPOCH, EndpointStatus(workers=3)))
    assert session.status.workers == 3
    session.command(COMMANDS, Goodbye(EPOCH))
    assert session.heartbeat() == []


def test_a_task_that_runs_for_a_while_is_told() -> None:
    session = a_session("t1")
    running = Transition(a_task("t1").task_id, 1, TaskState.RUNNING, 0)
    assert session.result_message(RESULTS, Transitions([running])) == [Started([running.task_id])]


def test_a_result_of_an_attempt_that_was_given_up_does_not_count() -> None:
    session = a_session("t1")
    session.result_message(RESULTS, GiveBack(unstarted=[a_lease("t1")]))
    assert session.result_message(RESULTS, Results([a_result("t1")])) == [SendAck(RESULTS, [a_lease("t1")])]
    assert session.late_results == 1
    assert session.outstanding == 1
