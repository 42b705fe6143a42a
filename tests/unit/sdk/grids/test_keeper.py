import threading

import pytest

from funcx_core.errors import QueueFull, UsageError
from funcx_core.sdk.grids import keeper
from funcx_core.sdk.grids.keeper import Keeper


class Grid:
    """Has as many answers to come as are listed."""

    def __init__(self, *answers, again=()):
        self.answers = list(answers)
        self.again = list(again)
        self.asked = threading.Event()

    def collect(self):
        self.asked.set()
        return bool(self.answers) and self.answers.pop(0)

    def run_again(self):
        answer = self.again.pop(0) if self.again else False
        if isinstance(answer, Exception):
            raise answer
        self.answers = [True] if answer else []
        return answer


class View:
    def __init__(self, error=None):
        self.told = []
        self.error = error

    def update(self, *, is_final):
        self.told.append(is_final)
        if self.error is not None:
            raise self.error


def test_views_are_told_last_when_nothing_is_to_come():
    grid, view = Grid(True, True), View()
    watching = Keeper(grid)
    watching.show(view)
    watching.news()
    assert watching.wait(30)
    assert view.told[-1]
    assert not any(view.told[:-1])
    assert watching.wait(30)
    assert view.told.count(True) == 1


def test_waiting_ends_after_the_last_retry(monkeypatch):
    monkeypatch.setattr(keeper, "_LOOK_SECONDS", 0.01)
    grid = Grid(again=[True, QueueFull("wait", retry_after=0.01), True, False])
    assert Keeper(grid).wait(30)
    assert grid.again == []


def test_what_stops_the_retries_is_raised_where_somebody_waits():
    watching = Keeper(Grid(again=[UsageError("The endpoint is gone.")]))
    with pytest.raises(UsageError, match="is gone"):
        watching.wait(30)


def test_a_view_that_fails_stops_nobody(caplog):
    broken, whole = View(RuntimeError("no display")), View()
    watching = Keeper(Grid(True))
    watching.views.append(broken)
    watching.show(whole)
    watching.news()
    assert watching.wait(30)
    assert whole.told[-1]
    assert "cannot be shown here" in caplog.text


def test_waiting_may_end_earlier():
    gate = threading.Event()

    class Held(Grid):
        def collect(self):
            return not gate.is_set()

    watching = Keeper(Held())
    assert not watching.wait(0.01)
    gate.set()
    watching.news()
    assert watching.wait(30)


def test_a_view_that_comes_at_the_last_moment_hears_of_the_end():
    late = View()

    class First(View):
        def update(self, *, is_final):
            super().update(is_final=is_final)
            if is_final and not late.told and late not in watching.views:
                watching.show(late)

    watching = Keeper(Grid(True))
    watching.show(First())
    watching.news()
    assert watching.wait(30)
    assert late.told == [True]
