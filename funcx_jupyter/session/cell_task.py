"""What an asynchronous cell returns: a handle on its task, to wait for, await, ask and stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from funcx_core.cells.spec import LAST_VALUE
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_jupyter.capture.elsewhere import ElsewhereValue, RemoteUse
from funcx_jupyter.display import words
from funcx_jupyter.errors import CellInterrupted
from funcx_jupyter.session.followed import Followed
from funcx_jupyter.session.following import Screen
from funcx_jupyter.session.opening import opened
from funcx_jupyter.session.outcome import Finished, end_state
from funcx_jupyter.session.presentable import presentable

if TYPE_CHECKING:
    import asyncio

    from funcx_jupyter.session.state import Session

_PATIENCE: Final = 10.0
"""Seconds to wait for what is only to be shown."""
_TURN: Final = 0.2
"""Seconds after which a pressed ■ is noticed by who awaits a task."""


class CellTask(ElsewhereValue):
    """A cell that runs on an endpoint. It goes on whatever becomes of this object.

    >>> task.done()
    False
    >>> value = task.result()       # waits; assigns the variables named with -o
    >>> value = await task          # the same, while other cells' callbacks run
    >>> task.cancel()

    Attributes:
        task_id: its id.
        name: what it is called in this notebook; empty if it has no name.
        endpoint: the name of where it runs.
        outputs: the variables that come back.
    """

    def __init__(  # noqa: PLR0917 - all of them are what a task has
        self,
        session: Session,
        task: Followed,
        future: FuncXFuture,
        namespace: dict[str, Any],
        screen: Screen,
        name: str,
        show: Callable[[], None] | None,
        shown: threading.Event | None = None,
        confirm: Callable[[], None] | None = None,
    ) -> None:
        self.task_id: TaskId = task.task_id
        self.name = name
        self.endpoint = task.endpoint
        self.outputs = list(task.outputs)
        self._session = session
        self._task = task
        self._future = future
        self._namespace = namespace
        self._screen = screen
        self._show = show
        self._shown = shown
        self._confirm = confirm
        self._finished: Finished | None = None
        self._lock = threading.Lock()

    @property
    def state(self) -> TaskState:
        """How it is now, as far as is known here."""
        if self._future.done():
            return self._end_state()
        return TaskState.RUNNING if self._future.running() else TaskState.RECEIVED

    def done(self) -> bool:
        """Whether it has ended."""
        return self._future.done()

    def running(self) -> bool:
        """Whether it is known to run."""
        return self._future.running()

    def cancelled(self) -> bool:
        """Whether it was stopped before it ended by itself."""
        return self.done() and self._end_state() is TaskState.CANCELLED

    def cancel(self) -> bool:
        """Ask for its end, also if it runs; False if it has ended."""
        if self._future.done():
            return False
        self._session.connection.cancel(self.task_id)
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Return the value of the cell's last expression, and assign the variables named with -o, when it has ended.

        Raises:
            BaseException: what the cell raised; nothing is assigned then.
            TimeoutError: it has not ended after `timeout` seconds. It goes on.
        """
        return self.finished(timeout).value

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the cell raised, None if it succeeded, when it has ended. Raises as `result` does if it has not."""
        try:
            error = self._future.exception(timeout)
        except KeyboardInterrupt:
            raise self._let_go() from None
        return None if error is None else presentable(error, self._task, self._screen)

    def finished(self, timeout: float | None = None) -> Finished:
        """Return all that the cell gave back; its outputs are assigned, the first time. Raises as `result` does."""
        error = self.exception(timeout)
        if error is not None:
            raise error
        with self._lock:
            if self._finished is None:
                self._finished = opened(
                    self._session, self._task, self._future.result(), self._task.outputs, self._namespace
                )
                self._namespace.update(self._finished.outputs)
            return self._finished

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        import asyncio  # noqa: PLC0415 - whoever awaits has it

        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._future.add_done_callback(lambda _: _tell(loop, ended))
        try:
            while not ended.is_set():
                with suppress(TimeoutError):  # A kernel notices ■ when its loop turns, and not while it rests.
                    await asyncio.wait_for(ended.wait(), _TURN)
        except asyncio.CancelledError as stopped:  # By ■, or by whoever runs this.
            said = f"{self._let_go()}"
            stopped._render_traceback_ = lambda: [f"CancelledError: {said}"]  # type: ignore[attr-defined]
            raise
        if self._future.is_to_be_fetched:
            await asyncio.to_thread(self._future.exception)
        return self.result()

    def _let_go(self) -> CellInterrupted:
        """Return what the user is told who does not wait any longer."""
        short = words.short_id(self.task_id)
        return CellInterrupted(
            f"Stopped waiting. Task {short} goes on; `%funcx cancel {short}` stops it.", self.task_id
        )

    def wait_until_shown(self) -> None:
        """Wait for the end, and until all that the task has shown is on the screen."""
        try:
            self._future.exception()
        except CancelledError:
            return
        except KeyboardInterrupt:
            raise self._let_go() from None
        if self._shown is not None:
            self._shown.wait(_PATIENCE)
        if self._confirm is not None:
            self._confirm()

    def show_again(self) -> None:
        """Show the task's header line here, too, where it can be changed in place."""
        if self._show is not None:
            self._show()

    def _end_state(self) -> TaskState:
        if self._future.is_to_be_fetched:
            return TaskState.SUCCESS
        try:
            return end_state(self._future.exception(0))
        except CancelledError:
            return TaskState.CANCELLED

    def __repr__(self) -> str:
        called = f"{self.name}, " if self.name else ""
        state = words.STATES[self.state]
        age = "" if self.done() else f" {words.clock(max(0.0, time.time() - self._task.sent_at))}"
        return f"Task({called}{state} on {self.endpoint}{age}, {words.short_id(self.task_id)})"

    def _ipython_display_(self) -> None:
        """Show the task's header line, which changes in place with the task."""
        if self._show is None:
            print(repr(self))  # noqa: T201 - where nothing can be changed in place, the text is all there is
        else:
            self._show()

    def remote_use(self) -> RemoteUse:
        """Return where a cell finds the value of this one's last expression."""
        called = self.name or words.short_id(self.task_id)
        fetch = f"{self.name}.result()" if self.name else f"%funcx result {called}"
        return RemoteUse(
            called=called,
            task_id=self.task_id,
            name=LAST_VALUE,
            endpoint_id=self._task.endpoint_id,
            endpoint=self.endpoint,
            is_there=self._future.done() and self._end_state() is TaskState.SUCCESS,
            fetch=fetch,
            bring=f"{called} = {fetch}" if self.name else f"value = {fetch}",
            what="a task",
        )


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    with suppress(RuntimeError):  # The loop has ended, and nobody waits there any more.
        loop.call_soon_threadsafe(ended.set)
