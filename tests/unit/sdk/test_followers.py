"""Several futures of one task in one client: event sequences without a socket."""

from __future__ import annotations

import pytest

from funcx_core.errors import QueueFull, ServiceUnavailable, TaskCancelled
from funcx_core.protocol.client import (
    Accepted,
    Refused,
    Rejection,
    StateChange,
    TaskEvents,
    TaskResults,
    TaskStates,
    Watch,
)
from funcx_core.protocol.task import EventKind, TaskEvent, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.ledger import Ledger
from tests.unit.sdk.test_ledger import ROUTE, Listener, ended, put, sent


def event(seq):
    return TaskEvent("a", seq, EventKind.STDOUT, 0, b"")


def told(ledger, *seqs):
    ledger.events(TaskEvents([event(seq) for seq in seqs]))


def watching(ledger, *, listener=None, after=0):
    future = FuncXFuture("a", None, ROUTE, listener)
    return future, ledger.attach([future], {"a": after} if listener else {})


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def first(ledger):
    """A task that was sent and is acknowledged, whose future listens."""
    (future,) = put(ledger, "a", listener=Listener())
    ledger.accepted(Accepted(sent(ledger).request))
    return future


def test_all_futures_of_a_task_have_its_value(ledger, first):
    second, (watch,) = watching(ledger)
    third, (again,) = watching(ledger)
    assert watch == Watch("g", ["a"], {"a": 0}, watch.request)
    ledger.results(TaskResults([ended("a")]))
    ledger.accepted(Accepted(watch.request))
    assert not first.done(), "it is asked for once more"
    ledger.accepted(Accepted(again.request))
    assert [future.result() for future in (first, second, third)] == ["a"] * 3
    assert ledger.is_idle


def test_each_hears_of_states(ledger, first):
    second, _ = watching(ledger, listener=Listener())
    ledger.states(TaskStates([StateChange("a", TaskState.RUNNING)]))
    assert first.running()
    assert second.running()
    assert second.listener.heard == first.listener.heard == [TaskState.RUNNING]


def test_who_comes_later_hears_the_log_from_its_beginning_and_the_first_nothing_twice(ledger, first):
    told(ledger, 1, 2)
    second, (watch,) = watching(ledger, listener=Listener())
    assert watch.events_after == {"a": 0}
    told(ledger, 1, 2)
    told(ledger, 3)
    assert first.listener.heard == second.listener.heard == [1, 2, 3]


def test_what_is_told_before_the_log_comes_waits_for_it(ledger, first):
    told(ledger, 1, 2)
    second, _ = watching(ledger, listener=Listener())
    told(ledger, 3)
    assert second.listener.heard == []
    told(ledger, 1, 2)
    told(ledger, 4)
    assert first.listener.heard == second.listener.heard == [1, 2, 3, 4]


def test_a_log_that_has_lost_its_beginning_is_known_by_what_comes_twice(ledger, first):
    told(ledger, 1, 2)
    second, _ = watching(ledger, listener=Listener())
    told(ledger, 3, 4)
    told(ledger, 3, 4, 5)
    assert second.listener.heard == [3, 4, 5]


def test_a_result_that_is_quicker_than_the_log_waits_for_it(ledger, first):
    told(ledger, 1)
    second, (watch,) = watching(ledger, listener=Listener())
    ledger.results(TaskResults([ended("a")]))
    assert not second.done()
    told(ledger, 1, 2, 3)
    ledger.results(TaskResults([ended("a")]))
    ledger.accepted(Accepted(watch.request))
    assert (first.result(), second.result()) == ("a", "a")
    assert second.listener.heard == [1, 2, 3]
    assert ledger.is_idle


def test_a_log_that_is_refused_or_asked_for_anew_holds_no_result_for_ever(ledger, first):
    _, (watch,) = watching(ledger, listener=Listener())
    ledger.results(TaskResults([ended("a")]))
    (again,) = ledger.resume()
    ledger.accepted(Accepted(watch.request))
    assert not first.done()
    ledger.results(TaskResults([ended("a")]))
    ledger.refused(Refused(again.request, "internal_error", "No."))
    assert first.result() == "a"


def test_what_waits_for_the_log_is_heard_before_the_end(ledger, first):
    told(ledger, 1)
    second, (watch,) = watching(ledger, listener=Listener())
    told(ledger, 3, 2)
    ledger.results(TaskResults([ended("a")]))
    ledger.accepted(Accepted(watch.request))
    assert second.listener.heard == [2, 3]
    assert second.done()


def test_who_wants_what_is_new_hears_it_at_once(ledger, first):
    told(ledger, 1, 2)
    second, (watch,) = watching(ledger, listener=Listener(), after=2)
    assert watch.events_after == {"a": 2}
    told(ledger, 3)
    assert second.listener.heard == [3]


def test_a_task_that_was_not_sent_yet_can_be_followed(ledger):
    (first,) = put(ledger, "a")
    second, messages = watching(ledger)
    assert messages == []
    ledger.accepted(Accepted(sent(ledger).request))
    ledger.results(TaskResults([ended("a")]))
    assert first.result() == second.result() == "a"


def test_a_task_that_is_cancelled_before_it_was_sent_ends_for_all(ledger):
    (first,) = put(ledger, "a")
    second, _ = watching(ledger)
    assert first.cancel_here()
    assert sent(ledger) is None
    assert isinstance(second.exception(), TaskCancelled)
    assert ledger.is_idle


def test_the_same_id_submitted_again_is_the_same_task(ledger, first):
    (again,) = put(ledger, "a")
    ledger.accepted(Accepted(sent(ledger).request))
    ledger.results(TaskResults([ended("a")]))
    assert first.result() == again.result() == "a"


def test_after_a_new_connection_all_are_told_what_they_miss(ledger, first):
    told(ledger, 1, 2, 3)
    watching(ledger, listener=Listener(), after=1)
    (watch,) = ledger.resume()
    assert watch == Watch("g", ["a"], {"a": 1}, watch.request)


def test_a_future_that_is_cancelled_here_leaves_the_others_alone(ledger, first):
    second, _ = watching(ledger)
    first.cancel_here()
    ledger.cancel(["a"], force=False)
    assert ledger.resume()[0] == Watch("g", ["a"], {})
    ledger.results(TaskResults([ended("a")]))
    assert second.result() == "a"
    assert ledger.is_idle


@pytest.mark.parametrize("how", ["rejected", "refused", "ended"])
def test_what_fails_fails_for_all(ledger, how):
    (first,) = put(ledger, "a")
    number = sent(ledger).request
    second, _ = watching(ledger)
    if how == "rejected":
        ledger.accepted(Accepted(number, [Rejection("a", QueueFull.code, "full")]))
    elif how == "refused":
        ledger.refused(Refused(number, QueueFull.code, "full"))
    else:
        ledger.fail_all(ServiceUnavailable("gone"))
    assert type(first.exception()) is type(second.exception())
    assert first.exception() is not second.exception()
    assert ledger.is_idle
