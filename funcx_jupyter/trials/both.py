"""Runs a cell at both ends, and compares what came of it: ``%%funcx --compare``."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Protocol

from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.errors import CellInterrupted
from funcx_jupyter.options.cell import CellOptions
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.followed import Watched
from funcx_jupyter.session.following import Following, LineScreen
from funcx_jupyter.session.outcome import Finished, timing_of
from funcx_jupyter.session.prepare import PreparedCell, with_pieces_inside
from funcx_jupyter.session.recall import CellPlace
from funcx_jupyter.session.run import CellRun
from funcx_jupyter.session.staging_line import StagingLine
from funcx_jupyter.session.state import Session
from funcx_jupyter.session.upstream import check_there_none
from funcx_jupyter.session.watch import Mailbox
from funcx_jupyter.trials.comparison import Comparison, Side
from funcx_jupyter.trials.here import HERE, Shown, run_here


class Captured(Protocol):
    """What was written meanwhile."""

    @property
    def stdout(self) -> str:
        """To stdout."""


class Taken:
    """What `swallowed` took."""

    def __init__(self) -> None:
        self._written = io.StringIO()

    @property
    def stdout(self) -> str:
        """What was written to stdout."""
        return self._written.getvalue()

    @property
    def stream(self) -> io.StringIO:
        """Where it is written to."""
        return self._written


@contextmanager
def swallowed() -> Iterator[Taken]:
    """Within this, nothing is printed."""
    taken = Taken()
    with redirect_stdout(taken.stream), redirect_stderr(io.StringIO()):
        yield taken


Swallow = Callable[[], AbstractContextManager[Captured]]
"""Keeps what is printed and shown from the screen."""


class RecordingMailbox(Mailbox):
    """A mailbox that remembers what the task has printed."""

    def __init__(self) -> None:
        super().__init__()
        self._written: list[bytes] = []

    def on_event(self, event: TaskEvent) -> None:
        """Take an event."""
        if event.kind is EventKind.STDOUT:
            self._written.append(event.body)
        super().on_event(event)

    @property
    def printed(self) -> str:
        """What it has written to stdout."""
        return b"".join(self._written).decode(errors="replace")


class RunBoth:
    """One run of one cell with `--compare`. Call `run`, once.

    Args:
        session: of the kernel.
        endpoint: the other end.
        prepared: the cell.
        options: what the user asked for.
        shown: makes of its value what it looks like.
        swallow: keeps what the cell prints and shows here from the screen; what it does there is seen.
    """

    def __init__(  # noqa: PLR0917 - a cell, and its two ends
        self,
        session: Session,
        endpoint: Endpoint,
        prepared: PreparedCell,
        options: CellOptions,
        shown: Shown,
        swallow: Swallow = swallowed,
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._prepared = prepared
        self._options = options
        self._shown = shown
        self._swallow = swallow

    def run(self, namespace: dict[str, Any], place: CellPlace, screen: LineScreen) -> Finished:
        """Return the comparison, as the value of the cell; the outputs in `namespace` are those of the endpoint, if it succeeded there.

        Raises:
            CellInterrupted: the user stopped it.
            CaptureError: the cell uses a value that is on an endpoint.
            FuncxError: it cannot be sent.
        """
        check_there_none(self._prepared.captured.remote)
        mailbox = RecordingMailbox()
        stage = StagingLine(lambda header, first: screen.header(header, first=first, last=False))
        sent = CellRun(self._session, self._endpoint, self._prepared, self._options)
        watched = sent.begin(place, screen, mailbox, stage)
        try:
            here = self._here(namespace)
        except KeyboardInterrupt:
            task_id = watched.task.task_id
            self._session.connection.cancel(task_id)
            raise CellInterrupted(f"Interrupted here. Asked task {task_id} to stop, too.", task_id) from None
        there = self._there(watched, mailbox, namespace, screen)
        return Finished({}, {}, None, Comparison(here, there), is_plain=True)

    def _here(self, namespace: dict[str, Any]) -> Side:
        finished = error = None
        begun = time.monotonic()
        with self._swallow() as taken, _without_figures():
            try:
                spec = with_pieces_inside(self._prepared.spec, self._prepared.captured)
                finished = run_here(spec, namespace, self._shown, self._options.walltime)
            except Exception as raised:  # noqa: BLE001 - what the cell raises may be anything, and is part of the comparison
                error = raised
        seconds = time.monotonic() - begun
        return Side(HERE, finished, error, taken.stdout, seconds, seconds)

    def _there(
        self, watched: Watched, mailbox: RecordingMailbox, namespace: dict[str, Any], screen: LineScreen
    ) -> Side:
        finished = error = None
        try:
            finished = Following(self._session, watched, screen).run(namespace)
        except Exception as raised:  # noqa: BLE001 - as above
            error = raised
        total = max(0.0, time.time() - watched.task.sent_at)
        timing = timing_of(watched.future.times, sent_at=watched.task.sent_at, total=total)
        run = total if timing is None else timing.run
        return Side(watched.task.endpoint, finished, error, mailbox.printed, run, total)


@contextmanager
def _without_figures() -> Iterator[None]:
    """Close the figures that are made within this: those of the endpoint are shown."""
    before = _figures()
    try:
        yield
    finally:
        for number in _figures() - before:
            sys.modules["matplotlib.pyplot"].close(number)


def _figures() -> set[int]:
    plt = sys.modules.get("matplotlib.pyplot")
    return set() if plt is None else set(plt.get_fignums())
