"""What a stream sends, keeps and says again: event sequences without a socket."""

from __future__ import annotations

import pytest

from funcx_core.errors import FunctionNotFound, QueueFull, ServiceUnavailable, StorageFull
from funcx_core.ids import EndpointId, GroupId
from funcx_core.protocol.client import (
    Accepted,
    CancelTasks,
    Refused,
    RegisterFunction,
    Rejection,
    StateChange,
    Submit,
    TaskEvents,
    TaskResults,
    TaskStates,
    Watch,
)
from funcx_core.protocol.task import Call, EventKind, Function, TaskEvent, TaskResult, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.ledger import MOST_CALLS, MOST_UNANSWERED, Ledger
from funcx_core.sdk.routes import Route
from funcx_core.serialize import pack_value

ROUTE = Route(EndpointId("ep"), GroupId("g"))
OTHER = Route(EndpointId("ep2"), GroupId("g"))


class Listener:
    def __init__(self):
        self.heard = []

    def on_event(self, event):
        self.heard.append(event.seq)

    def on_state(self, state):
        self.heard.append(state)


def put(ledger, *task_ids, route=ROUTE, payload=b"p", listener=None):
    futures = [FuncXFuture(task_id, None, route, listener) for task_id in task_ids]
    ledger.queue.extend((future, Call(future.task_id, "f", payload)) for future in futures)
    return futures


def sent(ledger):
    request = ledger.next_request()
    return None if request is None else request.message()


def ids(message):
    return [call.task_id for call in message.calls]


def ended(task_id):
    return TaskResult(task_id, 1, TaskState.SUCCESS, pack_value(task_id))


def test_calls_of_one_route_travel_together():
    ledger = Ledger()
    put(ledger, "a", "b")
    put(ledger, "c", route=OTHER)
    first, second = sent(ledger), sent(ledger)
    assert (first.endpoint_id, ids(first), second.endpoint_id, ids(second)) == ("ep", ["a", "b"], "ep2", ["c"])
    assert sent(ledger) is None


def test_a_frame_is_bounded_by_calls_and_bytes():
    ledger = Ledger()
    put(ledger, *map(str, range(MOST_CALLS + 1)))
    assert [len(sent(ledger).calls), len(sent(ledger).calls)] == [MOST_CALLS, 1]
    put(ledger, "a", "b", "c", payload=b"x" * 600_000)
    assert [ids(sent(ledger)) for _ in range(3)] == [["a"], ["b"], ["c"]]


def test_a_call_larger_than_a_frame_travels_alone():
    ledger = Ledger()
    put(ledger, "a", payload=b"x" * 5_000_000)
    assert ids(sent(ledger)) == ["a"]


def test_functions_are_registered_before_the_calls_that_follow():
    ledger = Ledger()
    put(ledger, "a")
    ledger.queue.append(Function("f", "f", b"body"))
    put(ledger, "b")
    messages = [sent(ledger) for _ in range(3)]
    assert [type(message) for message in messages] == [Submit, RegisterFunction, Submit]


def test_only_so_many_requests_are_under_way():
    ledger = Ledger(most_calls=1)
    put(ledger, *map(str, range(MOST_UNANSWERED + 1)))
    for _ in range(MOST_UNANSWERED):
        assert ledger.may_send
        sent(ledger)
    assert not ledger.may_send
    ledger.accepted(Accepted(1))
    assert ledger.may_send


def test_a_result_ends_its_future_whether_or_not_its_submit_was_acknowledged():
    ledger = Ledger()
    (future,) = put(ledger, "a")
    message = sent(ledger)
    ledger.results(TaskResults([ended("a")]))
    assert future.result() == "a"
    ledger.accepted(Accepted(message.request))
    assert ledger.is_idle
    assert ledger.acknowledged == 1


def test_repeated_and_unknown_results_are_ignored():
    ledger = Ledger()
    (future,) = put(ledger, "a")
    sent(ledger)
    ledger.results(TaskResults([ended("a"), ended("a"), ended("x")]))
    assert future.result() == "a"


def test_a_rejected_call_fails_and_the_others_go_on():
    ledger = Ledger()
    bad, good = put(ledger, "a", "b")
    request = sent(ledger).request
    ledger.accepted(Accepted(request, [Rejection("a", "function_not_found", "No function 'f' is visible to you.")]))
    with pytest.raises(FunctionNotFound, match="No function 'f'"):
        bad.result()
    assert not good.done()
    assert ledger.acknowledged == 1


def test_a_function_that_was_refused_explains_its_rejected_calls():
    ledger = Ledger()
    ledger.queue.append(Function("f", "f", b"body"))
    (future,) = put(ledger, "a")
    registration, submit = sent(ledger), sent(ledger)
    ledger.refused(Refused(registration.request, "storage_full", "The disk is full."))
    ledger.accepted(Accepted(submit.request, [Rejection("a", "function_not_found", "No such function.")]))
    with pytest.raises(StorageFull, match="disk is full"):
        future.result()


def test_a_refused_submit_fails_its_calls():
    ledger = Ledger()
    futures = put(ledger, "a", "b")
    assert ledger.refused(Refused(sent(ledger).request, "queue_full", "You have too many open tasks.")) is None
    assert all(isinstance(future.exception(), QueueFull) for future in futures)
    assert ledger.is_idle


def test_a_submit_that_is_refused_for_now_is_kept():
    ledger = Ledger()
    cancelled, kept = put(ledger, "a", "b")
    number = sent(ledger).request
    cancelled.cancel()
    request = ledger.refused(Refused(number, "queue_full", "Later.", retry_after=1.0))
    assert ids(request.message()) == ["b"]
    assert not kept.done()
    assert list(ledger.open) == ["b"]


def test_a_request_that_never_fits_is_sent_in_parts_of_the_size_that_is_taken():
    ledger = Ledger()
    futures = put(ledger, "a", "b", "c", "d", "e")
    number = sent(ledger).request
    too_large = Refused(number, "batch_run_too_large", "At most 2.", fields={"size": 5, "limit": 2})
    again = ledger.refused(too_large)
    assert ids(again.message()) == ["a", "b"]
    ledger.accepted(Accepted(number, []))
    assert ids(sent(ledger)) == ["c", "d"]
    assert ids(sent(ledger)) == ["e"]
    assert not any(future.done() for future in futures)
    assert list(ledger.open) == ["a", "b", "c", "d", "e"]


def test_of_a_request_that_does_not_fit_now_the_first_half_is_tried():
    ledger = Ledger()
    put(ledger, "a", "b", "c")
    number = sent(ledger).request
    later = Refused(number, "queue_full", "Later.", retry_after=1.0)
    assert [ids(ledger.refused(later).message()) for _ in range(2)] == [["a"], ["a"]]
    assert ids(sent(ledger)) == ["b", "c"]


def test_a_request_that_is_repeated_stays_as_it_is():
    ledger = Ledger()
    put(ledger, "a", "b")
    number = sent(ledger).request
    ledger.resume()
    assert ids(ledger.refused(Refused(number, "queue_full", "Later.", retry_after=1.0)).message()) == ["a", "b"]


def test_a_new_connection_hears_what_was_not_answered_and_what_is_open():
    ledger = Ledger()
    ledger.queue.append(Function("f", "f", b"body"))
    put(ledger, "a", "b")
    registration, first = sent(ledger), sent(ledger)
    ledger.accepted(Accepted(registration.request))
    ledger.accepted(Accepted(first.request))
    ledger.results(TaskResults([ended("a")]))
    put(ledger, "c")
    second = sent(ledger)
    assert ledger.resume() == [second, Watch("g", ["b"])]


def test_an_unanswered_submit_leaves_out_what_ended_meanwhile():
    ledger = Ledger()
    put(ledger, "a", "b")
    submit = sent(ledger)
    ledger.results(TaskResults([ended("a")]))
    (again,) = ledger.resume()
    assert (again.request, ids(again)) == (submit.request, ["b"])


def test_a_call_that_was_cancelled_before_it_was_sent_is_never_sent():
    ledger = Ledger()
    gone, _ = put(ledger, "a", "b")
    gone.cancel()
    assert ids(sent(ledger)) == ["b"]


def test_a_cancel_waits_for_the_acknowledgement_of_its_submit():
    ledger = Ledger()
    put(ledger, "a", "b")
    submit = sent(ledger)
    assert ledger.cancel(["a"], force=True) == []
    assert ledger.accepted(Accepted(submit.request)) == [CancelTasks(["a"], True)]
    assert ledger.cancel(["b", "unknown"], force=False) == [CancelTasks(["b"], False)]


def test_a_cancel_is_said_again_until_the_task_has_ended():
    ledger = Ledger()
    put(ledger, "a")
    ledger.accepted(Accepted(sent(ledger).request))
    ledger.cancel(["a"], force=False)
    assert CancelTasks(["a"]) in ledger.resume()
    ledger.results(TaskResults([ended("a")]))
    assert ledger.resume() == []


def test_events_come_once_and_a_new_connection_asks_for_later_ones():
    ledger = Ledger()
    listener = Listener()
    put(ledger, "a", listener=listener)
    put(ledger, "b")
    for _ in range(2):
        request = ledger.next_request()
        if request is not None:
            ledger.accepted(Accepted(request.number))
    events = [TaskEvent("a", seq, EventKind.STDOUT, 0, b"x") for seq in (5, 6, 5, 6, 7)]
    ledger.events(TaskEvents([*events, TaskEvent("b", 1, EventKind.STDOUT, 0, b"")]))
    assert listener.heard == [5, 6, 7]
    (watch,) = ledger.resume()
    assert (watch.task_ids, watch.events_after) == (["a", "b"], {"a": 7})


def test_states_reach_the_future_and_its_listener():
    ledger = Ledger()
    listener = Listener()
    (future,) = put(ledger, "a", listener=listener)
    sent(ledger)
    ledger.states(TaskStates([StateChange("a", TaskState.WAITING_FOR_NODES), StateChange("a", TaskState.RUNNING)]))
    assert future.running()
    assert listener.heard == [TaskState.WAITING_FOR_NODES, TaskState.RUNNING]


def test_attached_tasks_are_watched():
    ledger = Ledger()
    future = FuncXFuture("old", None, ROUTE, Listener())
    (watch,) = ledger.attach([future], {"old": 4})
    assert watch == Watch("g", ["old"], {"old": 4}, watch.request)
    ledger.results(TaskResults([ended("old")]))
    ledger.accepted(Accepted(watch.request))
    assert future.result() == "old"


def test_many_open_tasks_are_watched_in_several_messages():
    ledger = Ledger()
    futures = [FuncXFuture(str(n), None, ROUTE) for n in range(12_000)]
    assert [len(watch.task_ids) for watch in ledger.attach(futures, {})] == [5_000, 5_000, 2_000]


def test_when_nothing_will_come_any_more_every_future_ends():
    ledger = Ledger()
    futures = put(ledger, "a")
    sent(ledger)
    futures += put(ledger, "b")
    ledger.fail_all(ServiceUnavailable("Gone."))
    assert all(isinstance(future.exception(), ServiceUnavailable) for future in futures)
    assert ledger.is_idle


def test_results_that_were_sent_to_a_lost_connection_are_asked_for():
    ledger = Ledger()
    put(ledger, "a")
    (again,) = [sent(ledger)] and ledger.resume()
    assert ledger.accepted(Accepted(again.request)) == [Watch("g", ["a"])]
