"""Keeps what is shown of asynchronous cells up to date, from one thread for all of them.

That thread does nothing but change things that have a display id, which land in their place whatever the kernel does meanwhile. It
never prints, and never makes a display: those would appear in whichever cell runs at the moment.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from funcx_core.cells.spec import CellOutcome, outcome_decoder
from funcx_core.errors import AuthRequired, FuncxError, RemoteProtocolError
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.serialize import RemoteInfo
from funcx_jupyter.display import words
from funcx_jupyter.display.block import Block
from funcx_jupyter.display.header import Header
from funcx_jupyter.display.header_line import HeaderLine
from funcx_jupyter.origin.facts import told
from funcx_jupyter.session.followed import Watched, name_upstream, why_unknown
from funcx_jupyter.session.opening import told_too_large
from funcx_jupyter.session.outcome import changed_there, describe_back, describe_wanted, end_state, sizes_of, timing_of

SHORTEST: Final = 0.1
"""Seconds between two changes of one block, at least."""
GATHERED: Final = SHORTEST / 4
"""Seconds between two looks at what has come, at least."""
CHARACTERS_PER_SECOND: Final = 500_000
"""What is put up of one block, at most: a large one changes less often."""
IDLE: Final = 0.5
"""Seconds after which the clocks of running tasks are looked at."""
CLOCKS_PER_SECOND: Final = 20
"""Header lines that are changed for the time alone, at most."""
logger = logging.getLogger("funcx")


class LiveScreen(Protocol):
    """What of an asynchronous cell can be changed after it. Both methods may be called by any thread."""

    def header(self, header: Header) -> None:
        """Change the header line."""

    def output(self, bundle: dict[str, str]) -> None:
        """Change the block of output."""


class LiveTask:
    """One task on the screen. Its methods are called by the background thread only; `shown` is set when there is no more to show."""

    def __init__(
        self,
        watched: Watched,
        screen: LiveScreen,
        on_end: Callable[[TaskState, float], None],
        shown: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_lost: Callable[[], None] = lambda: None,
        outage: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._task = watched.task
        self._future = watched.future
        self._mailbox = watched.mailbox
        self._screen = screen
        self._on_end = on_end
        self._on_lost = on_lost
        self.shown = shown
        self._clock = clock
        self._line = HeaderLine(watched.header, screen.header, clock, outage=outage)
        self._block = Block(f"%funcx logs {words.short_id(self._task.task_id)}")
        self._next_at = 0.0
        self._clock_at = 0.0
        self._is_changed = False
        self._origin: tuple[tuple[str, str], ...] = ()

    def refresh(self, crowd: int = 1) -> float | None:
        """Show what is new; return when to look again, None if the task has ended and all of it is shown.

        Args:
            crowd: how many tasks are shown: the clocks of many go more slowly.
        """
        is_over = self._future.done()  # asked first: all events came before
        for event in self._mailbox.take():
            self._block.feed(event)
            self._is_changed = True
        if is_over:
            self._end()
            return None
        if self._task.patience is not None:
            self._task.patience.look()
        now = self._clock()
        if self._is_changed and now >= self._next_at:
            self._put_up()
            self._next_at = now + max(SHORTEST, self._block.size / CHARACTERS_PER_SECOND)
        if now >= self._clock_at:
            self._line.running(self._mailbox.state)
            self._clock_at = now + crowd / CLOCKS_PER_SECOND
        return self._next_at if self._is_changed else now + IDLE

    def _put_up(self) -> None:
        self._is_changed = False
        self._screen.output(self._block.as_bundle())

    def _end(self) -> None:
        if reason := _why_unknown(self._future):
            self._on_lost()
            short = words.short_id(self._task.task_id)
            first = "`%funcx login`, then " if isinstance(self._future.exception(), AuthRequired) else ""
            self._line.change(note=f"{reason}; {first}`%funcx attach {short}`")
            return
        self._is_changed |= self._block.end()
        state, outputs = self._take_in()
        if self._is_changed:
            self._put_up()
        total = self._line.elapsed if self._task.took is None else self._task.took
        timing = timing_of(self._future.times, sent_at=self._task.sent_at, total=total)
        self._on_end(state, total if timing is None else timing.run)
        self._line.change(state=state, elapsed=total, timing=timing, note="", outputs=outputs, origin=self._origin)

    def _take_in(self) -> tuple[TaskState, str]:
        """Put the end of the output into the block; return how the task ended and what can be had of it."""
        wanted = describe_wanted(self._task.outputs, self._task.refs, self._task.endpoint)
        if self._future.cancelled():
            return TaskState.CANCELLED, wanted
        if self._future.is_to_be_fetched:
            return TaskState.SUCCESS, wanted  # Nobody has asked for the large value: it stays where it is.
        error = self._future.exception()
        if error is not None:
            name_upstream(error, self._task)
            self._block.print(_told(error), "stderr")
            self._is_changed = True
            return end_state(error), wanted
        outcome = _outcome(self._future.result())
        if outcome is None:
            return TaskState.SUCCESS, wanted
        self._origin = told(outcome)
        if outcome.shown is not None:
            self._block.show(outcome.shown.data)
            self._is_changed = True
        for line in told_too_large(outcome.kept, self._task):
            self._block.print(f"{line}\n", "stderr")
            self._is_changed = True
        if outcome.changed:
            self._block.print(f"{changed_there(outcome.changed)}\n", "stderr")
            self._is_changed = True
        sizes = sizes_of(outcome, self._task.outputs)
        return TaskState.SUCCESS, describe_back(sizes, outcome.kept, self._task.endpoint) or wanted


def _why_unknown(future: FuncXFuture) -> str:
    """Return why nothing more is heard of the task, which may go on; nothing if it has ended."""
    return "" if future.cancelled() or future.is_to_be_fetched else why_unknown(future.exception())


def _told(error: BaseException) -> str:
    remote = getattr(error, "funcx", None)
    if isinstance(remote, RemoteInfo) and remote.traceback and not isinstance(error, FuncxError):
        return remote.traceback.rstrip("\n") + "\n"
    return f"{type(error).__name__}: {error}\n"


def _outcome(value: Any) -> CellOutcome | None:
    try:
        return outcome_decoder.decode(value if isinstance(value, bytes) else b"")
    except RemoteProtocolError:
        return None


def _refreshed(live: LiveTask, crowd: int) -> float | None:
    try:
        at = live.refresh(crowd)
    except Exception:
        # The front end may be gone, and with it the sockets; the other tasks are to be shown all the same.
        logger.exception("A task cannot be shown any more; `%%funcx attach` shows it again.")
        at = None
    if at is None:
        live.shown.set()
    return at


class Background:
    """The thread. It is started by the first task, and ends with the last."""

    def __init__(self) -> None:
        self.news = threading.Event()
        self._live: list[LiveTask] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def show(self, live: LiveTask) -> None:
        """Keep this task up to date from now on."""
        with self._lock:
            self._live.append(live)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="funcx-display", daemon=True)
                self._thread.start()
        self.news.set()

    def _run(self) -> None:
        while True:
            begun = time.monotonic()
            self.news.clear()
            with self._lock:
                live = list(self._live)
            due = [(each, _refreshed(each, len(live))) for each in live]
            with self._lock:
                ended = {id(each) for each, at in due if at is None}
                self._live = [each for each in self._live if id(each) not in ended]
                if not self._live:
                    self._thread = None
                    return
            at = min((at for _, at in due if at is not None), default=0.0)
            self.news.wait(max(0.0, at - time.monotonic()))
            # What comes all the time is gathered up, what comes after a while is seen at once.
            if (early := begun + GATHERED - time.monotonic()) > 0:
                time.sleep(early)
