"""What a running task prints, shows and reports, sent to the manager in order.

Theory of operation. `sys.stdout` and `sys.stderr` of a worker are `Stream`s. What is written to them is gathered and sent
as `Output` records: at once on a newline if nothing was sent for 20 ms, else within 50 ms by a thread that is started when
it is first needed. Displays (`emit`) are sent at once, after what was printed before them; so is progress, which `bars` gathers; a result
is sent after everything else. So one order holds for all a task shows. A task that prints nothing costs nothing here.

At most `max_output` bytes of text per task are sent, from the start. Of what comes after that the last part is sent when the task
ends, after how much was left out in between.
Output of C code on the file descriptors 1 and 2 does not come by here: the manager reads those pipes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind
from funcx_core.protocol.worker import Output
from funcx_endpoint.worker.bars.hooks import Bars
from funcx_endpoint.worker.overflow import Overflow
from funcx_endpoint.worker.streams import DESCRIPTORS, Stream

QUIET: Final = 0.02
"""A line is sent at once if nothing was sent for so long (seconds)."""
LINGER: Final = 0.05
"""Text waits no longer than this to be sent (seconds)."""
RECORD: Final = 32 * 1024
"""Text is sent when so many bytes have gathered."""

TAIL: Final = 4 * 1024
"""Bytes of the end of the standard output that go home with an exception."""
END: Final = 16 * 1024
"""Bytes of the end of a text that is too long."""
_END_PART: Final = 8
"""The end is at most this part of what is kept."""


def emit(kind: EventKind, body: bytes) -> None:
    """Send an event of the running task to its user, after what it has printed so far.

    Safe from any thread. Outside of a worker, and between tasks, nothing happens.

    Args:
        kind: what the event is.
        body: as `TaskEvent.body` says: a JSON object in UTF-8 for displays and progress.
    """
    if _active is not None:
        _active.emit(kind, body)


def bars() -> Bars | None:
    """Return the progress bars of the running task; None outside of a worker."""
    return None if _active is None else _active.bars


def printed_tail(size: int) -> str:
    """Return the end of what the running task has printed to its standard output, at most `size` characters."""
    return "" if _active is None else _active.tail()[-size:]


def is_capturing() -> bool:
    """Whether a task runs in this process whose events reach a user."""
    return _active is not None and _active.task_id is not None


def running_task() -> TaskId | None:
    """Return the task that runs in this process, if its events reach a user."""
    return None if _active is None else _active.task_id


@contextmanager
def diverted(to: Callable[[EventKind, bytes], None]) -> Iterator[None]:
    """Within this, what the running task prints and shows, but for its progress, goes to `to` instead of its user: the kind of event, and its body.

    Outside of a worker nothing is diverted. Output of C code is not, either.
    """
    capture = _active
    if capture is None:
        yield
        return
    capture.flush()
    capture.divert(to)
    try:
        yield
    finally:
        capture.divert(None)


class Capture:
    """Gathers what the task between `begin` and `end` shows, and gives it to `send` as `Output` records."""

    def __init__(self, send: Callable[[Output], None], *, max_output: int, max_event: int) -> None:
        self._send = send
        self._max_output = max_output
        self._max_event = max_event
        self._lock = threading.RLock()  # reentrant: a signal handler may print while this thread is in `write`
        self._pieces: list[bytes] = []
        self._kind = EventKind.STDOUT
        self._size = 0
        self._room = max_output
        self._dropped = 0
        self._overflow: Overflow | None = None
        self._sent_at = 0.0
        self._tail = b""
        self._flusher_wanted = threading.Event()
        self._flusher: threading.Thread | None = None
        self._forked = False
        self._diverted: Callable[[EventKind, bytes], None] | None = None
        self.task_id: TaskId | None = None
        self.stdout = Stream(self, EventKind.STDOUT)
        self.stderr = Stream(self, EventKind.STDERR)
        self.bars = Bars(lambda body: self.emit(EventKind.PROGRESS, body), self._is_heard)

    def install(self) -> None:
        """Become this process' `sys.stdout` and `sys.stderr`, and what `emit` uses."""
        global _active  # noqa: PLW0603 - one worker per process
        _active = self
        self.restore_streams()
        self.bars.install()

    def restore_streams(self) -> None:
        """Put the streams back in place, if a task replaced them."""
        if sys.stdout is not self.stdout:
            sys.stdout = self.stdout
        if sys.stderr is not self.stderr:
            sys.stderr = self.stderr

    def begin(self, task_id: TaskId) -> None:
        """From now on, what is shown belongs to this task."""
        self._room = self._max_output
        self._dropped = 0
        self._tail = b""
        self._overflow = None
        self.task_id = task_id

    def end(self) -> None:
        """The task has ended: send what is left. Call before its result is sent."""
        self.bars.finish()
        if self._pieces or self._dropped or self._overflow is not None:
            self._finish()
        self.task_id = None

    def _finish(self) -> None:
        with self._lock:
            self._flush()
            overflow, self._overflow = self._overflow, None
            end = [] if overflow is None else overflow.finish()
            dropped, lines = (0, 0) if overflow is None else (overflow.bytes, overflow.lines)
            if self._dropped + dropped:
                self._record(EventKind.TRUNCATED, b'{"bytes": %d, "lines": %d}' % (self._dropped + dropped, lines))
            self._room = sum(len(text) for _, text in end)
            for kind, text in end:
                self._gather(kind, text)
            self._flush()

    def divert(self, to: Callable[[EventKind, bytes], None] | None) -> None:
        """Give what is shown from now on to `to`; None to send it as usual. See the function `diverted`."""
        with self._lock:
            self._diverted = to

    def write(self, kind: EventKind, text: bytes) -> None:
        """Take UTF-8 text that the task wrote to a stream."""
        if self._forked:
            _write_all(DESCRIPTORS[kind], text)
            return
        with self._lock:
            if self.task_id is None:
                return
            if self._diverted is not None:
                self._diverted(kind, text)
                return
            if len(text) > self._room:
                text = self._cut(kind, text)
            if text:
                self._gather(kind, text)

    def _cut(self, kind: EventKind, text: bytes) -> bytes:
        kept = _whole_characters(text[: self._room])
        if self._overflow is None:
            self._overflow = Overflow(min(END, self._max_output // _END_PART))
        self._overflow.add(kind, text[len(kept) :])
        self._room = len(kept)  # Nothing is left when it has been gathered.
        return kept

    def _gather(self, kind: EventKind, text: bytes) -> None:
        if kind is not self._kind:
            self._flush()
            self._kind = kind
        self._room -= len(text)
        self._size += len(text)
        self._pieces.append(text)
        if self._size >= RECORD or (b"\n" in text and time.monotonic() - self._sent_at > QUIET):
            self._flush()
        else:
            self._flush_soon()

    def emit(self, kind: EventKind, body: bytes) -> None:
        """See the function `emit`."""
        with self._lock:
            if self.task_id is None or self._forked:
                return
            if self._diverted is not None and kind is not EventKind.PROGRESS:
                self._diverted(kind, body)
                return
            self._flush()
            if len(body) > self._max_event:
                self._dropped += len(body)
                return
            self._record(kind, body)

    def flush(self) -> None:
        """Send what has gathered."""
        with self._lock:
            self._flush()

    def tail(self) -> str:
        """Return the end of what the task has printed to its standard output, after sending what has gathered."""
        with self._lock:
            self._flush()
            return self._tail.decode(errors="replace")

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        while len(text) > RECORD:
            head = _whole_characters(text[:RECORD])
            self._record(self._kind, head)
            text = text[len(head) :]
        self._record(self._kind, text)

    def _record(self, kind: EventKind, body: bytes) -> None:
        if kind is EventKind.STDOUT:
            self._tail = body if len(body) >= TAIL else (self._tail + body)[-TAIL:]
        if self.task_id is not None:
            self._send(Output(self.task_id, kind, time.time_ns(), body))
            self._sent_at = time.monotonic()

    def _flush_soon(self) -> None:
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush_late, name="funcx-output", daemon=True)
            self._flusher.start()
        self._flusher_wanted.set()

    def _flush_late(self) -> None:
        while True:
            self._flusher_wanted.wait()
            self._flusher_wanted.clear()
            time.sleep(LINGER)
            self.flush()

    def after_fork(self) -> None:
        """In a child that the task forked: it has no way to the manager but the pipes of its file descriptors."""
        self._forked = True
        self._pieces.clear()
        self._lock = threading.RLock()
        self.bars.board.abandon()

    def _is_heard(self, stream: Any) -> bool:
        return self.task_id is not None and not self._forked and (stream is self.stdout or stream is self.stderr)


_active: Capture | None = None


def _whole_characters(text: bytes) -> bytes:
    """Return UTF-8 `text` without a character that was cut at its end."""
    return text.decode(errors="ignore").encode()


def _write_all(descriptor: int, text: bytes) -> None:
    try:
        while text:
            text = text[os.write(descriptor, text) :]
    except OSError:  # The manager is gone, or the child closed its output.
        return
