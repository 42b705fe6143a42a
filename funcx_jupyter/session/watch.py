"""Waits for a cell's task in the main thread, so that its output lands in the running cell and ■ reaches it.

The stream's thread only appends to a `Mailbox`; everything the user sees is written here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from funcx_core.errors import TaskCancelled
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskEvent, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.display.player import Player
from funcx_jupyter.errors import CellInterrupted

TICK: Final = 0.1
"""Seconds after which a pressed ■ is noticed at the latest."""
PATIENCE: Final = 15.0
"""Seconds to wait for the end of a task that was told to stop: it gets SIGINT, SIGTERM after 5, SIGKILL after 10."""


class Mailbox:
    """A `TaskListener`: what the stream's thread hears of a task, for another thread to take.

    Args:
        news: set when there is something to take. Several mailboxes may share it.
    """

    def __init__(self, news: threading.Event | None = None) -> None:
        self.news = news or threading.Event()
        self.state = TaskState.RECEIVED
        self._events: deque[TaskEvent] = deque()

    def on_event(self, event: TaskEvent) -> None:
        """Take an event."""
        self._events.append(event)
        self.news.set()

    def on_state(self, state: TaskState) -> None:
        """Take a state."""
        self.state = state
        self.news.set()

    def on_end(self, _: object) -> None:
        """The task has ended, and all its events came before."""
        self.news.set()

    def take(self) -> list[TaskEvent]:
        """Return what has come since the last time."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def play(self, player: Player) -> None:
        """Let `player` show what has come. An interrupt in the middle of it loses nothing and repeats nothing."""
        waiting = list(self._events)
        player.play(waiting)
        for _ in waiting:
            self._events.popleft()


class Indicator(Protocol):
    """What tells the user how the task is doing."""

    def running(self, state: TaskState) -> None:
        """The task is in this state, still."""

    def stopping(self) -> None:
        """The user wants it to stop."""

    def detached(self) -> None:
        """Nobody waits for it any more, and it has not ended."""


class Watcher:
    """Follows one task until it ends or the user has had enough.

    Args:
        future, mailbox: of the task.
        player: shows what it prints.
        indicator: tells how it is doing.
        cancel: asks for its end.
        called: what the user calls it: ``3f2a on theta``.
        stream: whether output is shown while it runs.
        detaches: whether an interrupt only ends the waiting, and leaves the task alone.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        future: FuncXFuture,
        mailbox: Mailbox,
        player: Player,
        indicator: Indicator,
        *,
        cancel: Callable[[TaskId], None],
        called: str = "the task",
        stream: bool = True,
        detaches: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._future = future
        self._mailbox = mailbox
        self._player = player
        self._indicator = indicator
        self._cancel = cancel
        self._called = called
        self._stream = stream
        self._detaches = detaches
        self._clock = clock

    def wait(self) -> None:
        """Return when the task has ended by itself and all it has shown is shown.

        Raises:
            CellInterrupted: when the user interrupts: after the task has ended, or at once if they interrupt again.
        """
        try:
            self._follow(until=None)
        except KeyboardInterrupt:
            if self._detaches:
                self._indicator.detached()
                raise CellInterrupted(
                    f"Detached from {self._called}, which goes on. {self._how()}", self._task_id
                ) from None
            self._stop()

    def _follow(self, *, until: float | None) -> None:
        while not self._future.done() and (until is None or self._clock() < until):
            self._mailbox.news.wait(TICK)
            self._mailbox.news.clear()
            if self._stream:
                self._mailbox.play(self._player)
            if until is None:
                self._indicator.running(self._mailbox.state)
        self._mailbox.play(self._player)

    @property
    def _task_id(self) -> TaskId:
        task_id = self._future.task_id
        assert task_id is not None  # noqa: S101 - futures of submitted tasks have one
        return task_id

    def _how(self) -> str:
        short = self._called.partition(" ")[0]
        return f"`%funcx attach {short}` shows it again, `%funcx cancel {short}` stops it."

    def _stop(self) -> None:
        task_id = self._task_id
        self._cancel(task_id)
        try:
            self._indicator.stopping()
            self._follow(until=self._clock() + PATIENCE)
        except KeyboardInterrupt:
            self._indicator.detached()
            raise CellInterrupted(
                f"Detached from {self._called}, which was told to stop. {self._how()}", task_id
            ) from None
        if not self._future.done():
            self._indicator.detached()
            raise CellInterrupted(
                f"Told {self._called} to stop; it has not confirmed it yet. {self._how()}", task_id
            ) from None
        raise CellInterrupted(self._how_it_ended(), task_id) from None

    def _how_it_ended(self) -> str:
        error = self._future.exception()
        if error is None:
            short = self._called.partition(" ")[0]
            return f"Interrupted, but the task went on to its end. `%funcx result {short}` has its value, with -o also its variables."
        if isinstance(error, TaskCancelled) and "before it started" in str(error):
            return "Interrupted. The task had not started, and was not run."
        return "Interrupted. The task was stopped; its output so far is above."
