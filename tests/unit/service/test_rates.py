"""Token buckets."""

from __future__ import annotations

import pytest

from funcx_core.errors import RateLimited
from funcx_core.service import rates
from funcx_core.service.config import RateConfig
from funcx_core.service.rates import Buckets, Rates


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    buckets = Buckets(2, 3)
    assert [buckets.take("a", now=0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", now=0.4) == pytest.approx(0.1)
    assert buckets.take("a", now=0.5) == 0
    assert buckets.take("a", now=0.5) == pytest.approx(0.5)


def test_a_pause_fills_the_bucket_but_never_over_its_rim() -> None:
    buckets = Buckets(1, 2)
    buckets.take("a", now=0)
    assert [buckets.take("a", now=1000) for _ in range(3)] == [0, 0, 1]


def test_one_key_does_not_empty_the_bucket_of_another() -> None:
    buckets = Buckets(1, 1)
    assert (buckets.take("a", now=0), buckets.take("b", now=0), buckets.take("a", now=0)) == (0, 0, 1)


def test_no_rate_is_no_limit_and_costs_no_memory() -> None:
    buckets = Buckets(0, 1)
    assert {buckets.take(str(each), now=0) for each in range(100)} == {0}
    assert not buckets._levels


def test_full_buckets_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 3)
    buckets = Buckets(1, 1)
    for each in range(4):
        buckets.take(str(each), now=each / 10)
    assert len(buckets._levels) == 3
    buckets.take("late", now=100)
    assert set(buckets._levels) == {"late"}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_too_many_requests_of_one_token_say_when_to_come_back() -> None:
    limits = Rates(RateConfig(per_second=1, burst=2), Clock())
    limits.request("a")
    limits.request("a")
    with pytest.raises(RateLimited) as caught:
        limits.request("a")
    assert caught.value.retry_after == pytest.approx(1)
    assert limits.refused == 1
    limits.change(RateConfig())
    limits.request("a")


def test_an_address_of_unknown_tokens_must_wait_but_its_good_tokens_need_not() -> None:
    clock = Clock()
    limits = Rates(RateConfig(failures_per_minute=2), clock)
    limits.succeeded("good")
    for _ in range(2):
        limits.check_address("10.0.0.1", "guess")
        limits.failed("10.0.0.1")
    with pytest.raises(RateLimited):
        limits.check_address("10.0.0.1", "guess")
    limits.check_address("10.0.0.1", "good")
    limits.check_address("10.0.0.2", "guess")
    clock.now += 31
    limits.check_address("10.0.0.1", "guess")
