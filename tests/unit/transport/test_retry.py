"""Waits grow, stay under their ceiling, and differ between clients."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from funcx_core.transport.retry import Backoff


@given(st.integers(0, 2**32), st.floats(0.001, 1), st.floats(1, 100))
def test_waits_stay_between_half_the_first_and_the_longest(seed: int, first: float, longest: float) -> None:
    backoff = Backoff(first, longest, random.Random(seed))
    waits = [backoff.next() for _ in range(50)]
    assert all(first / 2 <= wait <= longest for wait in waits)


def test_waits_grow_until_a_success() -> None:
    backoff = Backoff(1, 1000, random.Random(1))
    many = [backoff.next() for _ in range(20)]
    assert max(many) > 100
    backoff.reset()
    assert 0.5 <= backoff.next() <= 1


def test_a_thousand_clients_that_lose_their_service_at_once_do_not_come_back_at_once() -> None:
    """F34."""
    waits = sorted(Backoff(0.2, 15.0, random.Random(seed)).next() for seed in range(1000))
    most_in_a_hundredth = max(sum(start <= wait < start + 0.01 for wait in waits) for start in waits)
    assert most_in_a_hundredth < 200
