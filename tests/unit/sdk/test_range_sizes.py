"""How many calls go into a range."""

from __future__ import annotations

import pytest

from funcx_core.errors import UsageError
from funcx_core.sdk.range_sizes import LARGEST, PROBES, WAVE, RangeSizes


def test_a_number_is_taken_at_its_word() -> None:
    sizes = RangeSizes(7)
    assert [sizes.next() for _ in range(3)] == [7, 7, 7]
    assert not sizes.wants_news


@pytest.mark.parametrize("chunksize", [0, -1, "often", 1.5, None])
def test_other_things_are_refused(chunksize: object) -> None:
    with pytest.raises(UsageError, match="chunksize"):
        RangeSizes(chunksize)  # type: ignore[arg-type]


@pytest.mark.parametrize(("seconds", "size"), [(1e-6, LARGEST), (0.005, 100), (0.1, 5), (10.0, 1)])
def test_what_a_call_takes_decides(seconds: float, size: int) -> None:
    sizes = RangeSizes("auto")
    assert sizes.next() == 1
    sizes.took(1, seconds)
    assert sizes.next() == size


def test_many_calls_tell_more_than_one() -> None:
    sizes = RangeSizes("auto")
    sizes.took(1, 0.05)  # it loaded the function first
    sizes.took(1000, 0.01)
    assert sizes.next() == LARGEST


def test_after_the_first_ones_it_is_worth_waiting_a_moment() -> None:
    sizes = RangeSizes("auto")
    wanted = []
    for _ in range(PROBES + 2):
        sizes.next()
        wanted.append(sizes.wants_news)
    assert wanted.index(True) == PROBES - 1
    assert wanted.count(True) == 1


def test_with_no_news_a_million_calls_are_still_few_ranges() -> None:
    sizes, calls, ranges = RangeSizes("auto"), 0, 0
    while calls < 1_000_000:
        calls += sizes.next()
        ranges += 1
    assert ranges < 2000
    assert ranges > WAVE
