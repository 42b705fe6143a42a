"""When a widget asks again."""

from __future__ import annotations

from funcx_jupyter.widgets.cadence import Cadence


def test_it_asks_less_often_when_nothing_changes():
    cadence = Cadence(0)
    cadence.answered(0, changed=True, took=0.01)
    assert [cadence.pause(at) for at in (1, 19, 21, 299, 301)] == [1, 1, 5, 5, 30]


def test_a_change_and_a_click_make_it_quick_again():
    cadence = Cadence(0)
    cadence.answered(400, changed=True, took=0.01)
    assert cadence.pause(400) == 1
    cadence.answered(800, changed=False, took=0.01)
    assert cadence.pause(800) == 30
    cadence.touched(900)
    assert cadence.pause(900) == 1


def test_pauses_grow_while_nobody_answers_up_to_a_minute():
    cadence = Cadence(0)
    pauses = []
    for _ in range(8):
        cadence.failed()
        pauses.append(cadence.pause(0))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_after_an_outage_it_is_quick():
    cadence = Cadence(0)
    cadence.failed()
    cadence.answered(1000, changed=False, took=0.01)
    assert cadence.failures == 0
    assert cadence.pause(1001) == 1


def test_news_that_nobody_asked_for_wait_for_each_other_and_longer_where_answers_are_costly():
    cadence = Cadence(0)
    assert cadence.rest == 0.2
    cadence.answered(0, changed=True, took=1.5)
    assert cadence.rest == 4.5
    cadence.answered(0, changed=True, took=30)
    assert cadence.rest == 60


def test_costly_answers_are_asked_for_less_often():
    cadence = Cadence(0)
    cadence.answered(0, changed=True, took=1.5)
    assert cadence.pause(0) == 4.5
    cadence.answered(0, changed=True, took=30)
    assert cadence.pause(0) == 60
