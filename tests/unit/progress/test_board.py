"""The board: bars told together, not too often, and as they are at the end."""

import pytest

from funcx_core.progress.board import Board, new_bar_id
from funcx_core.protocol.progress import MOST_BARS, RANGE, Bar, BarState, Progress, read_progress, write_progress


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def told():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def board(told, clock, monkeypatch):
    monkeypatch.setattr("funcx_core.progress.board.threading.Thread", NoThread)
    return Board(told.append, clock)


class NoThread:
    def __init__(self, **_):
        pass

    def start(self):
        """What is told later is told by `finish` here."""


def a_bar(**fields):
    return Bar(**{"id": new_bar_id(), "total": 10, **fields})


def again(bar, **fields):
    return Bar(**{"id": bar.id, "total": bar.total, "description": bar.description, **fields})


def test_a_change_is_told_at_once_and_the_next_ones_together_at_the_end(board, told, clock):
    bar = a_bar(description="fit")
    board.put(bar)
    for n in range(5):
        board.put(again(bar, n=n))
    assert [progress.n for progress in told] == [0]
    clock.now += 0.1
    board.put(again(bar, n=6))
    board.put(again(bar, n=7))
    board.finish()
    assert [progress.n for progress in told] == [0, 6, 7]
    assert told[-1].description == "fit"
    assert told[-1].total == 10


def test_what_goes_on_for_long_is_told_less_often(board, told, clock):
    bar = a_bar()
    for n in range(100_000):
        board.put(again(bar, n=n))
        clock.now += 0.01  # 1000 seconds
    assert len(told) < 1300
    before = len(told)
    clock.now += 0.9
    board.put(again(bar, n=1))
    assert len(told) - before <= 1


def test_nothing_is_told_of_a_task_without_bars(board, told):
    board.finish()
    assert told == []
    assert not board.is_used


def test_a_bar_that_was_not_closed_is_read_once_more(board, told):
    bar = a_bar()
    board.put(bar, lambda: again(bar, n=9))
    board.finish()
    assert told[-1].bars == [again(bar, n=9)]


def test_a_bar_that_nobody_has_any_more_stays_as_it_was(board, told):
    board.put(a_bar(n=3), lambda: None)
    board.finish()
    assert [bar.n for bar in told[-1].bars] == [3]


def test_bars_of_an_earlier_task_are_not_heard(board, told):
    old = a_bar()
    board.put(old)
    board.finish()
    board.put(again(old, n=5))
    assert len(told) == 1
    assert not board.is_used


def test_a_bar_that_vanishes(board, told, clock):
    outer, inner = a_bar(), a_bar()
    board.put(outer)
    board.put(inner)
    clock.now += 1
    board.drop(inner.id)
    assert told[-1].bars == [outer]


def test_of_many_bars_those_that_have_ended_are_counted_only(board, told, clock):
    outer = a_bar(description="outer")
    board.put(outer)
    for _ in range(3 * MOST_BARS):
        clock.now += 1
        board.put(a_bar(n=10).closed())
    assert len(told[-1].bars) == MOST_BARS
    assert told[-1].bars[0] == outer
    assert told[-1].more == 2 * MOST_BARS + 1
    assert told[-1].description == "outer"


def test_more_open_bars_than_fit_are_counted(board, told, clock):
    for _ in range(MOST_BARS + 5):
        board.put(a_bar())
    board.finish()
    assert (len(told[-1].bars), told[-1].more) == (MOST_BARS, 5)


def test_texts_have_a_bound(board, told):
    board.put(a_bar(description="d" * 10_000, postfix="p" * 10_000))
    assert len(write_progress(told[-1])) < 700


def test_a_range_counts_its_calls_whatever_bars_they_have(board, told, clock):
    board.put(a_bar(n=1))
    clock.now += 1
    board.count(RANGE, 7, 10)
    assert (told[-1].id, told[-1].n, told[-1].total, len(told[-1].bars)) == ("range", 7, 10, 1)


def test_bars_are_those_of_the_call_that_runs(board, told, clock):
    board.begin_call(3)
    board.put(Bar(id=new_bar_id(), n=1))
    board.end_call()
    clock.now += 1
    board.begin_call(4)  # Tells that the bar of the last call is gone, if nobody has yet.
    late = Bar(id=new_bar_id(), n=2)
    board.put(late)
    clock.now += 1
    board.put(late)
    board.finish()
    assert next((each.call, [bar.n for bar in each.bars]) for each in told) == (3, [1])
    assert told[-1].call == 4
    assert [bar.n for bar in told[-1].bars] == [2]


def test_a_call_without_bars_tells_nothing(board, told):
    for place in range(3):
        board.begin_call(place)
        board.end_call()
    board.finish()
    assert told == []


def test_what_an_interrupt_kept_from_being_told_is_told_at_the_end(told, clock):
    def tell(progress):
        if not told:
            told.append(None)
            raise KeyboardInterrupt
        told.append(progress)

    board = Board(tell, clock)
    with pytest.raises(KeyboardInterrupt):
        board.put(a_bar(n=5))
    board.finish()
    assert told[-1].n == 5


def test_sources_are_looked_at_when_the_task_ends(board, told):
    bar = a_bar(n=4)
    board.watch(lambda: board.put(bar))
    board.finish()
    assert told[-1].bars == [bar]


def test_in_a_forked_child_nothing_is_told(board, told):
    bar = a_bar()
    board.put(bar)
    board.abandon()
    board.put(again(bar, n=5))
    board.put(a_bar())
    board.count(RANGE, 1, 2)
    board.finish()
    assert len(told) == 1


def test_how_bars_end():
    assert a_bar(n=10).closed().state is BarState.DONE
    assert a_bar(n=9).closed().state is BarState.STOPPED
    assert a_bar(n=9, total=None).closed().state is BarState.DONE


def test_it_travels_as_json():
    progress = Progress(n=1, total=2, bars=[a_bar(n=1.5, state=BarState.DONE)])
    assert read_progress(write_progress(progress)) == progress
    assert read_progress(b'{"n": 7, "total": 10, "description": "", "id": "range"}') == Progress(
        n=7, total=10, id="range"
    )
    assert read_progress(b"[]") is None
    assert read_progress(b'{"n": "x"}') is None
