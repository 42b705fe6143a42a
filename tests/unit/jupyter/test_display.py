"""The header line, output in order, sizes and times in words."""

from __future__ import annotations

import io
import json
import sys

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind, TaskEvent, TaskState, TaskTimes
from funcx_jupyter.capture.values import Captured, CapturedValue, Kind
from funcx_jupyter.display import words
from funcx_jupyter.display.bars import TerminalBars
from funcx_jupyter.display.header import TASK_MIME, Header, Timing, describe_inputs
from funcx_jupyter.display.header_line import HeaderLine
from funcx_jupyter.display.player import Player
from funcx_jupyter.session.outcome import timing_of

TASK = "01a2017d-75cc-7000-ac31-6f8368f3e371"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (5, "5 B"),
        (600, "0.6 kB"),
        (80_000, "80 kB"),
        (1_100_000, "1.1 MB"),
        (4_100_000_000, "4.1 GB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes(count, text):
    assert words.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(12, "00:12"), (754, "12:34"), (3723, "1:02:03")])
def test_running_times(seconds, text):
    assert words.clock(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.021, "0.02"), (0.3, "0.3"), (14.23, "14.2"), (754.1, "754")])
def test_times_that_are_over(seconds, text):
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "4 s ago"), (850, "14 min ago"), (7300, "2 h ago"), (300_000, "3 days ago")]
)
def test_how_long_ago(seconds, text):
    assert words.ago(seconds) == text


def test_a_running_cell():
    header = Header(
        endpoint="theta", task_id=TASK, state=TaskState.RUNNING, elapsed=12, inputs="df 1.1 MB, helper()", outputs="y"
    )
    assert header.as_text() == "theta · running 00:12 · in: df 1.1 MB, helper() · out: y · task ac31"


def test_a_cell_that_has_succeeded():
    header = Header(
        endpoint="theta",
        task_id=TASK,
        state=TaskState.SUCCESS,
        timing=Timing(14.2, 2.1, 11.8, 0.3),
        outputs="df 1.9 MB",
    )
    assert header.as_text() == "theta · ✓ 14.2 s (queue 2.1 · run 11.8 · transfer 0.3) · out: df 1.9 MB · task ac31"


def test_a_cell_that_was_stopped_before_it_ran():
    assert Header(endpoint="e", task_id=TASK, state=TaskState.CANCELLED, elapsed=3).status() == "■ stopped after 3.0 s"


def test_html_says_the_same_and_escapes():
    header = Header(endpoint="<b>", task_id=TASK, state=TaskState.FAILED, elapsed=1)
    assert "<b>&lt;b&gt;</b>" in header.as_html()
    assert "✗</span> failed after 1.0 s" in header.as_html()
    assert set(header.as_bundle()) == {"text/plain", "text/html", TASK_MIME}


def test_inputs_the_largest_first_code_with_parentheses():
    values = [
        CapturedValue("a", 10, Kind.VALUE),
        CapturedValue("f", 900, Kind.FUNCTION),
        CapturedValue("b", 2000, Kind.VALUE),
        CapturedValue("K", 900, Kind.CLASS),
        CapturedValue("dataclass", 30, Kind.IMPORTED),
    ]
    assert describe_inputs(Captured(values=values)) == "b 2.0 kB, a 10 B, f(), K"


def test_many_inputs_are_counted():
    values = [CapturedValue(f"v{n}", 100, Kind.VALUE) for n in range(9)]
    assert describe_inputs(Captured(values=values)) == "v0 0.1 kB, v1 0.1 kB, v2 0.1 kB, v3 0.1 kB, 5 more"


def test_a_service_that_is_away_is_told_in_the_header():
    shown, away = [], [None]
    line = HeaderLine(
        Header(endpoint="e", task_id=TASK, elapsed=1),
        lambda h: shown.append(h.status()),
        clock=lambda: 5.0,
        outage=lambda: away[0],
    )
    for seconds in (None, 0.4, 12.3, 12.4, 13.0, None):
        away[0] = seconds
        line.running(TaskState.RUNNING)
    assert shown == ["running 00:01", "reconnecting (12 s)", "reconnecting (13 s)", "running 00:01"]


def test_the_header_is_shown_again_once_a_second_and_on_change():
    shown, now = [], [0.0]
    line = HeaderLine(Header(endpoint="e", task_id=TASK), lambda h: shown.append(h.status()), clock=lambda: now[0])
    for now[0] in (0.1, 0.2, 0.3, 0.4, 1.1, 1.2):
        line.running(TaskState.RECEIVED if now[0] < 1.15 else TaskState.RUNNING)
    line.stopping()
    assert shown == ["sent 00:00", "sent 00:01", "running 00:01", "Cancelling ac31 on e (press ■ again to detach)"]


def test_the_parts_of_the_time_add_up_whatever_the_clocks_say():
    times = TaskTimes(started=50 * 10**9, ended=53 * 10**9)
    assert timing_of(times, sent_at=100.0, total=4.0) == Timing(4.0, 0.0, 3.0, 1.0)
    assert timing_of(times, sent_at=49.5, total=4.0) == Timing(4.0, 0.5, 3.0, 0.5)
    assert timing_of(TaskTimes(), sent_at=0, total=4.0) is None


class Published:
    def __init__(self):
        self.log = []

    def publish(self, data, metadata, *, transient, update):
        self.log.append(("update" if update else "show", data, transient))

    def clear_output(self, *, wait):
        self.log.append(("clear", wait))


def event(seq, kind, body):
    body = json.dumps(body) if isinstance(body, dict) else body
    return TaskEvent(TaskId(TASK), seq, kind, 0, body.encode())


def test_output_is_played_in_order_and_once(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    published = Published()
    monkeypatch.setattr(published, "publish", lambda data, *_a, **_k: out.write(f"<{data['text/plain']}>"))
    player = Player(published, lambda: None, TerminalBars())
    events = [
        event(1, EventKind.STDOUT, "a"),
        event(2, EventKind.STDOUT, "b\n"),
        event(3, EventKind.DISPLAY, {"data": {"text/plain": "figure"}}),
        event(4, EventKind.STDOUT, "c"),
    ]
    player.play(events[:3])
    player.play(events)
    assert out.getvalue() == "ab\n<figure>c"


def test_updates_clears_and_cuts(capsys):
    published, cleared = Published(), []
    Player(published, lambda: cleared.append(True), TerminalBars()).play(
        [
            event(1, EventKind.UPDATE_DISPLAY, {"data": {"a": 1}, "transient": {"display_id": "x"}}),
            event(2, EventKind.CLEAR, {"wait": True}),
            event(3, EventKind.STDERR, "warning"),
        ]
    )
    assert published.log == [("update", {"a": 1}, {"display_id": "x"}), ("clear", True)]
    assert cleared == [True]
    assert capsys.readouterr() == ("", "warning")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("import time\nfrom x import y\n\n# draw\nplt.plot()\nplt.show()", "plt.plot()"),
        ("  values = [1]\n", "values = [1]"),
        ("import numpy", "import numpy"),
        ("", ""),
    ],
)
def test_a_cell_is_known_by_its_first_line_that_says_something(source: str, shown: str) -> None:
    assert words.title(source) == shown


def test_a_header_tells_what_is_left_while_that_is_known():
    now, shown = [0.0], []
    first = Header(endpoint="e", task_id=TASK, expected=40.0)
    line = HeaderLine(first, lambda header: shown.append(header.status()), clock=lambda: now[0])
    for moment, state in [
        (1.0, TaskState.WAITING_FOR_LAUNCH),
        (3.0, TaskState.RUNNING),
        (13.0, TaskState.RUNNING),
        (60.0, TaskState.RUNNING),
    ]:
        now[0] = moment
        line.running(state)
    assert shown == [
        "waiting for a worker 00:01",
        "running 00:03 · ≈ 40 s left",
        "running 00:13 · ≈ 30 s left",
        "running 01:00",
    ]


def test_a_cell_of_magics_is_known_by_what_is_seen_of_it():
    source = "get_ipython().run_line_magic('matplotlib', 'widget')\nplt.plot()"
    assert words.title(source, "%%time\n%%funcx theta\n%matplotlib widget\nplt.plot()") == "%matplotlib widget"
    assert words.title("get_ipython().system('ls')", "%%funcx\n!ls") == "!ls"
    assert words.title("f(1)", "%funcx f(1)") == "f(1)"


def test_the_colour_of_a_state_is_that_of_its_glyph_alone():
    shown = Header(endpoint="theta", task_id="t", state=TaskState.SUCCESS, elapsed=1.0).as_html()
    assert ">✓</span> 1.0 s" in shown
