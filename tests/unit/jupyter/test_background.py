"""What is shown of asynchronous cells, step by step, by a clock of the test's own."""

from __future__ import annotations

import threading

import pytest

from funcx_core.cells.spec import Bundle, CellOutcome
from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import EventKind, TaskError, TaskEvent, TaskResult, TaskState, event_seq
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.routes import Route
from funcx_core.sdk.trust import TrustingReader
from funcx_core.serialize import pack_value
from funcx_jupyter.display.header import Header
from funcx_jupyter.session.background import CHARACTERS_PER_SECOND, IDLE, SHORTEST, Background, LiveTask
from funcx_jupyter.session.followed import Followed, Watched
from funcx_jupyter.session.watch import Mailbox

TASK = TaskId("019a0000-0000-7000-8abc-000000000000")


class Screen:
    def __init__(self):
        self.headers, self.outputs = [], []

    def header(self, header):
        self.headers.append(header)

    def output(self, bundle):
        self.outputs.append(bundle["text/plain"])


class Case:
    """One task, its screen, and a clock that goes when it is told to."""

    def __init__(self):
        self.now = 100.0
        self.screen = Screen()
        self.ended = []
        self.mailbox = Mailbox()
        route = Route(EndpointId("e"), "g", reader=TrustingReader(lambda _: True))
        self.future = FuncXFuture(TASK, None, route, self.mailbox)
        task = Followed(task_id=TASK, endpoint="theta", endpoint_id=EndpointId("e"), outputs=["y"], sent_at=0.0)
        header = Header(endpoint="theta", task_id=TASK, outputs="y")
        watched = Watched(task, self.future, self.mailbox, header)
        self.live = LiveTask(
            watched,
            self.screen,
            lambda state, seconds: self.ended.append((state, seconds)),
            threading.Event(),
            lambda: self.now,
        )
        self._count = 0

    def print(self, text):
        self._count += 1
        self.mailbox.on_event(TaskEvent(TASK, event_seq(1, self._count), EventKind.STDOUT, 0, text.encode()))

    def refresh_at(self, now):
        self.now = now
        return self.live.refresh()

    def end(self, state=TaskState.SUCCESS, value=b"", error=None):
        self.future.end(TaskResult(TASK, 1, state, value, error))


@pytest.fixture
def case():
    return Case()


def test_prints_are_gathered_for_a_moment(case):
    case.print("one\n")
    assert case.refresh_at(100.0) == 100.0 + IDLE
    for number in range(10):
        case.print(f"{number}\n")
        assert case.refresh_at(100.0 + number / 1000) == pytest.approx(100.0 + SHORTEST, abs=0.01)
    assert case.screen.outputs == ["one"]
    case.refresh_at(100.2)
    assert len(case.screen.outputs) == 2
    assert case.screen.outputs[-1].endswith("8\n9")


def test_a_large_block_changes_less_often(case):
    case.mailbox.on_event(
        TaskEvent(TASK, event_seq(1, 1), EventKind.DISPLAY, 0, b'{"data": {"text/plain": "%b"}}' % (b"x" * 2_000_000))
    )
    case.refresh_at(100.0)
    case.print("more\n")
    assert case.refresh_at(100.5) == pytest.approx(100.0 + 2_000_000 / CHARACTERS_PER_SECOND, abs=0.1)


def test_the_clock_of_one_among_many_goes_slowly(case):
    case.mailbox.on_state(TaskState.RUNNING)
    for step in range(100):
        case.now = 101.0 + step / 10
        case.live.refresh(200)
    assert len(case.screen.headers) == 1


def test_its_end_shows_all_output_then_the_header_with_what_came_back(case):
    case.print("last words\n")
    outcome = CellOutcome(sizes=[5000], values=b"", shown=Bundle({"text/plain": "42"}))
    case.end(value=pack_value(encode(outcome)))
    assert case.refresh_at(102.0) is None
    assert case.screen.outputs == ["last words\n42"]
    assert case.ended == [(TaskState.SUCCESS, 2.0)]
    assert case.screen.headers[-1].as_text() == "theta · ✓ 2.0 s · out: y 5.0 kB · task 8abc"


def test_a_failure_is_shown_with_its_cause(case):
    case.end(TaskState.FAILED, error=TaskError(code="worker_lost", message="It died."))
    case.refresh_at(101.0)
    assert case.screen.outputs == ["WorkerLost: It died."]
    assert case.ended[0][0] is TaskState.FAILED


def test_a_lost_connection_is_not_the_end_of_the_task(case):
    case.future.fail(ServiceUnavailable("The stream was closed."))
    assert case.refresh_at(101.0) is None
    assert case.ended == []
    assert case.screen.headers[-1].status() == "connection lost; `%funcx attach 8abc`"


def test_one_that_cannot_be_shown_stops_no_other(case):
    class Gone(Screen):
        def header(self, header):
            raise OSError("The socket is closed.")

    broken = Case()
    broken.live._line._show = Gone().header
    background = Background()
    background.show(broken.live)
    background.show(case.live)
    for each in (broken, case):
        each.end(TaskState.CANCELLED, error=TaskError(code="task_cancelled", message="Stopped."))
    background.news.set()
    assert case.live.shown.wait(20)
    assert broken.live.shown.wait(20)
    assert case.ended[0][0] is TaskState.CANCELLED
