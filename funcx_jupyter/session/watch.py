"""Waits for a cell's task in the main thread, so that its output lands in the running cell and ■ reaches it.

The stream's thread only appends to a `Mailbox`; everything the user sees is written here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskEvent, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.display.player import Player
from funcx_jupyter.errors import CellInterrupted

TICK: Final = 0.1
"""Seconds after which a pressed ■ is noticed at the latest."""
PATIENCE: Final = 12.0
"""Seconds to wait for the end of a task that was told to stop: it gets SIGINT, SIGTERM, then SIGKILL."""


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


class Watcher:
    """Follows one task until it ends or the user has had enough."""

    def __init__(
        self,
        future: FuncXFuture,
        mailbox: Mailbox,
        player: Player,
        indicator: Indicator,
        *,
        cancel: Callable[[TaskId], None],
        stream: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._future = future
        self._mailbox = mailbox
        self._player = player
        self._indicator = indicator
        self._cancel = cancel
        self._stream = stream
        self._clock = clock

    def wait(self) -> None:
        """Return when the task has ended by itself and all it has shown is shown.

        Raises:
            CellInterrupted: when the user interrupts: after the task has ended, or at once if they interrupt again.
        """
        try:
            self._follow(until=None)
        except KeyboardInterrupt:
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

    def _stop(self) -> None:
        task_id = self._future.task_id
        assert task_id is not None  # noqa: S101 - futures of submitted tasks have one
        self._cancel(task_id)
        self._indicator.stopping()
        try:
            self._follow(until=self._clock() + PATIENCE)
        except KeyboardInterrupt:
            raise CellInterrupted(
                f"Detached. The task goes on until it stops by itself; `%funcx status` lists it, task {task_id}.",
                task_id,
            ) from None
        if not self._future.done():
            raise CellInterrupted(f"Asked task {task_id} to stop; it has not confirmed it yet.", task_id) from None
        raise CellInterrupted("Interrupted. The task was stopped; its output so far is above.", task_id) from None
