"""What widgets do when they come into sight, go out of it, and when the kernel ends."""

from __future__ import annotations

import pytest

from funcx_jupyter.widgets import shown
from funcx_jupyter.widgets.monitor import TaskMonitor
from tests.unit.jupyter.widgets.rows import FakeService, an_id, told, until


@pytest.fixture
def service():
    made = FakeService()
    made.tasks = {an_id(0): told()}
    return made


@pytest.fixture
async def monitor(service):
    made = TaskMonitor([an_id(0)], service=service)
    made._open()
    await until(lambda: service.count("states"))
    yield made
    made.close()


async def test_out_of_sight_nothing_is_asked_and_back_in_sight_it_is_asked_at_once(monitor, service):
    monitor.view.root._view_count = 1
    assert monitor.is_polling
    monitor.view.root._view_count = 0  # its cell was run again, or its tab closed
    assert not monitor.is_polling
    asked = service.count("states")
    monitor.view.root._view_count = 1
    await until(lambda: service.count("states") > asked)
    assert monitor.is_polling


async def test_where_nobody_counts_views_it_is_asked_for_all_the_same(monitor):
    assert monitor.view.root._view_count == 0
    assert monitor.is_polling


async def test_a_front_end_that_closes_the_widget_ends_the_questions(monitor):
    monitor.view.root.comm.handle_close({})
    assert monitor.view is None
    assert not monitor.is_polling


async def test_at_the_kernels_end_what_is_on_the_screen_becomes_html(monitor, monkeypatch):
    published = []
    monkeypatch.setattr(monitor, "_publish", lambda *, update: published.append((update, monitor.view)))
    registered = []
    monkeypatch.setattr(shown.atexit, "register", registered.append)
    monitor._ipython_display_()
    assert registered == [shown.freeze_all]
    shown.freeze_all()
    assert published == [(False, published[0][1]), (True, None)]
    assert not monitor.is_polling
    shown.freeze_all()
    assert len(published) == 2
