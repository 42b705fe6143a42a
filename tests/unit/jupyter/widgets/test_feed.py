"""All widgets of a kernel are told by one request a tick."""

from __future__ import annotations

import asyncio
import logging

import pytest

from funcx_core.errors import TaskGroupNotFound
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.widgets.feed import Feed, feed_of
from funcx_jupyter.widgets.monitor import TaskMonitor
from funcx_jupyter.widgets.picker import EndpointPicker
from funcx_jupyter.widgets.task_view import TaskView
from funcx_jupyter.widgets.timeline import Timeline
from tests.unit.jupyter.widgets.rows import FakeService, an_id, told, until


class SteadyService(FakeService):
    """Gives the same object as long as nothing has changed, as the real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ([], {})

    def states(self, task_ids):
        found = super().states(task_ids)
        if self.last != (task_ids, found):
            self.last = (task_ids, found)
        return self.last[1]


class NoLocal:
    def list(self):
        return []


class Reader:
    def __init__(self, *task_ids) -> None:
        self.wanted = list(task_ids)
        self.heard = []
        self.failed = []
        self.error = None
        self.is_complete = True

    def open_ids(self):
        return self.wanted

    def find_more(self):
        return []

    def look(self, states):
        if self.error is not None:
            raise self.error
        return states

    def knows_all(self):
        return self.is_complete

    def tell(self, answer):
        self.heard.append(answer)
        return False

    def fail(self, error):
        self.failed.append(error)

    def goes_on(self):
        return bool(self.wanted)


@pytest.fixture
def service():
    made = SteadyService()
    made.tasks = {an_id(n): told() for n in range(4)}
    made.rows = [Endpoint(endpoint_id="e" * 36, name="theta", is_online=True)]
    return made


@pytest.fixture
async def feed(service):
    made = Feed(service)
    yield made
    for seat in list(made._seats.values()):
        made.leave(seat.reader)


@pytest.mark.filterwarnings("ignore:Deprecated in traitlets:DeprecationWarning")  # by old releases of anywidget
async def test_monitor_timeline_views_and_picker_ask_once_a_tick(service):
    widgets = [
        TaskMonitor([an_id(0), an_id(1)], service=service),
        Timeline([an_id(1), an_id(2)], service=service),
        TaskView(an_id(0), service=service),
        TaskView(an_id(3), service=service),
        EndpointPicker(service=service, local=NoLocal()),
    ]
    for widget in widgets:
        widget._open()
    feed = feed_of(service)
    await until(lambda: service.count("states") == 1)
    assert service.asked[0] == ("states", [an_id(0), an_id(1), an_id(2), an_id(3)])
    for tick in range(2, 5):
        feed._poller.nudge()
        await until(lambda tick=tick: service.count("states") == tick)
        await until(lambda: not feed._poller._nudged.is_set() and all(widget.is_polling for widget in widgets))
    # Names are known by now, so there is what is printed of two tasks, and the picker's list.
    await until(lambda: service.asked[-1] == ("endpoints",))
    last = [question[0] for question in service.asked[-4:]]
    assert sorted(last) == ["endpoints", "events", "events", "states"]
    for widget in widgets:
        widget.close()
    assert not feed._poller.is_running


async def test_a_tick_without_news_costs_its_widgets_nothing(feed, service):
    reader, later = Reader(an_id(0)), Reader(an_id(0))
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 1)
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 2)
    feed.serve(later)
    await until(lambda: len(later.heard) == 1)
    assert reader.heard[:3] == [{an_id(0): told()}, {}, {}]
    assert later.heard == [{an_id(0): told()}]
    service.tasks[an_id(0)] = told("success")
    feed.serve(reader)
    await until(lambda: len(later.heard) == 2)
    assert later.heard[-1] == reader.heard[-1] == {an_id(0): told("success")}


async def test_who_has_not_taken_in_all_of_it_is_told_again(feed):
    reader = Reader(an_id(0))
    reader.is_complete = False
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 1)
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 2)
    assert reader.heard[1] == reader.heard[0]


async def test_a_task_that_the_service_does_not_know_yet_is_told_each_time(feed, service):
    service.tasks[an_id(0)] = {"task_id": an_id(0), "status": "Failed", "reason": "Unknown task id"}
    reader = Reader(an_id(0))
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 1)
    feed.serve(reader)
    await until(lambda: len(reader.heard) == 2)
    assert reader.heard[1] == reader.heard[0] != {}


async def test_who_cannot_be_answered_is_put_off_and_the_others_are_not(service):
    now = [0.0]
    feed = Feed(service, clock=lambda: now[0])
    able, unable = Reader(an_id(0)), Reader(an_id(1))
    unable.error = TaskGroupNotFound("g")
    feed.serve(unable)
    feed.serve(able)
    await until(lambda: len(able.heard) == 1)
    assert len(unable.failed) == 1
    feed._poller.nudge()
    await until(lambda: len(able.heard) == 2)
    assert len(unable.failed) == 1
    now[0] += 1.0
    feed._poller.nudge()
    await until(lambda: len(unable.failed) == 2)
    now[0] += 1.0  # now it is two seconds
    heard = len(able.heard)
    feed._poller.nudge()
    await until(lambda: len(able.heard) > heard)
    assert len(unable.failed) == 2
    unable.error = None
    feed.serve(unable)  # somebody has pressed a button
    await until(lambda: unable.heard)
    feed.leave(able)
    feed.leave(unable)


async def test_an_outage_is_told_to_all_and_makes_the_ticks_rare(feed, service):
    service.is_down = True
    readers = [Reader(an_id(0)), Reader(an_id(1))]
    for reader in readers:
        feed.serve(reader)
    await until(lambda: all(reader.failed for reader in readers))
    cadence = feed._poller.cadence
    assert (cadence.failures, cadence.pause(0)) == (1, 1.0)
    service.is_down = False
    feed.serve(readers[0])
    await until(lambda: all(reader.heard for reader in readers))
    assert cadence.failures == 0


async def test_a_widget_that_breaks_leaves_the_others_alone(feed, caplog):
    class Broken(Reader):
        def tell(self, answer):
            raise RuntimeError("closed")

    class Astonished(Reader):
        def look(self, states):
            return states["nobody"]

    broken, astonished, whole = Broken(an_id(0)), Astonished(an_id(0)), Reader(an_id(0))
    with caplog.at_level(logging.CRITICAL, logger="funcx"):
        for reader in (broken, astonished, whole):
            feed.serve(reader)
        await until(lambda: whole.heard)
        assert not feed.serves(broken)
        assert feed.serves(whole)
        assert "KeyError" in str(astonished.failed[0])


async def test_it_ends_with_the_last_that_waits_for_something(feed, service):
    reader, other = Reader(an_id(0)), Reader(an_id(1))
    feed.serve(reader)
    feed.serve(other)
    await until(lambda: reader.heard and other.heard)
    reader.wanted = []
    feed.serve(other)
    await until(lambda: not feed.serves(reader))
    assert feed.serves(other)
    feed.leave(other)
    assert not feed._poller.is_running
    asked = service.count("states")
    await asyncio.sleep(0)
    assert service.count("states") == asked


async def test_who_leaves_while_it_is_asked_for_is_not_told(feed, service):
    gone, there = Reader(an_id(0)), Reader(an_id(1))
    there.look = lambda states: feed.leave(gone) or states
    feed.serve(gone)
    feed.serve(there)
    await until(lambda: there.heard)
    assert gone.heard == []
