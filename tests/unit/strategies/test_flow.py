"""After so many events or after so long, whichever comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from funcx_endpoint.strategies.flow import INTERVAL, THRESHOLD, Flow


def test_a_flow_is_due_after_its_interval():
    flow = Flow(20, 5, now=100)
    assert flow.due(104.9) is None
    assert flow.remaining(104) == 1
    assert flow.due(105) == INTERVAL


def test_a_flow_is_due_as_soon_as_enough_has_happened():
    flow = Flow(20, 5, now=100)
    flow.notify(19)
    assert flow.due(100) is None
    flow.notify()
    assert flow.due(100) == THRESHOLD


def test_events_count_anew_after_each_call():
    flow = Flow(2, 5, now=0)
    flow.notify(2)
    flow.reset(1)
    assert flow.due(1) is None
    assert flow.due(6) == INTERVAL


def test_a_timer_counts_no_events():
    flow = Flow(None, 5, now=0)
    flow.notify(1000)
    assert flow.due(1) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.01, 3)), max_size=60), st.integers(1, 20), st.floats(0.1, 5))
def test_no_call_is_later_than_interval_or_threshold_allow(steps, threshold, interval):
    now, events, began = 0.0, 0, 0.0
    flow = Flow(threshold, interval, now=now)
    for number, seconds in steps:
        now += seconds
        events += number
        flow.notify(number)
        is_due = events >= threshold or now - began >= interval
        assert bool(flow.due(now)) == is_due
        if is_due:
            flow.reset(now)
            events, began = 0, now
