"""Follows one task in the main thread, from whenever it was sent to its end, and takes in what comes back."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.display.bars import BarsView
from funcx_jupyter.display.cap import Cap, Hidden
from funcx_jupyter.display.header import Header
from funcx_jupyter.display.header_line import HeaderLine
from funcx_jupyter.display.player import Player, Publisher
from funcx_jupyter.errors import CellInterrupted
from funcx_jupyter.session.followed import Watched, why_unknown
from funcx_jupyter.session.opening import opened, told_too_large
from funcx_jupyter.session.outcome import Finished, changed_there, describe_back, end_state, timing_of
from funcx_jupyter.session.patience import Patience
from funcx_jupyter.session.presentable import Arranger, presentable
from funcx_jupyter.session.state import Session
from funcx_jupyter.session.watch import Indicator, Watcher


class Screen(Arranger, Protocol):
    """Where a cell's output goes: see `funcx_jupyter.screens`."""

    def notice(self, text: str) -> None:
        """Show one line that the user should not miss."""


class LineScreen(Screen, Protocol):
    """The output of a cell that runs now."""

    @property
    def publisher(self) -> Publisher:
        """What shows rich output."""

    @property
    def stop_key(self) -> str:
        """What the user presses to stop the cell."""

    def before_text(self, text: str) -> None:
        """`text` is about to be written to a standard stream."""

    def header(self, header: Header, *, first: bool, last: bool) -> None:
        """Show the header line."""

    def hidden(self, line: str, first: bool, last: bool) -> None:
        """Show the line about what is hidden."""

    def bars(self) -> BarsView:
        """Return a new place for progress bars."""


class Following:
    """One task on the screen. Call `run` once.

    Args:
        session: has the connection, and hears how the task ended.
        watched: the task.
        screen: where it is shown.
    """

    def __init__(self, session: Session, watched: Watched, screen: LineScreen) -> None:
        self._session = session
        self._task = watched.task
        self._future = watched.future
        self._mailbox = watched.mailbox
        self._screen = screen
        self._is_shown = watched.is_shown
        self._line = HeaderLine(
            watched.header,
            lambda header: screen.header(header, first=False, last=False),
            stop_key=screen.stop_key,
            outage=session.connection.outage,
        )
        watched.future.add_done_callback(watched.mailbox.on_end)

    def run(self, namespace: dict[str, Any]) -> Finished:
        """Return what the task gave back; its outputs are in `namespace` then. If this raises, nothing was assigned.

        Raises:
            CellInterrupted: the user stopped it.
            BaseException: what the cell raised, or one of our errors.
        """
        try:
            self._screen.header(self._line.header, first=not self._is_shown, last=False)
            self._watch()
        except CellInterrupted:
            raise
        except KeyboardInterrupt:  # Before it was waited for.
            self._session.connection.cancel(self._task.task_id)
            raise CellInterrupted(
                f"Interrupted. Told {self._called} to stop; `%funcx attach {self._short}` shows how it ends.",
                self._task.task_id,
            ) from None
        error = self._future.exception()
        if error is not None:
            self._end()
            raise self._presentable(error)
        finished = self._opened(namespace)
        self._end(outputs=describe_back(finished.sizes, finished.kept, self._task.endpoint), origin=finished.origin)
        namespace.update(finished.outputs)
        for line in told_too_large(finished.kept, self._task):
            self._screen.notice(line)
        if finished.changed:
            self._screen.notice(changed_there(finished.changed))
        for reason in filter(None, finished.left.values()):
            self._screen.notice(f"{reason} It was left there.")
        return finished

    def _opened(self, namespace: dict[str, Any]) -> Finished:
        try:
            return opened(self._session, self._task, self._future.result(), self._task.outputs, namespace)
        except KeyboardInterrupt:
            self._end()
            take = f"%funcx result {self._short}{' -o' if self._task.outputs else ''}"
            raise CellInterrupted(
                f"Interrupted when the task had succeeded, and what came back was being loaded. `{take}` loads it.",
                self._task.task_id,
            ) from None

    @property
    def _short(self) -> str:
        return words.short_id(self._task.task_id)

    @property
    def _called(self) -> str:
        return f"{self._short} on {self._task.endpoint}"

    def _watch(self) -> None:
        player = Player(
            self._screen.publisher,
            lambda: self._screen.header(self._line.header, first=True, last=False),
            self._screen.bars(),
            self._screen.before_text,
            Hidden(Cap(f"%funcx logs {self._short}"), self._screen.hidden),
        )
        cancel = self._session.connection.cancel
        indicator: Indicator = self._line
        if self._task.patience is not None:
            indicator = _Impatient(self._line, self._task.patience)
        watcher = Watcher(
            self._future,
            self._mailbox,
            player,
            indicator,
            cancel=cancel,
            called=self._called,
            stream=self._task.stream,
            detaches=self._task.detaches,
        )
        try:
            watcher.wait()
        except CellInterrupted:
            player.end(is_over=self._has_ended())
            self._end()
            raise
        player.end(is_over=self._has_ended())

    def _has_ended(self) -> bool:
        return self._future.done() and not why_unknown(self._future.exception())

    def _presentable(self, error: BaseException) -> BaseException:
        """Return the error as the user is to see it: their own with its lines, ours in one."""
        if why_unknown(error):
            self._session.close()  # The stream has given up; the next cell gets a new one.
        return presentable(error, self._task, self._screen)

    def _end(self, **fields: Any) -> None:
        """Show how it ended. A detached task has not."""
        if not self._future.done():
            self._screen.header(self._line.header, first=False, last=True)
            return
        error = self._future.exception()
        if reason := why_unknown(error):
            self._session.lost(self._task.task_id)
            self._line.header = msgspec.structs.replace(self._line.header, note=reason)
            self._screen.header(self._line.header, first=False, last=True)
            return
        state = end_state(error)
        total = self._line.elapsed if self._task.took is None else self._task.took
        timing = timing_of(self._future.times, sent_at=self._task.sent_at, total=total)
        self._session.ended(
            self._task.task_id, state, total if timing is None else timing.run, at=self._task.sent_at + total
        )
        self._line.header = msgspec.structs.replace(
            self._line.header, state=state, elapsed=total, timing=timing, note="", **fields
        )
        self._screen.header(self._line.header, first=False, last=True)


class _Impatient:
    """An indicator that looks at the clock for a task whose endpoint is offline."""

    def __init__(self, line: HeaderLine, patience: Patience) -> None:
        self._line = line
        self._patience = patience

    def running(self, state: TaskState) -> None:
        """The task is in this state, still."""
        self._patience.look()
        self._line.running(state)

    def stopping(self) -> None:
        """The user wants it to stop."""
        self._line.stopping()

    def detached(self) -> None:
        """Nobody waits for it any more."""
        self._line.detached()
