"""What a task prints and shows, as records."""

from __future__ import annotations

import json
import sys

import pytest

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind
from funcx_core.protocol.worker import Output
from funcx_endpoint.worker import capture as module
from funcx_endpoint.worker.capture import Capture, emit

OUT, ERR, DISPLAY = EventKind.STDOUT, EventKind.STDERR, EventKind.DISPLAY


@pytest.fixture
def sent() -> list[Output]:
    return []


@pytest.fixture
def capture(sent: list[Output], monkeypatch: pytest.MonkeyPatch) -> Capture:
    monkeypatch.setattr(module, "LINGER", 30.0)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(module, "_active", None)
    made = Capture(sent.append, max_output=1000, max_event=500)
    made.begin(TaskId("t"))
    return made


def seen(sent: list[Output]) -> list[tuple[EventKind, bytes]]:
    return [(output.kind, output.body) for output in sent]


def test_a_first_line_is_sent_at_once_and_the_next_ones_together(capture: Capture, sent: list[Output]) -> None:
    print("one", file=capture.stdout)
    assert seen(sent) == [(OUT, b"one\n")]
    print("two", file=capture.stdout)
    print("three", file=capture.stdout)
    assert len(sent) == 1
    capture.end()
    assert seen(sent) == [(OUT, b"one\n"), (OUT, b"two\nthree\n")]


def test_streams_and_displays_keep_their_order(capture: Capture, sent: list[Output]) -> None:
    capture.stdout.write("a")
    capture.stderr.write("b")
    capture.stdout.write("c")
    capture.emit(DISPLAY, b"{}")
    capture.stdout.write("d")
    capture.end()
    assert seen(sent) == [(OUT, b"a"), (ERR, b"b"), (OUT, b"c"), (DISPLAY, b"{}"), (OUT, b"d")]


def test_output_over_the_limit_keeps_its_head_and_says_what_was_dropped(capture: Capture, sent: list[Output]) -> None:
    for _ in range(300):
        capture.stdout.write("äbc\n")
    capture.end()
    text = b"".join(output.body for output in sent[:-2])
    assert text == "äbc\n".encode() * 200
    assert seen(sent)[-2:] == [(EventKind.TRUNCATED, b'{"bytes": 375, "lines": 75}'), (OUT, "äbc\n".encode() * 25)]


def test_nothing_is_kept_after_the_limit_however_much_comes(capture: Capture, sent: list[Output]) -> None:
    for _ in range(5):
        capture.stdout.write("x" * 5000)
    capture.end()
    assert seen(sent) == [
        (OUT, b"x" * 1000),
        (EventKind.TRUNCATED, b'{"bytes": 23875, "lines": 0}'),
        (OUT, b"x" * 125),
    ]


def test_a_little_too_much_is_sent_all_the_same(capture: Capture, sent: list[Output]) -> None:
    capture.stdout.write("x" * 1000)
    capture.stderr.write("last\n")
    capture.end()
    assert seen(sent) == [(OUT, b"x" * 1000), (ERR, b"last\n")]


def test_the_end_of_both_streams_begins_with_a_line(capture: Capture, sent: list[Output]) -> None:
    capture.stdout.write("x" * 990)
    for n in range(1000):
        (capture.stderr if n % 2 else capture.stdout).write(f"line {n}\n")
    capture.end()
    place = [kind for kind, _ in seen(sent)].index(EventKind.TRUNCATED)
    (_, told), *end = seen(sent)[place:]
    text = b"".join(body for _, body in end).decode()
    assert text.startswith("line 98")
    assert text.endswith("line 998\nline 999\n")
    assert 100 < len(text) <= 125
    assert {kind for kind, _ in end} == {OUT, ERR}
    assert json.loads(told)["lines"] == 1000 - 1 - text.count("\n")


def test_the_limit_is_per_task(capture: Capture, sent: list[Output]) -> None:
    capture.stdout.write("x" * 2000)
    capture.end()
    capture.begin(TaskId("u"))
    capture.stdout.write("y")
    capture.end()
    assert sent[-1] == Output(TaskId("u"), OUT, sent[-1].at, b"y")


def test_long_text_is_cut_between_characters(sent: list[Output], monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture(sent.append, max_output=10**6, max_event=10)
    capture.begin(TaskId("t"))
    text = "€" * 50_000
    capture.stdout.write(text)
    capture.end()
    assert len(sent) > 1
    assert "".join(output.body.decode() for output in sent) == text


def test_bytes_written_to_the_buffer_become_text(capture: Capture, sent: list[Output]) -> None:
    euro = "€".encode()
    capture.stdout.buffer.write(euro[:1])
    capture.stdout.buffer.write(euro[1:])
    capture.end()
    assert b"".join(output.body for output in sent) == euro


def test_an_event_over_the_limit_is_dropped_and_counted(capture: Capture, sent: list[Output]) -> None:
    capture.emit(DISPLAY, b"x" * 501)
    capture.end()
    assert seen(sent) == [(EventKind.TRUNCATED, b'{"bytes": 501, "lines": 0}')]


def test_between_tasks_and_outside_of_workers_nothing_happens(capture: Capture, sent: list[Output]) -> None:
    emit(DISPLAY, b"{}")
    capture.end()
    capture.stdout.write("late\n")
    capture.emit(DISPLAY, b"{}")
    assert sent == []


def test_emit_reaches_the_installed_capture(capture: Capture, sent: list[Output]) -> None:
    capture.install()
    print("shown")
    emit(DISPLAY, b"{}")
    assert seen(sent) == [(OUT, b"shown\n"), (DISPLAY, b"{}")]


def test_a_stream_looks_like_one(capture: Capture) -> None:
    stream = capture.stdout
    assert (stream.encoding, stream.isatty(), stream.fileno(), stream.writable()) == ("utf-8", False, 1, True)
    with pytest.raises(TypeError):
        stream.write(b"bytes")  # type: ignore[arg-type]
    stream.close()
    assert stream.write("still open") == 10
