"""What is heard is counted."""

from __future__ import annotations

import threading

from funcx_core.sdk.grids.news import News


def test_what_was_told_since_is_not_waited_for():
    news = News()
    before = news.count()
    assert not news.await_more(before, 0)
    news.tell()
    assert news.await_more(before, 0)
    assert not news.await_more(news.count(), 0)


def test_who_waits_is_woken():
    news = News()
    threading.Timer(0.05, news.tell).start()
    assert news.await_more(news.count(), 60)
