"""The forwarder's rules, one by one, as events and the effects that must follow. No sockets, no sleeping."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

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
from funcx_core.ids import GroupId, TaskId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointStatus,
    Events,
    GiveBack,
    Goodbye,
    Heartbeat,
    Refused,
    Register,
    Registered,
    Results,
    Transitions,
    Window,
)
from funcx_core.protocol.handoff import (
    CancelRequested,
    Changed,
    Ended,
    EndpointChanged,
    EndpointClosed,
    ExpireRequested,
    Logged,
    More,
    Offer,
    Submitted,
)
from funcx_core.protocol.task import (
    EventKind,
    Lease,
    TaskEvent,
    TaskResult,
    TaskState,
    Transition,
    event_seq,
)
from tests.support.offers import GROUP, OWNER, A, B, F, a_lease, a_result, a_task, an_offer, submitted

CONFIG = ForwarderConfig(heartbeat_period=1.0, heartbeat_threshold=10.0, sweep_period=5.0)
TASKS, RESULTS, COMMANDS = b"tasks", b"results", b"commands"
STATUS = EndpointStatus(workers=2)


def a_register(**fields: Any) -> Register:
    return Register(**{"endpoint_id": A, "epoch": 1, "window": 10, "heartbeat_period": 1.0, "status": STATUS, **fields})


def opened(
    state: ForwarderState, register: Register, *, headers: list[Offer] | None = None, now: float = 0
) -> list[Effect]:
    """Register, and let the store answer."""
    *before, restore = state.command(A, COMMANDS, register, now=now)
    assert isinstance(restore, Restore)
    return [*before, *state.restored(restore, headers or [], now=now)]


def attached(state: ForwarderState, *, stored: list[Offer] | None = None) -> list[Effect]:
    """Attach both channels, and let the store list and load what it has."""
    state.result_message(A, RESULTS, Attach(1), now=0)
    effects = state.attach_tasks(A, TASKS, Attach(1), now=0)
    listing = [effect for effect in effects if isinstance(effect, ListOpen)]
    if not listing:
        return effects
    answers = state.listed(listing[0], [offer.task.task_id for offer in stored or []])
    for load in list(answers):
        if isinstance(load, LoadOffers):
            answers.remove(load)
            answers += state.loaded(load, stored or [])
    return [*(effect for effect in effects if effect is not listing[0]), *answers]


def a_forwarder(
    *, window: int = 10, leased: tuple[str, ...] = (), limits: Limits | None = None, **task: Any
) -> ForwarderState:
    """A forwarder with a session of endpoint A that holds leases of these tasks."""
    state = ForwarderState(CONFIG, limits or Limits())
    opened(state, a_register(window=window))
    attached(state)
    if leased:
        effects = state.handed_over(submitted(*leased, **task))
        assert [type(effect) for effect in effects] == [SendTasks]
    return state


def send(*names: str, functions: tuple[str, ...] = (), session: int = 1, **task: Any) -> SendTasks:
    return SendTasks(A, TASKS, session, [a_task(name, **task) for name in names], [F for _ in functions])


def ended(*results: TaskResult, group: str = GROUP) -> Publish:
    return Publish([Ended(OWNER, GroupId(group), list(results))])


def committed(state: ForwarderState, effects: list[Effect]) -> list[Effect]:
    """The store commits what these effects ask for."""
    following: list[Effect] = []
    for effect in effects:
        if isinstance(effect, Commit):
            following += state.committed(effect)
        elif isinstance(effect, BeginAttempts):
            following += state.attempts_begun(effect)
    return following


def outcomes(effects: list[Effect]) -> list[tuple[str, TaskState, str]]:
    return [
        (result.task_id, result.state, result.error.code if result.error else "")
        for effect in effects
        if isinstance(effect, Commit)
        for result in effect.results
    ]


# --- sessions ----------------------------------------------------------------------------------------------------------


def test_a_session_is_settled_against_the_store_before_it_is_answered() -> None:
    state = ForwarderState(CONFIG)
    register = a_register()
    assert state.command(A, COMMANDS, register, now=0) == [Restore(A, COMMANDS, 1, register)]
    assert state.restored(Restore(A, COMMANDS, 1, register), [], now=0) == [
        SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [], 1)),
        MarkSeen(A, STATUS, online=True, epoch=1),
        Publish([EndpointChanged(A, online=True)]),
    ]


def test_tasks_flow_when_the_tasks_channel_is_attached() -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register())
    assert state.handed_over(submitted("t1")) == []
    state.result_message(A, RESULTS, Attach(1), now=0)
    (listing,) = state.attach_tasks(A, TASKS, Attach(1), now=0)
    assert isinstance(listing, ListOpen)
    (load,) = state.listed(listing, [TaskId("t1")])
    assert load == LoadOffers(A, [TaskId("t1")])
    effects = state.loaded(load, [an_offer("t1")])
    # The hand-over came while the store was read, so the store is read once more.
    assert effects == [send("t1", functions=(F,)), ListOpen(A, effects[1].at_most)]  # type: ignore[union-attr]


def test_a_key_of_another_endpoint_is_refused() -> None:
    state = ForwarderState(CONFIG)
    (refused,) = state.command(B, COMMANDS, a_register(), now=0)
    assert isinstance(refused, SendCommand)
    assert isinstance(refused.message, Refused)
    assert refused.message.code == "unknown_endpoint"
    assert state.counters.foreign_messages == 1


def test_another_version_of_the_protocol_is_refused_and_says_which() -> None:
    (refused,) = ForwarderState(CONFIG).command(A, COMMANDS, a_register(protocol_version=99), now=0)
    assert isinstance(refused, SendCommand)
    assert isinstance(refused.message, Refused)
    assert refused.message.code == "version_mismatch"
    assert "99" in refused.message.message


def test_a_newer_agent_supersedes_the_older_one() -> None:
    state = a_forwarder()
    superseded, restore = state.command(A, b"new", a_register(epoch=2), now=0)
    assert isinstance(superseded, SendCommand)
    assert (superseded.route, superseded.message.code) == (COMMANDS, "superseded")  # type: ignore[union-attr]
    assert isinstance(restore, Restore)


@pytest.mark.parametrize("message", [a_register(epoch=1), EndpointHeartbeat(1, STATUS), Window(1, 5)])
def test_an_older_agent_hears_that_it_was_superseded(message: Any) -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register(epoch=2))
    (refused,) = state.command(A, b"old", message, now=0)
    assert (refused.route, refused.message.code) == (b"old", "superseded")  # type: ignore[union-attr]


def test_an_agent_of_an_unknown_session_is_told_to_register() -> None:
    (refused,) = ForwarderState(CONFIG).command(A, COMMANDS, EndpointHeartbeat(1, STATUS), now=0)
    assert (refused.route, refused.message.code) == (COMMANDS, "register")  # type: ignore[union-attr]


def test_a_heartbeat_during_registration_is_no_reason_to_register_again() -> None:
    state = ForwarderState(CONFIG)
    state.command(A, COMMANDS, a_register(), now=0)
    assert state.command(A, COMMANDS, EndpointHeartbeat(1, STATUS), now=0) == []


def test_a_window_that_changes_during_registration_counts() -> None:
    state = ForwarderState(CONFIG)
    (restore,) = state.command(A, COMMANDS, a_register(window=0), now=0)
    assert state.command(A, COMMANDS, Window(1, 2), now=0) == []
    assert isinstance(restore, Restore)
    state.restored(restore, [], now=0)
    attached(state)
    assert state.handed_over(submitted("t1")) == [send("t1", functions=(F,))]


def test_an_answer_of_the_store_to_an_older_registration_is_ignored() -> None:
    state = ForwarderState(CONFIG)
    (first,) = state.command(A, COMMANDS, a_register(), now=0)
    (second,) = state.command(A, COMMANDS, a_register(), now=0)
    assert isinstance(first, Restore)
    assert isinstance(second, Restore)
    assert state.restored(first, [], now=0) == []
    assert state.restored(second, [], now=0) != []


def test_a_renewed_tasks_connection_makes_the_agent_register_again() -> None:
    state = a_forwarder(leased=("t1",))
    (refused,) = state.attach_tasks(A, b"renewed", Attach(1), now=0)
    assert (refused.route, refused.message.code) == (COMMANDS, "register")  # type: ignore[union-attr]


def test_a_batch_that_cannot_be_sent_makes_the_agent_register_again() -> None:
    state = a_forwarder()
    (batch,) = state.handed_over(submitted("t1"))
    assert isinstance(batch, SendTasks)
    (refused,) = state.undeliverable(batch)
    assert (refused.route, refused.message.code) == (COMMANDS, "register")  # type: ignore[union-attr]
    assert state.undeliverable(batch) == []
    effects = opened(state, a_register())
    assert BeginAttempts(A, [a_lease("t1", 2)]) in effects


@pytest.mark.parametrize("attach", [Attach(2), Attach(1, session=7), Attach(0)])
def test_channels_attach_only_to_the_current_session(attach: Attach) -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register())
    assert state.attach_tasks(A, TASKS, attach, now=0) == []
    assert state.handed_over(submitted("t1")) == []
    assert state.counters.foreign_messages == 1


def test_messages_from_a_route_that_is_not_attached_are_dropped_and_counted() -> None:
    state = a_forwarder(leased=("t1",))
    assert state.result_message(A, b"elsewhere", Results([a_result("t1")]), now=0) == []
    assert state.result_message(B, RESULTS, Results([a_result("t1")]), now=0) == []
    assert state.counters.foreign_messages == 2
    assert state.counters.results_accepted == 0


# --- leases ------------------------------------------------------------------------------------------------------------


def test_no_more_is_leased_than_the_window_allows() -> None:
    state = a_forwarder(window=2)
    assert state.handed_over(submitted("t1", "t2", "t3")) == [send("t1", "t2", functions=(F,))]
    assert state.command(A, COMMANDS, Window(1, 3), now=0) == [send("t3")]


def test_a_window_of_zero_stops_the_flow() -> None:
    state = a_forwarder()
    state.command(A, COMMANDS, Window(1, 0), now=0)
    assert state.handed_over(submitted("t1")) == []


def test_a_batch_is_bounded_by_number() -> None:
    state = a_forwarder(limits=Limits(batch_tasks=2))
    effects = state.handed_over(submitted("t1", "t2", "t3"))
    assert effects == [send("t1", "t2", functions=(F,)), send("t3")]


def test_a_batch_is_bounded_by_bytes_unless_a_single_task_is_larger() -> None:
    state = a_forwarder(limits=Limits(batch_bytes=100))
    offers = [an_offer(name, payload=bytes(size)) for name, size in (("a", 60), ("b", 40), ("c", 500), ("d", 1))]
    effects = state.handed_over(Submitted(A, offers, []))
    assert [[task.task_id for task in effect.tasks] for effect in effects] == [["a", "b"], ["c"], ["d"]]  # type: ignore[union-attr]


def test_a_function_is_sent_once_in_a_session() -> None:
    state = a_forwarder()
    first, second = (state.handed_over(submitted(name))[0] for name in ("t1", "t2"))
    assert (first.functions, second.functions) == ([F], [])  # type: ignore[union-attr]


def test_a_task_that_is_handed_over_twice_is_leased_once() -> None:
    state = a_forwarder()
    state.handed_over(submitted("t1"))
    assert state.handed_over(submitted("t1")) == []


def test_what_is_handed_over_for_an_endpoint_without_a_session_is_left_in_the_store() -> None:
    assert ForwarderState(CONFIG).handed_over(submitted("t1")) == []


def test_what_does_not_fit_into_memory_is_read_from_the_store_in_order() -> None:
    state = a_forwarder(window=1, limits=Limits(pending_tasks=2, page_tasks=2))
    listing = ListOpen(A, 5)
    assert state.handed_over(submitted("t1", "t2", "t3")) == [send("t1", functions=(F,)), listing]
    assert state.handed_over(submitted("t4")) == []
    (load,) = state.listed(listing, [TaskId(f"t{n}") for n in (1, 2, 3, 4)])
    assert load == LoadOffers(A, [TaskId("t3"), TaskId("t4")])
    state.loaded(load, [an_offer("t3"), an_offer("t4")])
    sent = []
    for n in (1, 2, 3):
        effects = state.result_message(A, RESULTS, Results([a_result(f"t{n}")]), now=0)
        sent += [effect for effect in effects if isinstance(effect, SendTasks)]
    assert sent == [send("t2"), send("t3"), send("t4")]


def test_the_sweep_finds_what_was_never_handed_over() -> None:
    state = a_forwarder()
    (sweep,) = [effect for effect in state.tick(now=5) if isinstance(effect, ListOpen)]
    (load,) = state.listed(sweep, [TaskId("t1")])
    assert isinstance(load, LoadOffers)
    assert state.loaded(load, [an_offer("t1")]) == [send("t1", functions=(F,))]


def test_a_sweep_that_finds_nothing_new_does_nothing() -> None:
    state = a_forwarder(leased=("t1",))
    (sweep,) = [effect for effect in state.tick(now=5) if isinstance(effect, ListOpen)]
    assert state.listed(sweep, [TaskId("t1")]) == []


def test_more_makes_the_forwarder_read_the_store() -> None:
    (effect,) = a_forwarder().handed_over(More(A))
    assert isinstance(effect, ListOpen)


def test_a_task_that_ended_while_the_store_was_read_is_not_leased_again() -> None:
    state = a_forwarder(leased=("t1",))
    (sweep,) = [effect for effect in state.tick(now=5) if isinstance(effect, ListOpen)]
    committed(state, state.result_message(A, RESULTS, Results([a_result("t1")]), now=5))
    assert state.listed(sweep, [TaskId("t1")]) == []


def test_a_hand_over_that_comes_after_the_task_was_found_and_ended_is_ignored() -> None:
    state = a_forwarder()
    (sweep,) = [effect for effect in state.tick(now=5) if isinstance(effect, ListOpen)]
    (load,) = state.listed(sweep, [TaskId("t1")])
    assert isinstance(load, LoadOffers)
    state.loaded(load, [an_offer("t1")])
    committed(state, state.result_message(A, RESULTS, Results([a_result("t1")]), now=5))
    assert state.handed_over(submitted("t1")) == []


# --- results -----------------------------------------------------------------------------------------------------------


def test_a_result_is_published_at_once_committed_and_then_acknowledged() -> None:
    state = a_forwarder(leased=("t1",))
    effects = state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    assert effects == [ended(a_result("t1")), Commit(A, [a_result("t1")], acknowledge=True, may_wait=True)]
    assert committed(state, effects) == [SendAck(RESULTS, [a_lease("t1")])]


def test_a_commit_does_not_wait_while_the_endpoint_has_more_to_do() -> None:
    state = a_forwarder(window=2, leased=("t1", "t2"))
    state.handed_over(submitted("t3"))

    def may_wait(name: str) -> bool:
        effects = state.result_message(A, RESULTS, Results([a_result(name)]), now=0)
        return next(effect for effect in effects if isinstance(effect, Commit)).may_wait

    assert [may_wait(name) for name in ("t1", "t2", "t3")] == [False, False, True]


def test_results_of_several_groups_are_published_per_group() -> None:
    state = a_forwarder()
    state.handed_over(Submitted(A, [an_offer("t1", group="g"), an_offer("t2", group="h")], []))
    effects = state.result_message(A, RESULTS, Results([a_result("t1"), a_result("t2")]), now=0)
    assert effects[0] == Publish(
        [Ended(OWNER, GroupId("g"), [a_result("t1")]), Ended(OWNER, GroupId("h"), [a_result("t2")])]
    )


def test_a_result_makes_room_for_the_next_task_before_its_commit() -> None:
    state = a_forwarder(window=1, leased=("t1",))
    state.handed_over(submitted("t2"))
    effects = state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    assert effects[2:] == [send("t2")]


@pytest.mark.parametrize("late", [a_result("t1", attempt=2), a_result("unknown")])
def test_a_late_result_is_acknowledged_counted_and_nothing_else(late: TaskResult) -> None:
    state = a_forwarder(leased=("t1",))
    assert state.result_message(A, RESULTS, Results([late]), now=0) == [SendAck(RESULTS, [late.lease])]
    assert state.counters.late_results == 1


def test_a_repeated_result_is_not_acknowledged_before_the_commit_of_the_first() -> None:
    """F29"""
    state = a_forwarder(leased=("t1",))
    first = state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    assert state.result_message(A, RESULTS, Results([a_result("t1")]), now=0) == []
    assert committed(state, first) == [SendAck(RESULTS, [a_lease("t1")])]
    again = state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    assert again == [SendAck(RESULTS, [a_lease("t1")])]


def test_a_result_that_does_not_end_its_task_is_a_protocol_error() -> None:
    state = a_forwarder(leased=("t1",))
    result = msgspec.structs.replace(a_result("t1"), state=TaskState.RUNNING)
    assert state.result_message(A, RESULTS, Results([result]), now=0) == []
    assert state.counters.protocol_errors == 1


def test_nothing_is_leased_while_too_many_results_wait_for_the_store() -> None:
    state = a_forwarder(window=1, leased=("t1",), limits=Limits(uncommitted_bytes=3))
    state.handed_over(submitted("t2"))
    effects = state.result_message(A, RESULTS, Results([a_result("t1", value=b"long")]), now=0)
    assert [type(effect) for effect in effects] == [Publish, Commit]
    assert committed(state, effects) == [SendAck(RESULTS, [a_lease("t1")]), send("t2")]


# --- leases come back --------------------------------------------------------------------------------------------------


def test_an_unstarted_lease_is_leased_again_after_its_next_attempt_is_on_disk() -> None:
    state = a_forwarder(leased=("t1",))
    effects = state.result_message(A, RESULTS, GiveBack(unstarted=[a_lease("t1")]), now=0)
    assert effects == [BeginAttempts(A, [a_lease("t1", 2)])]
    assert committed(state, effects) == [LoadOffers(A, [TaskId("t1")])]
    assert state.loaded(LoadOffers(A, [TaskId("t1")]), [an_offer("t1", attempt=2)]) == [send("t1", attempt=2)]


def test_a_lease_without_its_function_is_sent_again_with_it() -> None:
    state = a_forwarder(leased=("t1",))
    give_back = GiveBack(unstarted=[a_lease("t1")], missing_functions=True)
    committed(state, state.result_message(A, RESULTS, give_back, now=0))
    (again,) = state.loaded(LoadOffers(A, [TaskId("t1")]), [an_offer("t1", attempt=2)])
    assert again == send("t1", attempt=2, functions=(F,))


def test_a_lost_task_fails_with_a_typed_error_that_says_what_is_known() -> None:
    state = a_forwarder(leased=("t1",))
    message = GiveBack(lost=[a_lease("t1")], reason="worker_lost", details={"signal": 9})
    effects = state.result_message(A, RESULTS, message, now=0)
    assert outcomes(effects) == [("t1", TaskState.FAILED, "worker_lost")]
    (commit,) = effects
    assert isinstance(commit, Commit)
    error = commit.results[0].error
    assert error is not None
    assert error.details == {"signal": 9, "losses": 1, "retry_on_loss": 0}
    assert "retry_on_loss" in error.message
    assert committed(state, effects) == [ended(commit.results[0]), SendAck(RESULTS, [a_lease("t1")])]


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"oom": True, "signal": 9}, "(out of memory)"),
        (
            {"oom": True, "memory_used": 612_000_000, "memory_limit": 512_000_000},
            "(out of memory: it used 612 MB, and the endpoint's mem_per_worker allows 512 MB)",
        ),
        ({"processes_used": 600, "processes_limit": 512}, "more processes than the 512 that the endpoint's"),
        ({"memory_used": "much", "memory_limit": "little", "exitcode": 3}, "(exit code 3)"),
    ],
)
def test_the_message_of_a_lost_task_says_what_killed_its_worker(details: dict[str, object], said: str) -> None:
    """U10, U14: the reader learns which bound it was, and what it is called in the endpoint's config."""
    state = a_forwarder(leased=("t1",))
    message = GiveBack(lost=[a_lease("t1")], reason="worker_lost", details=details)
    (commit,) = state.result_message(A, RESULTS, message, now=0)
    assert isinstance(commit, Commit)
    assert commit.results[0].error is not None
    assert said in commit.results[0].error.message


@pytest.mark.parametrize("reason", ["worker_lost", "manager_lost", "endpoint_lost"])
def test_a_lost_task_runs_again_as_often_as_it_may(reason: str) -> None:
    state = a_forwarder(leased=("t1",), retries=1)
    effects = state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1")], reason=reason), now=0)
    assert effects == [BeginAttempts(A, [a_lease("t1", 2)], [a_lease("t1")])]
    # The endpoint may forget the loss when its consequence is on disk.
    assert committed(state, effects)[0] == SendAck(RESULTS, [a_lease("t1")])
    state.loaded(LoadOffers(A, [TaskId("t1")]), [an_offer("t1", attempt=2, retries=1)])
    effects = state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1", 2)], reason=reason), now=0)
    expected = "task_poisoned" if reason == "worker_lost" else reason
    assert outcomes(effects) == [("t1", TaskState.FAILED, expected)]


def test_a_lease_that_comes_back_unstarted_uses_up_no_retry() -> None:
    state = a_forwarder(leased=("t1",), retries=1)
    committed(state, state.result_message(A, RESULTS, GiveBack(unstarted=[a_lease("t1")]), now=0))
    state.loaded(LoadOffers(A, [TaskId("t1")]), [an_offer("t1", attempt=2, retries=1)])
    effects = state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1", 2)]), now=0)
    assert effects == [BeginAttempts(A, [a_lease("t1", 3)], [a_lease("t1", 2)])]


def test_a_task_that_kills_worker_after_worker_is_stopped_before_its_retries_are_used_up() -> None:
    """U11"""
    state = a_forwarder(leased=("t1",), retries=10)
    for attempt in (1, 2, 3):
        lost = GiveBack(lost=[a_lease("t1", attempt)], reason="worker_lost")
        effects = state.result_message(A, RESULTS, lost, now=0)
        assert outcomes(effects) == []
        committed(state, effects)
        state.loaded(LoadOffers(A, [TaskId("t1")]), [an_offer("t1", attempt=attempt + 1, retries=10)])
    effects = state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1", 4)], reason="worker_lost"), now=0)
    assert outcomes(effects) == [("t1", TaskState.FAILED, "task_poisoned")]


@pytest.mark.parametrize("give_back", [GiveBack(unstarted=[a_lease("t1", 2)]), GiveBack(unstarted=[a_lease("t9")])])
def test_a_lease_that_is_not_held_cannot_be_given_back(give_back: GiveBack) -> None:
    state = a_forwarder(leased=("t1",))
    assert state.result_message(A, RESULTS, give_back, now=0) == []


def test_a_loss_that_is_settled_is_acknowledged() -> None:
    state = a_forwarder()
    effects = state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1")]), now=0)
    assert effects == [SendAck(RESULTS, [a_lease("t1")])]


def test_a_lease_named_twice_comes_back_once() -> None:
    state = a_forwarder(leased=("t1",))
    effects = state.result_message(A, RESULTS, GiveBack(unstarted=[a_lease("t1"), a_lease("t1")]), now=0)
    assert effects == [BeginAttempts(A, [a_lease("t1", 2)])]
    state.check()


def test_a_requeued_task_that_ended_in_the_store_is_forgotten() -> None:
    state = a_forwarder(leased=("t1",))
    committed(state, state.result_message(A, RESULTS, GiveBack(unstarted=[a_lease("t1")]), now=0))
    assert state.loaded(LoadOffers(A, [TaskId("t1")]), []) == []
    state.check()


def test_tasks_of_a_function_that_exists_nowhere_fail() -> None:
    state = a_forwarder()
    (batch,) = state.handed_over(submitted("t1"))
    assert isinstance(batch, SendTasks)
    assert outcomes(state.unloadable(batch, [F])) == [("t1", TaskState.FAILED, "function_load_error")]


# --- a new session -----------------------------------------------------------------------------------------------------


def test_what_the_endpoint_still_holds_stays_leased_and_the_rest_is_leased_again() -> None:
    state = a_forwarder(leased=("t1", "t2"))
    effects = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")])
    assert effects == [
        SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [], 2)),
        MarkSeen(A, STATUS, online=True, epoch=1),
        BeginAttempts(A, [a_lease("t2", 2)]),
    ]


def test_a_forwarder_without_memory_learns_leases_from_the_endpoint() -> None:
    state = ForwarderState(CONFIG)
    register = a_register(held=[a_lease("t1", 3), a_lease("over")])
    answer = opened(state, register, headers=[an_offer("t1", attempt=3)])[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [a_lease("over")], 1))
    attached(state, stored=[an_offer("t1", attempt=3)])
    result = a_result("t1", attempt=3)
    assert state.result_message(A, RESULTS, Results([result]), now=0)[0] == ended(result)


def test_held_leases_count_against_the_window() -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register(held=[a_lease("t1")], window=2), headers=[an_offer("t1")])
    effects = attached(state, stored=[an_offer("t1"), an_offer("t2"), an_offer("t3")])
    (batch,) = [effect for effect in effects if isinstance(effect, SendTasks)]
    assert [task.task_id for task in batch.tasks] == ["t2"]


def test_what_an_agent_lost_when_it_died_is_treated_as_lost() -> None:
    state = a_forwarder(leased=("t1",))
    effects = opened(state, a_register(epoch=2, lost=[a_lease("t1")]), headers=[an_offer("t1")])
    assert outcomes(effects) == [("t1", TaskState.FAILED, "endpoint_lost")]


@pytest.mark.parametrize(("retries", "ends"), [(0, [("t1", TaskState.FAILED, "endpoint_lost")]), (1, [])])
def test_what_ran_under_another_agent_that_nobody_names_has_started(retries: int, ends: list[Any]) -> None:
    """F17: of a copied folder, the agent on the other machine knows nothing of what the first one runs."""
    state = a_forwarder(leased=("t1", "t2"), retries=retries)
    state.result_message(A, RESULTS, Transitions([Transition(TaskId("t1"), 1, TaskState.RUNNING, 5)]), now=0)
    effects = opened(state, a_register(epoch=2), headers=[])
    again = [lease for effect in effects if isinstance(effect, BeginAttempts) for lease in effect.leases]
    assert outcomes(effects) == ends
    assert sorted(lease.task_id for lease in again) == ["t1", "t2"][1 - retries :]
    state.check()


def test_what_the_same_agent_does_not_name_any_more_runs_again() -> None:
    state = a_forwarder(leased=("t1",))
    state.result_message(A, RESULTS, Transitions([Transition(TaskId("t1"), 1, TaskState.RUNNING, 5)]), now=0)
    assert BeginAttempts(A, [a_lease("t1", 2)]) in opened(state, a_register(epoch=1), headers=[])


def test_a_loss_that_is_committed_before_the_results_channel_is_attached_is_acknowledged_then() -> None:
    state = a_forwarder(leased=("t1",))
    effects = opened(state, a_register(epoch=2, lost=[a_lease("t1")]), headers=[an_offer("t1")])
    assert [effect for effect in committed(state, effects) if isinstance(effect, SendAck)] == []
    assert state.result_message(A, RESULTS, Attach(2), now=0) == [SendAck(RESULTS, [a_lease("t1")])]


def test_a_loss_of_an_earlier_attempt_need_not_be_reported_again() -> None:
    state = ForwarderState(CONFIG)
    answer = opened(state, a_register(lost=[a_lease("t1")]), headers=[])[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [a_lease("t1")], 1))


def test_a_result_whose_commit_is_under_way_is_not_released() -> None:
    state = a_forwarder(leased=("t1",))
    effects = state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    answer = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")])[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [], 2))
    state.result_message(A, RESULTS, Attach(1), now=0)
    assert committed(state, effects) == [SendAck(RESULTS, [a_lease("t1")])]


def test_a_lease_that_ended_in_the_store_without_us_is_released_and_forgotten() -> None:
    state = a_forwarder(leased=("t1",))
    answer = opened(state, a_register(held=[a_lease("t1")]), headers=[])[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [a_lease("t1")], 2))
    state.check()


def test_a_new_session_gets_function_bodies_again() -> None:
    state = a_forwarder(leased=("t1",))
    opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")])
    attached(state, stored=[an_offer("t1")])
    assert state.handed_over(submitted("t2")) == [send("t2", functions=(F,), session=2)]


# --- cancel ------------------------------------------------------------------------------------------------------------


def cancel(state: ForwarderState, *names: str, force: bool = False) -> list[Effect]:
    return state.handed_over(CancelRequested(A, [TaskId(name) for name in names], force))


def test_a_pending_task_is_cancelled_at_once_and_published_after_the_commit() -> None:
    state = a_forwarder(window=0)
    state.handed_over(submitted("t1"))
    effects = cancel(state, "t1")
    assert outcomes(effects) == [("t1", TaskState.CANCELLED, "task_cancelled")]
    (commit,) = effects
    assert isinstance(commit, Commit)
    assert committed(state, effects) == [ended(*commit.results)]
    assert state.command(A, COMMANDS, Window(1, 5), now=0) == []


def test_a_leased_task_is_stopped_by_its_endpoint() -> None:
    state = a_forwarder(leased=("t1",))
    assert cancel(state, "t1", force=True) == [SendCommand(COMMANDS, Cancel([TaskId("t1")], force=True))]
    result = a_result("t1")  # It lost the race against its result.
    assert state.result_message(A, RESULTS, Results([result]), now=0)[0] == ended(result)


@pytest.mark.parametrize("give_back", [GiveBack(unstarted=[a_lease("t1")]), GiveBack(lost=[a_lease("t1")])])
def test_a_cancelled_task_that_comes_back_does_not_run_again(give_back: GiveBack) -> None:
    state = a_forwarder(leased=("t1",), retries=5)
    cancel(state, "t1")
    effects = state.result_message(A, RESULTS, give_back, now=0)
    assert outcomes(effects) == [("t1", TaskState.CANCELLED, "task_cancelled")]


def test_a_leased_task_of_an_endpoint_without_a_session_is_cancelled_at_once_and_released_later() -> None:
    state = a_forwarder(leased=("t1",))
    state.tick(now=11)
    effects = cancel(state, "t1")
    assert outcomes(effects) == [("t1", TaskState.CANCELLED, "task_cancelled")]
    answer = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")], now=12)[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [a_lease("t1")], 2))


def test_a_task_that_is_being_cancelled_when_its_endpoint_goes_offline_is_cancelled() -> None:
    state = a_forwarder(leased=("t1",))
    cancel(state, "t1")
    assert outcomes(state.tick(now=11)) == [("t1", TaskState.CANCELLED, "task_cancelled")]


def test_a_task_that_is_not_known_here_is_looked_up_to_be_cancelled() -> None:
    state = ForwarderState(CONFIG)
    assert cancel(state, "t1") == [LoadCancelled(A, [TaskId("t1")], force=False)]
    effects = state.cancelled_loaded(LoadCancelled(A, [TaskId("t1")], force=False), [an_offer("t1")])
    assert outcomes(effects) == [("t1", TaskState.CANCELLED, "task_cancelled")]


def test_cancelling_what_has_ended_does_nothing() -> None:
    state = a_forwarder(leased=("t1",))
    state.result_message(A, RESULTS, Results([a_result("t1")]), now=0)
    assert cancel(state, "t1") == []


def test_a_row_that_is_being_cancelled_is_ended_instead_of_leased() -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register())
    effects = attached(state, stored=[an_offer("t1", cancelling=True), an_offer("t2")])
    assert outcomes(effects) == [("t1", TaskState.CANCELLED, "task_cancelled")]
    assert send("t2", functions=(F,)) in effects


def test_a_held_lease_whose_row_is_being_cancelled_is_cancelled_at_its_endpoint() -> None:
    state = ForwarderState(CONFIG)
    effects = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1", cancelling=True)])
    assert effects[-1] == SendCommand(COMMANDS, Cancel([TaskId("t1")]))


# --- events and transitions --------------------------------------------------------------------------------------------


def test_events_of_leased_tasks_are_published_and_logged() -> None:
    state = a_forwarder(leased=("t1",))
    event = TaskEvent(TaskId("t1"), event_seq(1, 1), EventKind.STDOUT, 5, b"hello")
    foreign = TaskEvent(TaskId("t1"), event_seq(2, 1), EventKind.STDOUT, 5, b"of another attempt")
    assert state.result_message(A, RESULTS, Events([event, foreign]), now=0) == [
        Publish([Logged(OWNER, GROUP, [event])]),
        AppendEvents(A, [event]),
    ]


def test_transitions_of_leased_tasks_are_published_and_recorded() -> None:
    state = a_forwarder(leased=("t1",))
    running = Transition(TaskId("t1"), 1, TaskState.RUNNING, 5)
    foreign = Transition(TaskId("t1"), 2, TaskState.RUNNING, 5)
    assert state.result_message(A, RESULTS, Transitions([running, foreign]), now=0) == [
        Publish([Changed(OWNER, GROUP, [StateChange(TaskId("t1"), TaskState.RUNNING)])]),
        RecordTransitions(A, [running]),
    ]


def test_an_endpoint_cannot_end_a_task_by_a_transition() -> None:
    state = a_forwarder(leased=("t1",))
    ends = Transition(TaskId("t1"), 1, TaskState.SUCCESS, 5)
    assert state.result_message(A, RESULTS, Transitions([ends]), now=0) == []
    assert state.counters.protocol_errors == 1


def test_a_task_that_ran_and_will_run_again_waits_again() -> None:
    state = a_forwarder(leased=("t1",), retries=1)
    state.result_message(A, RESULTS, Transitions([Transition(TaskId("t1"), 1, TaskState.RUNNING, 5)]), now=0)
    effects = committed(state, state.result_message(A, RESULTS, GiveBack(lost=[a_lease("t1")]), now=0))
    assert RecordTransitions(A, [Transition(TaskId("t1"), 2, TaskState.WAITING_FOR_EP, 0)]) in effects


# --- liveness ----------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_is_silent_for_longer_than_the_threshold_is_offline_and_keeps_its_leases() -> None:
    state = a_forwarder(leased=("t1",))
    assert Publish([EndpointChanged(A, online=False)]) not in state.tick(now=10)
    state = a_forwarder(leased=("t1",))
    assert state.tick(now=10.1)[:2] == [
        MarkSeen(A, None, online=False, epoch=1),
        Publish([EndpointChanged(A, online=False)]),
    ]
    effects = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")], now=11)
    assert not [effect for effect in effects if isinstance(effect, BeginAttempts)]


def test_any_message_shows_that_an_endpoint_lives() -> None:
    state = a_forwarder(leased=("t1",))
    for now in (1, 2, 3, 4, 5, 6, 7, 8, 9, 9.5):
        state.tick(now=now)
    state.result_message(A, RESULTS, Results([a_result("t1")]), now=9)
    state.tick(now=10)
    assert MarkSeen(A, None, online=False, epoch=1) not in state.tick(now=10.9)


def test_an_endpoint_that_beats_slowly_is_given_three_of_its_own_periods() -> None:
    state = ForwarderState(CONFIG)
    opened(state, a_register(heartbeat_period=10.0))
    for now in range(1, 31):
        assert MarkSeen(A, None, online=False, epoch=1) not in state.tick(now=now)
    assert MarkSeen(A, None, online=False, epoch=1) in state.tick(now=31)


def test_endpoints_are_not_blamed_for_a_sleep_of_the_forwarder() -> None:
    state = a_forwarder()
    state.tick(now=1)
    assert MarkSeen(A, None, online=False, epoch=1) not in state.tick(now=1000)
    for now in range(1001, 1010):
        assert MarkSeen(A, None, online=False, epoch=1) not in state.tick(now=now)
    assert MarkSeen(A, None, online=False, epoch=1) in state.tick(now=1010)


def test_heartbeats_are_sent_every_period() -> None:
    state = a_forwarder()
    beats = [
        [effect for effect in state.tick(now=now) if effect == SendCommand(COMMANDS, Heartbeat())]
        for now in (1, 1.5, 2)
    ]
    assert [len(effects) for effects in beats] == [1, 0, 1]


def test_a_heartbeat_is_recorded_with_its_status() -> None:
    state = a_forwarder()
    status = EndpointStatus(idle_workers=1)
    effects = state.command(A, COMMANDS, EndpointHeartbeat(1, status), now=1)
    assert effects == [MarkSeen(A, status, online=True, epoch=1)]


def test_goodbye_makes_an_endpoint_offline_at_once_but_its_last_results_count() -> None:
    state = a_forwarder(leased=("t1",))
    assert state.command(A, COMMANDS, Goodbye(1), now=1) == [
        MarkSeen(A, None, online=False, epoch=1),
        Publish([EndpointChanged(A, online=False)]),
    ]
    assert state.handed_over(submitted("t2")) == []
    assert ended(a_result("t1")) in state.result_message(A, RESULTS, Results([a_result("t1")]), now=1)


def test_payloads_of_an_offline_endpoint_are_not_kept_in_memory() -> None:
    state = a_forwarder(window=0)
    state.handed_over(submitted("t1", "t2"))
    state.tick(now=11)
    leases = state._endpoints[A].leases
    assert (leases._known, leases._pending_bytes) == ({}, 0)


def test_leases_are_compared_as_values() -> None:
    assert {Lease(TaskId("t"), 1)} == {a_lease("t")}


# --- expiry ------------------------------------------------------------------------------------------------------------


def expire(state: ForwarderState, *names: str) -> list[Effect]:
    return state.handed_over(ExpireRequested(A, [TaskId(name) for name in names]))


def test_a_pending_task_that_waited_too_long_expires() -> None:
    state = a_forwarder(window=0)
    state.handed_over(submitted("t1"))
    effects = expire(state, "t1")
    assert outcomes(effects) == [("t1", TaskState.FAILED, "task_expired")]
    committed(state, effects)
    assert state.command(A, COMMANDS, Window(1, 5), now=0) == []


def test_a_task_that_an_endpoint_has_does_not_expire() -> None:
    state = a_forwarder(leased=("t1",))
    assert expire(state, "t1") == []
    result = a_result("t1")
    assert state.result_message(A, RESULTS, Results([result]), now=0)[0] == ended(result)


def test_a_lease_of_an_endpoint_that_has_gone_expires_and_is_released_later() -> None:
    state = a_forwarder(leased=("t1",))
    state.tick(now=11)
    assert outcomes(expire(state, "t1")) == [("t1", TaskState.FAILED, "task_expired")]
    answer = opened(state, a_register(held=[a_lease("t1")]), headers=[an_offer("t1")], now=12)[0]
    assert answer == SendCommand(COMMANDS, Registered(1, 1.0, 10.0, [a_lease("t1")], 2))


def test_a_task_that_is_not_known_here_is_looked_up_to_expire() -> None:
    state = ForwarderState(CONFIG)
    lookup = LoadExpired(A, [TaskId("t1"), TaskId("t2")])
    assert expire(state, "t1", "t2") == [lookup]
    effects = state.expired_loaded(lookup, [an_offer("t1"), an_offer("t2", cancelling=True)])
    assert outcomes(effects) == [
        ("t1", TaskState.FAILED, "task_expired"),
        ("t2", TaskState.CANCELLED, "task_cancelled"),
    ]
    assert expire(state, "t1") == []


# --- its owner wants the agent to go ---------------------------------------------------------------------------


def closed() -> EndpointClosed:
    return EndpointClosed(A, "deleted", "gone")


def test_the_session_of_a_deleted_endpoint_ends_and_its_agent_hears_why():
    state = a_forwarder(leased=("1",))
    effects = state.handed_over(closed())
    assert effects[:3] == [
        SendCommand(COMMANDS, Refused("deleted", "gone")),
        MarkSeen(A, None, online=False, epoch=1),
        Publish([EndpointChanged(A, online=False)]),
    ]
    # Nobody can stop the task any more, so it is cancelled at once.
    cancelled = state.handed_over(CancelRequested(A, [TaskId("1")]))
    assert [effect for effect in cancelled if isinstance(effect, Commit)]
    assert [type(effect) for effect in state.handed_over(submitted("2"))] == []
    state.check()


def test_a_registration_under_way_counts_for_nothing_once_the_endpoint_is_closed():
    state = ForwarderState(CONFIG)
    (restore,) = state.command(A, COMMANDS, a_register(), now=0)
    assert isinstance(restore, Restore)
    assert state.handed_over(closed()) == [SendCommand(COMMANDS, Refused("deleted", "gone"))]
    assert state.restored(restore, [], now=0) == []
    state.check()


def test_closing_an_endpoint_that_is_not_there_does_nothing():
    assert ForwarderState(CONFIG).handed_over(closed()) == []
