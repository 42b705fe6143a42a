"""What widgets do when they come into sight, go out of it, and when the kernel ends."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from funcx_jupyter.widgets import last_words
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
    monkeypatch.setattr(monitor, "_publish", lambda *, update: published.append((update, monitor._is_frozen)))
    monitor._is_shown = True
    asked = []

    class Kernel:
        async def do_shutdown(self, restart):
            asked.append(restart)
            return {"status": "ok"}

    class Broken:
        tries = 0

        def leave_html(self):
            self.tries += 1
            raise RuntimeError("dictionary changed size during iteration")

    kernel, broken = Kernel(), Broken()
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    last_words.at_the_end(broken)
    last_words.at_the_end(monitor)
    assert await kernel.do_shutdown(True) == {"status": "ok"}
    assert (published, asked, broken.tries) == ([(True, True)], [True], 3)
    await kernel.do_shutdown(False)
    assert len(published) == 1
