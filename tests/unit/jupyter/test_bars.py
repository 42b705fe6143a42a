"""Bars in a notebook: rows, their place, what an end and a clearing leave of them."""

import io
import json
import sys

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.progress import Bar, Progress, write_progress
from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display.bars import NotebookBars, TerminalBars, as_html, bundle
from funcx_jupyter.display.block import Block
from funcx_jupyter.display.player import Player

OUTER = Bar(id=1, n=1, total=4, description="outer <b>")
INNER = Bar(id=2, n=1, total=2, description="inner")


def event(seq, kind, body):
    if isinstance(body, Progress):
        body = write_progress(body).decode()
    body = json.dumps(body) if isinstance(body, dict) else body
    return TaskEvent(TaskId("t"), seq, kind, 0, body.encode())


def told(seq, *bars):
    return event(seq, EventKind.PROGRESS, Progress(bars=list(bars)))


class Output:
    """What a cell shows, in order."""

    def __init__(self):
        self.log = []

    def publish(self, data, _metadata, *, transient, update):
        self.log.append(("update" if update else "display", data["text/plain"]))

    def clear_output(self, *, wait):
        self.log.append(("clear", wait))

    def bars(self, shown, update):
        self.log.append(("bars again" if update else "bars", shown["text/plain"].splitlines()))


@pytest.fixture
def output():
    return Output()


@pytest.fixture
def player(output):
    bars = NotebookBars(output.bars, is_live=True)
    return Player(output, lambda: output.log.append("header"), bars)


def test_bars_have_one_place_and_move_there(player, output):
    player.play([told(1, OUTER), told(2, OUTER, INNER.closed())])
    player.play([event(3, EventKind.DISPLAY, {"data": {"text/plain": "figure"}}), told(4, OUTER)])
    outer = "outer <b>:  25%|██▌       | 1/4 [00:00<?, ?]"
    inner = "inner:  50%|█████     | 1/2 [00:00<?, ?] ✗"
    assert output.log == [
        ("bars", [outer]),
        ("bars again", [outer, inner]),
        ("display", "figure"),
        ("bars again", [outer]),
    ]


def test_what_is_open_at_the_end_of_its_task_has_ended_too(player, output):
    player.play([told(1, OUTER)])
    player.end(is_over=True)
    assert output.log[-1][1][0].endswith("✗")
    player.end(is_over=True)
    assert len(output.log) == 2


def test_a_task_that_goes_on_leaves_its_bars_as_they_are(player, output):
    player.play([told(1, OUTER)])
    player.end(is_over=False)
    assert len(output.log) == 1


def test_a_range_that_counts_its_calls_has_no_bars(player, output):
    player.play([event(1, EventKind.PROGRESS, Progress(n=1, total=2, id="range")), event(2, EventKind.PROGRESS, "?")])
    player.end(is_over=True)
    assert output.log == []


def test_output_that_is_to_be_replaced_stays_until_something_comes(player, output, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    player.play([told(1, OUTER, INNER.closed()), event(2, EventKind.CLEAR, {"wait": True})])
    assert [kind for kind, _ in output.log] == ["bars"]
    player.play([event(3, EventKind.UPDATE_DISPLAY, {"data": {"text/plain": "x"}})])
    player.play([event(4, EventKind.DISPLAY, {"data": {"text/plain": "new"}})])
    outer = ["outer <b>:  25%|██▌       | 1/4 [00:00<?, ?]"]
    assert output.log[1:] == [("update", "x"), ("clear", True), "header", ("bars", outer), ("display", "new")]
    player.play([told(5, OUTER, INNER.closed())])
    assert output.log[-1] == ("bars again", outer)


def test_output_that_is_cleared_at_once(player, output):
    player.play([event(1, EventKind.CLEAR, {"wait": False})])
    assert output.log == [("clear", False), "header"]


def test_where_nothing_can_be_changed_the_end_is_shown(output):
    player = Player(output, lambda: None, NotebookBars(output.bars, is_live=False))
    player.play([told(1, OUTER), told(2, OUTER)])
    assert output.log == []
    player.end(is_over=True)
    assert [kind for kind, _ in output.log] == ["bars"]


def test_a_line_in_a_terminal_makes_room_for_what_is_printed(output, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    player = Player(output, lambda: None, TerminalBars())
    player.play([told(1, OUTER), event(2, EventKind.STDOUT, "hello\n"), told(3, OUTER)])
    player.end(is_over=True)
    assert "[00:00<?, ?]\r\x1b[Khello\n\r\x1b[Kouter" in terminal.getvalue()
    assert terminal.getvalue().endswith("✗\n")


def test_rows_are_readable_without_eyes_and_without_colours():
    shown = as_html(Progress(bars=[OUTER, INNER.closed(), Bar(id=3, n=5)], more=2))
    assert "<b>" not in shown.replace("outer &lt;b&gt;", "")
    assert shown.count('role="progressbar"') == 3
    assert 'aria-label="outer &lt;b&gt;"' in shown
    assert 'aria-valuenow="25"' in shown
    assert 'aria-valuetext="50% 1/2 [00:00&lt;?, ?], stopped"' in shown
    assert shown.count("aria-valuenow") == 2
    assert "… 2 more bars" in shown
    assert bundle(Progress(bars=[OUTER]))["text/plain"] == "outer <b>:  25%|██▌       | 1/4 [00:00<?, ?]"


def test_bars_in_the_block_of_an_asynchronous_cell():
    block = Block("logs")
    block.feed(event(1, EventKind.STDOUT, "a\n"))
    block.feed(told(2, OUTER))
    block.feed(event(3, EventKind.STDOUT, "b\n"))
    block.feed(told(4, OUTER, INNER))
    assert block.as_bundle()["text/plain"].splitlines() == [
        "a",
        "outer <b>:  25%|██▌       | 1/4 [00:00<?, ?]",
        "inner:  50%|█████     | 1/2 [00:00<?, ?]",
        "b",
    ]
    assert block.end()
    assert block.as_bundle()["text/plain"].count("✗") == 2
    assert not block.end()
    assert not Block("logs").end()


def test_a_block_that_is_cleared_keeps_open_bars():
    block = Block("logs")
    block.feed(told(1, OUTER, INNER.closed()))
    block.feed(event(2, EventKind.CLEAR, {"wait": True}))
    block.feed(event(3, EventKind.STDOUT, "new\n"))
    block.feed(told(4, OUTER, INNER.closed()))
    assert block.as_bundle()["text/plain"] == "outer <b>:  25%|██▌       | 1/4 [00:00<?, ?]\nnew"
