"""How much of what a cell prints is shown."""

import json

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display.bars import TerminalBars
from funcx_jupyter.display.block import Block
from funcx_jupyter.display.cap import Cap, Hidden, hidden_line
from funcx_jupyter.display.player import Player

MORE = "%funcx logs 3f2a"


def event(seq, kind, body):
    body = json.dumps(body) if isinstance(body, dict) else body
    return TaskEvent(TaskId("t"), seq, kind, 0, body.encode())


def test_the_line():
    assert hidden_line(120_340, MORE) == "… 120 340 lines hidden — `%funcx logs 3f2a`"
    assert hidden_line(1, MORE) == "… 1 line hidden — `%funcx logs 3f2a`"
    assert hidden_line(0, MORE, size=5_000) == "… 5 000 bytes hidden — `%funcx logs 3f2a`"


def test_what_fits_is_shown_and_of_the_rest_the_end():
    cap = Cap(MORE, most=100, end=30)
    shown = "".join(cap.take("stdout", f"line {n}\n") for n in range(1000))
    assert shown == "".join(f"line {n}\n" for n in range(15))[:100]
    assert cap.is_hiding
    assert "lines hidden" in cap.line()
    line, end = cap.finish()
    text = "".join(text for _, text in end)
    assert text == "line 997\nline 998\nline 999\n"
    kept = shown.count("\n") + text.count("\n")
    assert line == f"… {1000 - kept} lines hidden — `{MORE}`"


def test_a_little_too_much_is_shown_at_the_end_and_nothing_is_hidden():
    cap = Cap(MORE, most=10, end=30)
    assert cap.take("stdout", "0123456789ab\n") == "0123456789"
    assert cap.take("stderr", "c\n") == ""
    assert cap.finish() == ("", [("stdout", "ab\n"), ("stderr", "c\n")])


def test_what_the_endpoint_left_out_counts_too():
    cap = Cap(MORE, most=10, end=30)
    cap.take("stdout", "0123456789a\nb\n")
    cap.left_out(100, 1000)
    cap.take("stdout", "end\n")
    assert cap.finish() == (f"… 102 lines hidden — `{MORE}`", [("stdout", "end\n")])


def test_what_is_cleared_does_not_count():
    cap = Cap(MORE, most=10)
    for _ in range(5):
        assert cap.take("stdout", "12345678") == "12345678"
        cap.cleared()
    assert not cap.is_hiding


@pytest.fixture
def log():
    return []


@pytest.fixture
def player(log):
    hidden = Hidden(Cap(MORE, most=20, end=20), lambda *told: log.append(told), clock=lambda: 7.0)
    return Player(None, lambda: None, TerminalBars(), hidden=hidden)  # type: ignore[arg-type]


def test_the_line_stands_between_the_beginning_and_the_end(player, log, capsys):
    text = "".join(f"line {n}\n" for n in range(100))
    player.play([event(1, EventKind.STDOUT, text)])
    assert log == [("… 98 lines hidden — `%funcx logs 3f2a`", True, False)]
    assert capsys.readouterr().out == text[:20]
    player.play([event(2, EventKind.STDERR, "oops\n")])
    assert len(log) == 1  # once a second
    player.end(is_over=True)
    assert log[1:] == [("… 97 lines hidden — `%funcx logs 3f2a`", False, True)]
    assert capsys.readouterr() == ("line 99\n", "oops\n")


def test_an_endpoint_that_keeps_less(player, log, capsys):
    player.play(
        [
            event(1, EventKind.STDOUT, "first\n"),
            event(2, EventKind.TRUNCATED, {"bytes": 9000, "lines": 1234}),
            event(3, EventKind.STDOUT, "last\n"),
        ]
    )
    player.end(is_over=True)
    assert log == [(f"… 1 234 lines hidden — `{MORE}`", True, False), (f"… 1 234 lines hidden — `{MORE}`", False, True)]
    assert capsys.readouterr().out == "first\nlast\n"


def test_in_a_block():
    block = Block(MORE)
    block.feed(event(1, EventKind.STDOUT, "first\n"))
    block.feed(event(2, EventKind.TRUNCATED, {"bytes": 9000, "lines": 1234}))
    block.feed(event(3, EventKind.STDOUT, "last\n"))
    assert block.as_bundle()["text/plain"] == f"first\n\n… 1 234 lines hidden — `{MORE}`\nlast"
