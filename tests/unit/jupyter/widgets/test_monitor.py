"""A monitor on a kernel's loop, with a service played by the test and real ipywidgets without a front end."""

from __future__ import annotations

import asyncio
import time

import pytest

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import InvalidId, UsageError
from funcx_core.protocol.task import TaskOptions
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.recorded import OFF, VARIABLE, Sent
from funcx_jupyter.session.state import Session, TaskRecord
from funcx_jupyter.widgets.monitor import TaskMonitor
from funcx_jupyter.widgets.task_view import TaskView
from tests.unit.jupyter.fake_service import LOCAL, FakeConnection
from tests.unit.jupyter.widgets.rows import BEGIN, FakeService, an_id, failed, told, until


@pytest.fixture
def service():
    made = FakeService()
    made.tasks = {an_id(n): told("running", started=1.0) for n in range(3)}
    made.rows = [Endpoint(endpoint_id="e" * 36, name="theta", is_online=True)]
    return made


@pytest.fixture
def monitor(service):
    made = TaskMonitor(list(service.tasks), service=service, clock=lambda: BEGIN + 10, page_size=2)
    yield made
    made.close()


def opened(monitor):
    monitor._is_shown = False
    monitor._open()
    return monitor


async def test_one_request_a_tick_for_all_tasks_that_have_not_ended(monitor, service):
    opened(monitor)
    await until(lambda: "3 running" in monitor.view._head.value)
    assert service.asked == [("states", [an_id(0), an_id(1), an_id(2)]), ("endpoints",)]
    service.tasks[an_id(0)] = told("success", started=1.0, ended=2.0, completed=2.0)
    monitor.refresh_soon()
    await until(lambda: service.count("states") == 2)
    await until(lambda: monitor.model.summary() == "2 running · 1 done")
    monitor.refresh_soon()
    await until(lambda: service.count("states") == 3)
    assert service.asked[-1] == ("states", [an_id(1), an_id(2)])


async def test_the_name_of_a_function_is_asked_for_once(monitor, service):
    service.tasks = {task_id: told("running", function_id="f") for task_id in service.tasks}
    opened(monitor)
    await until(lambda: "name_of_f" in monitor.view._rows[0]._cells.value)
    monitor.refresh_soon()
    await until(lambda: service.count("states") == 2)
    assert service.count("function_name") == 1


async def test_it_stops_when_all_have_ended_and_when_it_is_closed(monitor, service):
    opened(monitor)
    await until(lambda: service.count("states"))
    assert monitor.is_polling
    service.tasks = {task_id: told("success") for task_id in service.tasks}
    monitor.refresh_soon()
    await until(lambda: not monitor.is_polling)
    service.tasks[an_id(5)] = told("running")
    again = opened(TaskMonitor([an_id(5)], service=service))
    await until(lambda: again.model.summary() == "1 running")
    again.close()
    assert not again.is_polling
    assert again.view is None


async def test_an_outage_is_shown_and_survived(monitor, service):
    opened(monitor)
    await until(lambda: monitor.model.summary() == "3 running")
    service.is_down = True
    monitor.refresh_soon()
    await until(lambda: "Showing what was last known" in monitor.view._head.value)
    assert "3 running" in monitor.view._head.value
    assert monitor.view._rows[0]._cancel.tooltip == "The service does not answer."
    assert monitor.is_polling
    service.is_down = False
    monitor.refresh_soon()
    await until(lambda: "Showing" not in monitor.view._head.value)


async def test_the_loop_goes_on_while_the_service_takes_its_time(monitor, service):
    service.states = lambda ids: time.sleep(0.5) or {task_id: service.tasks[task_id] for task_id in ids}
    opened(monitor)
    turns = 0
    while not monitor.model.known_endpoints():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 10


async def test_only_the_rows_in_sight_are_widgets(monitor):
    opened(monitor)
    await until(lambda: monitor.model.summary() == "3 running")
    assert len(monitor.view._rows) == 2
    assert "1-2 of 3" in monitor.view._count.value
    monitor.view._next.click()
    assert "3-3 of 3" in monitor.view._count.value
    assert monitor.view._rows[1].root.layout.display == "none"
    assert monitor.view._next.disabled
    assert monitor.view._next.tooltip == "These are the last rows."


async def test_cancel_asks_the_service_and_says_so(monitor, service):
    opened(monitor)
    await until(lambda: monitor.model.summary() == "3 running")
    monitor.view._rows[0]._cancel.click()
    await until(lambda: monitor.model.summary() == "2 running · 1 stopped")
    assert service.count("cancel") == 1
    assert "to stop" in monitor.view._notice.value


async def test_a_result_is_shown_below(monitor, service):
    opened(monitor)
    monitor.result(an_id(0))
    await until(lambda: "42" in monitor.view._details.value)
    assert service.count("result") == 1


async def test_logs_are_escaped_and_redrawn_lines_are_there_once(monitor, service):
    service.log = [{"seq": 1, "kind": "stdout", "body": " 1%\r100%\n<b>done</b>\n"}]
    opened(monitor)
    monitor.logs(an_id(0))
    await until(lambda: "100%" in monitor.view._details.value)
    assert " 1%" not in monitor.view._details.value
    assert "&lt;b&gt;done" in monitor.view._details.value


async def test_a_group_is_listed_now_and_then(service):
    service.members = [an_id(0), an_id(1)]
    monitor = opened(TaskMonitor(group=an_id(9), service=service))
    await until(lambda: monitor.model.summary() == "2 running")
    for tick in range(2, 6):
        monitor.refresh_soon()
        await until(lambda count=tick: service.count("states") >= count)
    assert service.count("group") == 1
    monitor.close()


def test_without_a_loop_the_text_is_asked_for(service):
    monitor = TaskMonitor([an_id(0)], service=service, clock=lambda: BEGIN + 10)
    assert "▶ running" in repr(monitor)
    assert "theta" in repr(monitor)
    service.is_down = True
    assert "Showing what was last known." in repr(monitor)


def test_what_is_no_task_is_refused(service):
    with pytest.raises(UsageError, match="int is not a submitted task"):
        TaskMonitor([3], service=service)
    with pytest.raises(InvalidId):
        TaskMonitor(["no-id"], service=service)
    with pytest.raises(UsageError, match="%load_ext funcx_jupyter"):
        TaskMonitor(service=service)


# --- the notebook's own tasks ------------------------------------------------------------------------------------------


def a_record(number, sent=None):
    return TaskRecord(task_id=an_id(number), endpoint="theta", cell=f"job({number})", sent=sent)


async def test_new_tasks_of_the_notebook_appear(service):
    session = Session(FakeConnection)
    monitor = opened(TaskMonitor(session=session, service=service))
    await until(lambda: not monitor.is_polling)
    session.remember(a_record(0))
    await until(lambda: monitor.model.summary() == "1 running")
    assert monitor.model.row(an_id(0)).title == "job(0)"
    monitor.close()
    assert not session.listeners


async def test_many_new_tasks_are_asked_for_together(service):
    service.tasks = {an_id(number): told("running") for number in range(50)}
    session = Session(FakeConnection)
    monitor = opened(TaskMonitor(session=session, service=service))
    await until(lambda: not monitor.is_polling)
    for number in range(50):
        session.remember(a_record(number))
        await asyncio.sleep(0)
    await until(lambda: monitor.model.summary() == "50 running")
    assert service.count("states") == 1
    session.remember(a_record(0))
    monitor.close()  # before its moment has come
    await asyncio.sleep(0)
    assert monitor._soon is None
    assert not monitor.is_polling


async def test_a_cell_of_the_notebook_is_run_again(service):
    connection = FakeConnection()
    connection.hold = True
    session = Session(lambda: connection)
    spec = CellSpec(source="1", filename="f", text="1")
    session.remember(a_record(0, Sent(LOCAL.endpoint_id, spec, TaskOptions())))
    session.remember(a_record(1))
    service.tasks = {an_id(0): failed("KeyError"), an_id(1): failed("KeyError")}
    monitor = opened(TaskMonitor(session=session, service=service))
    await until(lambda: monitor.model.summary() == "2 failed")
    assert "not kept any more" in monitor.why_not_retry(monitor.model.row(an_id(1)))
    service.states = lambda ids: {task_id: service.tasks.get(task_id, told("running")) for task_id in ids}
    monitor.retry(an_id(0))
    await until(lambda: monitor.model.summary() == "1 running · 2 failed")
    assert connection.specs == [spec]
    monitor.close()


def test_inputs_are_forgotten_before_they_take_too_much_memory(monkeypatch):
    monkeypatch.setattr("funcx_jupyter.session.state._MOST_KEPT", 250)
    monkeypatch.setenv(VARIABLE, OFF)
    session = Session(FakeConnection)
    for number in range(3):
        spec = CellSpec(source="", filename="f", text="", values=b"x" * 100)
        session.remember(a_record(number, Sent(LOCAL.endpoint_id, spec, TaskOptions())))
    assert [record.sent is not None for record in session.tasks.values()] == [False, True, True]
    with pytest.raises(UsageError, match="Its inputs are not kept any more"):
        session.run_again(an_id(0))


# --- one task ----------------------------------------------------------------------------------------------------------


async def test_one_task_is_followed_to_its_end(service):
    service.log = [{"seq": 1, "kind": "stdout", "body": "half "}]
    view = opened(TaskView(an_id(0), service=service, clock=lambda: BEGIN + 10))
    await until(lambda: "half" in view.view._log.value)
    service.log.append({"seq": 2, "kind": "stdout", "body": "whole\n"})
    service.tasks[an_id(0)] = told("success", started=2.0, ended=5.0, completed=5.5)
    view.refresh_soon()
    await until(lambda: not view.is_polling)
    assert repr(view).splitlines() == [
        "✓ done · 5.5 s · theta · task 8000",
        "queue 2.0 s · run 3.0 s · transfer 0.5 s",
        "half whole",
    ]
    assert service.asked[-1] == ("events", an_id(0), 1)
    assert view.view._cancel.disabled
    view.freeze()
    assert "half whole" in view._repr_html_()
