"""What is told of managers and of whose tasks there are, and how it is shown."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.manager import ManagerHeartbeat, ManagerRegister
from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import Function, Task, TaskOptions
from funcx_endpoint import control, endpoint_report
from funcx_endpoint.cli import main
from funcx_endpoint.control.messages import Hold, ManagerReport, Managers, QueueReport
from funcx_endpoint.endpoint_report import EndpointReport, lines
from funcx_endpoint.folder import Status
from funcx_endpoint.interchange.breakdown import get_status_report, queue_report
from funcx_endpoint.interchange.state import Interchange

F = Function("f", "f", b"body")


@pytest.fixture
def interchange():
    made = Interchange(heartbeat_period=1, heartbeat_threshold=1e9)
    register = ManagerRegister(
        manager_id="m", block_id="7", epoch=1, capacity=4, hostname="node1", pid=1, python_version="", version="",
        cores=4, memory_bytes=4, seconds_left=600.0,
    )  # fmt: skip
    made.receive("m", register, now=0, stamp=1)
    wide = TaskOptions(priority=3, resources=Resources(cores=3))
    tasks = [Task("w", 1, "f", b"p", wide, "ann"), *[Task(f"b{n}", 1, "f", b"p", None, "bob") for n in range(3)]]
    made.tasks(TaskBatch(tasks, [F]), now=60, stamp=5)
    made.tick(now=60, stamp=6)
    return made


def test_managers_and_tasks_are_counted(interchange):
    assert get_status_report(interchange) == [
        ManagerReport(
            manager_id="m", block_id="7", hostname="node1", workers=4, leased=2, is_held=False, slots=4, seconds_left=540.0
        )
    ]  # fmt: skip
    assert queue_report(interchange) == [
        QueueReport(owner="bob", priority=0, waiting=2, leased=1),
        QueueReport(owner="ann", priority=3, waiting=0, leased=1),
    ]
    assert interchange.get_outstanding_breakdown() == [("interchange", 2, True), ("m", 2, True)]
    assert interchange.get_total_live_workers() == 4
    assert interchange.get_total_tasks_outstanding() == 4


def test_they_are_shown_to_people(interchange):
    interchange.receive("m", ManagerHeartbeat(0, 4, load=3.52, memory_free=61_900_000_000), now=61, stamp=7)
    interchange.hold_manager("m")
    found = EndpointReport(
        id="id", state="running", detail="", name="theta", agent=Status(state="ok"), blocks={"7": "active"},
        managers=get_status_report(interchange), queue=queue_report(interchange), last_error=None, block_errors=None,
    )  # fmt: skip
    shown = lines(found)
    assert (
        "  manager   m on node1: block 7, 2 tasks in 4 of 4 workers, load 3.5, 61.9 GB of memory free, ends in 9 min, on hold"
        in shown
    )
    assert "  queue     2 waiting and 1 with managers, of user bob, priority 0" in shown


def test_a_long_queue_is_shown_by_its_head():
    many = [QueueReport(owner=f"u{n}", priority=0, waiting=1, leased=0) for n in range(endpoint_report.MOST_LINES + 5)]
    shown = endpoint_report._queue_lines(many)
    assert (len(shown), shown[-1]) == (endpoint_report.MOST_LINES + 1, "  queue     and of 5 more")


@pytest.fixture
def theta(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path))
    assert CliRunner().invoke(main, ["configure", "theta"]).exit_code == 0


@pytest.mark.usefixtures("theta")
@pytest.mark.parametrize(("command", "hold"), [("hold", True), ("release", False)])
def test_a_manager_is_held_by_a_command(command, hold, monkeypatch):
    asked = []

    def ask(folder, question, expected):
        asked.append((folder.name, question, expected))
        return Managers([ManagerReport(manager_id="m", block_id="0", hostname="h", workers=2, leased=1, is_held=hold)])

    monkeypatch.setattr(control.cli, "ask", ask)
    said = CliRunner().invoke(main, [command, "theta", "m"])
    assert asked == [("theta", Hold("m", hold), Managers)]
    assert said.output.startswith("Manager m on h is ")


@pytest.mark.usefixtures("theta")
def test_nobody_answers_for_an_endpoint_that_does_not_run():
    said = CliRunner().invoke(main, ["hold", "theta", "m"])
    assert said.exit_code == 1
    assert "The agent of endpoint 'theta' does not answer" in said.output
