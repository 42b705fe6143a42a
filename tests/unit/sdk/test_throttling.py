"""A client keeps to what its service asks."""

from __future__ import annotations

import pickle
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcx.sdk.utils.throttling import MaxRequestsExceeded, MaxRequestSizeExceeded, ThrottlingException
from funcx_core.errors import PayloadTooLarge, RateLimited
from funcx_core.protocol.client import Limits, Throttle
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.throttling import SlidingWindow, ThrottledBaseClient
from tests.unit.sdk.fake_service import TOKEN, FakeService


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


def a_client(service, **more):
    return FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN, **more)


def test_five_pass_and_the_sixth_waits_until_the_first_is_five_seconds_old():
    window = SlidingWindow(5, 5.0)
    assert [window.ask(now) for now in (0, 1, 2, 3, 4)] == [0] * 5
    assert window.ask(4.5) == pytest.approx(0.5)
    assert window.ask(5.0) == 0
    assert window.ask(5.0) == pytest.approx(1.0)


def test_what_was_refused_does_not_count():
    window = SlidingWindow(1, 5.0)
    window.ask(0)
    assert all(window.ask(4) == pytest.approx(1.0) for _ in range(100))
    assert window.ask(5) == 0


def test_a_window_that_is_made_smaller_holds_back_what_is_over_it():
    window = SlidingWindow(3, 5.0)
    for now in (0, 1, 2):
        window.ask(now)
    window.requests = 1
    assert window.ask(3) == pytest.approx(4.0)
    window.requests = 0
    assert window.ask(3) == 5.0


@given(st.lists(st.floats(0, 3), max_size=60), st.integers(1, 6), st.floats(0.1, 5))
def test_no_window_ever_has_more_than_was_asked(gaps, requests, seconds):
    window, now, passed = SlidingWindow(requests, seconds), 0.0, []
    for gap in gaps:
        now += gap
        wait = window.ask(now)
        if wait == 0:
            passed.append(now)
        else:
            assert 0 < wait <= seconds
    for first, last in zip(passed, passed[requests:], strict=False):
        assert last - first >= seconds


def test_the_documented_limits():
    assert (ThrottledBaseClient.DEFAULT_MAX_REQUESTS, ThrottledBaseClient.DEFAULT_MAX_REQUEST_SIZE) == (5, 2097152)
    assert issubclass(MaxRequestsExceeded, ThrottlingException)
    assert issubclass(MaxRequestSizeExceeded, ThrottlingException)
    assert issubclass(MaxRequestsExceeded, RateLimited)
    assert issubclass(MaxRequestSizeExceeded, PayloadTooLarge)


def test_ones_own_service_is_asked_as_often_as_one_likes(service):
    with a_client(service) as client:
        for _ in range(20):
            client.get_endpoints()
        assert client.throttling_enabled is False


def test_a_service_that_asks_for_it_is_asked_no_more_than_it_likes(service):
    service.limits = Limits(throttle=Throttle(requests=3, seconds=60, bytes=1000))
    with a_client(service) as client:
        for _ in range(3):
            client.get_endpoints()
        with pytest.raises(MaxRequestsExceeded, match="More than 3 requests in 60 s") as raised:
            client.get_endpoints()
        assert 0 < raised.value.retry_after <= 60
        assert pickle.loads(pickle.dumps(raised.value)).retry_after == raised.value.retry_after
        assert client.throttling_enabled is True
        client.throttling_enabled = False
        assert client.get_endpoints()


def test_a_request_over_the_size_that_is_asked_for_is_not_sent(service):
    service.limits = Limits(throttle=Throttle(bytes=1000))
    with a_client(service) as client:
        with pytest.raises(MaxRequestSizeExceeded, match="at most 1,000") as raised:
            client.register_endpoint("theta", "1e999502-b434-49a2-a2e0-d925383d2dd4", metadata={"text": "x" * 1000})
        assert (raised.value.limit, raised.value.size > 1000) == (1000, True)
    assert ("POST", "/v2/endpoints") not in service.requests


def test_throttling_can_be_turned_on_where_nobody_asks_for_it(service):
    with a_client(service) as client:
        client.throttling_enabled = True
        for _ in range(5):
            client.get_endpoints()
        with pytest.raises(MaxRequestsExceeded):
            client.get_endpoints()


def test_a_client_that_was_told_not_to_throttle_does_not_ask_for_limits(service):
    with a_client(service, do_version_check=False) as client:
        client.throttling_enabled = False
        client.get_endpoints()
    assert service.requests == [("GET", "/v2/endpoints")]


def test_threads_together_do_not_exceed_it():
    client = ThrottledBaseClient(clock=lambda: 1.0)
    client.throttling_enabled = True
    refused = []

    def ask():
        try:
            client._hold_back("GET", "endpoints", None)
        except MaxRequestsExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 15


def test_the_documented_methods():
    client = ThrottledBaseClient(clock=lambda: 1.0)
    client.max_request_size = 10
    client.throttle_request_size("GET", "x", json_body={"a": "x" * 20})
    client.throttle_request_size("POST", "x")
    with pytest.raises(MaxRequestSizeExceeded):
        client.throttle_request_size("POST", "x", json_body={"a": "x" * 20})
    with pytest.raises(MaxRequestSizeExceeded):
        client.throttle_request_size("POST", "x", text_body="x" * 11)
    client.max_requests = 1
    client.throttle_max_requests()
    with pytest.raises(MaxRequestsExceeded):
        client.throttle_max_requests()
