"""Futures that cost little until somebody waits for them.

A `concurrent.futures.Future` owns a Condition, which is most of its price and of its memory. Here it is made when a thread
first waits, and a result is unpickled by the thread that asks for it.

Theory of operation. While `_made` is None the state changes under one lock of this module; making a Condition takes the
same lock. Once it is made, the state changes under the Condition only, together with the notification of waiters, as
the standard library's `wait` and `as_completed` demand.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future, InvalidStateError
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, runtime_checkable

from funcx_core.errors import FuncxError, ResultLoadError, TryAgainLater
from funcx_core.ids import TaskId
from funcx_core.protocol.blob import is_reference
from funcx_core.protocol.payload import OUTCOMES, VALUE
from funcx_core.protocol.task import TaskEvent, TaskResult, TaskState, TaskTimes
from funcx_core.sdk.large import save_value, with_content
from funcx_core.sdk.range_results import open_range
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import STRANGER, load_failure
from funcx_core.serialize import pack_value

if TYPE_CHECKING:
    import asyncio

_ENDED: Final = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})
NO_WAITING: Final = (
    "A callback of a future cannot wait for another one: results come by the thread that runs it. Give the other future a callback, "
    "too, or wait on a thread of your own."
)
_lock = threading.Lock()
logger = logging.getLogger("funcx")


class Canceller(Protocol):
    """What a future needs of the stream that runs it."""

    def cancel(self, task_ids: list[TaskId], *, force: bool = False) -> None:
        """Ask for the end of these tasks."""

    def check_waiting(self) -> None:
        """Raise `RuntimeError` where waiting would never end: in a forked child, and on the thread that ends futures."""

    @property
    def transfer(self) -> Transfer:
        """What fetches large values."""


@runtime_checkable
class Acknowledging(Protocol):
    """A `Canceller` that sends tasks to a service."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything submitted is acknowledged."""


class TaskListener(Protocol):
    """Hears of an open task. All methods run on the stream's thread: they must not block."""

    def on_event(self, event: TaskEvent) -> None:
        """The task printed, showed or reported something. Events come in order of `seq`, each once."""

    def on_state(self, state: TaskState) -> None:
        """The task reached a state that is not terminal."""


class FuncXFuture(Future[Any]):
    """The result of a task to come: a `concurrent.futures.Future` with the task's id.

    Attributes:
        task_id: the task.
        times: when the attempt that ended passed each hop; None until then.
    """

    __slots__ = (
        "_canceller",
        "_done_callbacks",
        "_exception",
        "_made",
        "_outcome",
        "_result",
        "_state",
        "_waiters",
        "listener",
        "route",
        "task_id",
        "times",
    )

    def __init__(  # no super().__init__(): it makes the Condition
        self,
        task_id: TaskId | None = None,
        canceller: Canceller | None = None,
        route: Any = None,
        listener: TaskListener | None = None,
    ) -> None:
        self.task_id = task_id
        self.route = route
        self.listener = listener
        self.times: TaskTimes | None = None
        self._canceller = canceller
        self._state = PENDING
        self._made: threading.Condition | None = None
        self._outcome: TaskResult | None = None
        self._done_callbacks: list[Callable[[Future[Any]], Any]] | tuple[()] = ()

    @property
    def task_group_id(self) -> str | None:
        """The group of the task; None for a future that no executor made."""
        return None if self.route is None else str(self.route.group_id)

    # --- for users ---------------------------------------------------------------------------------------------

    def cancel(self) -> bool:
        """Cancel a task that is not known to run. Whatever it gives is dropped; a worker may still have started it."""
        if self._state == FINISHED:
            return False
        if self.cancel_here():
            if self._canceller is not None and self.task_id is not None:
                self._canceller.cancel([self.task_id])
            return True
        return self.cancelled()

    def best_effort_cancel(self, *, force: bool = False) -> bool:
        """Ask for the end of the task, running or not; False if it has ended. The future then fails with `TaskCancelled`.

        Args:
            force: kill the worker at once instead of interrupting the function first.
        """
        if self._state in _ENDED:
            return False
        if self._state == PENDING and self.cancel():
            return True
        if self._canceller is not None and self.task_id is not None:
            self._canceller.cancel([self.task_id], force=force)
        return True

    def wait_until_accepted(self) -> None:
        """Wait until the service has the task, or it is known that it does not take it."""
        if isinstance(self._canceller, Acknowledging) and not self.done():
            self._canceller.flush()

    def cancelled(self) -> bool:
        """Whether the future was cancelled."""
        return self._state in {CANCELLED, CANCELLED_AND_NOTIFIED}

    def running(self) -> bool:
        """Whether the task is known to run."""
        return self._state == RUNNING

    def done(self) -> bool:
        """Whether the future was cancelled or the task has ended."""
        return self._state in _ENDED

    def result(self, timeout: float | None = None) -> Any:
        """Return the value of the task, or raise its exception. A large value is fetched now; `timeout` is for the task.

        Raises:
            ServiceUnavailable: a large value cannot be fetched now; ask again later.
            TimeoutError: if it has not ended after `timeout` seconds.
            CancelledError: if the future was cancelled.
        """
        self._wait(timeout)
        if self._exception is None:
            return self._result
        try:
            raise self._exception
        finally:
            self = None  # type: ignore[assignment]  # noqa: PLW0642 - breaks the cycle exception -> frame -> future

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception of the task, None if it gave a value. Raises as `result` does when there is neither."""
        self._wait(timeout)
        return self._exception

    def download(self, path: str | os.PathLike[str], timeout: float | None = None) -> Path:
        """Write the task's value to a file as a pickle, for `pickle.load`; a large one never is in memory as a whole.

        Args:
            path: the file; it appears when it is complete.
            timeout: seconds to wait for the end of the task.

        Raises:
            OSError: the file cannot be written.
            TimeoutError, CancelledError: as `result`; also the task's exception.
        """
        target = Path(path)
        self._wait_for_end(timeout)
        with _lock:
            outcome = self._outcome
        if outcome is not None and outcome.state is TaskState.SUCCESS and self._canceller is not None:
            save_value(outcome, self._canceller.transfer, target)
        else:
            target.write_bytes(pack_value(self.result())[len(VALUE) :])
        return target

    def add_done_callback(self, fn: Callable[[Future[Any]], Any]) -> None:
        """Call `fn(self)` when the task has ended, on the stream's thread; at once if it has."""
        with _lock:
            if self._made is None and self._state not in _ENDED:
                self._done_callbacks = [*self._done_callbacks, fn]
                return
        if self._made is None:
            self._call(fn)
        else:
            super().add_done_callback(fn)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        import asyncio  # noqa: PLC0415 - only for those who await

        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self.add_done_callback(lambda _: _call_soon(loop, ended.set))
        try:
            await ended.wait()
            if self.is_to_be_fetched:
                await asyncio.to_thread(self._wait, None)  # Fetching takes a while: the loop goes on meanwhile.
        except asyncio.CancelledError:
            self.cancel()
            raise
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "A future stays in its process: hand on its value, future.result(), or its task_id. submit_after() orders tasks."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} task {self.task_id} {self._state.lower()}>"

    # --- for the stream ----------------------------------------------------------------------------------------

    def end(self, outcome: TaskResult) -> bool:
        """The task has ended. False if the future had ended before; the outcome is then dropped."""
        with _lock:
            nobody_waits = self._made is None
            if nobody_waits:
                if self._state in _ENDED:
                    return False
                self._outcome = outcome
                self.times = outcome.times
                self._state = FINISHED
                callbacks, self._done_callbacks = self._done_callbacks, ()
        if not nobody_waits:
            return self._end_with_waiters(outcome)
        for callback in callbacks:
            self._call(callback)
        return True

    def cancel_here(self) -> bool:
        """Cancel the future without a word to the service. Whether this call did it."""
        with self._condition:
            if self._state != PENDING:
                return False
            self._state = CANCELLED_AND_NOTIFIED
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            self._condition.notify_all()
        self._call_back()
        return True

    def fail(self, error: BaseException) -> bool:
        """The task will not run, or nothing will be heard of it. False if the future had ended before."""
        try:
            # Each future raises an object of its own: raising adds to the traceback.
            self._settle(None, copy.copy(error))
        except InvalidStateError:
            return False
        return True

    def started(self) -> None:
        """The task runs now."""
        with self._condition:
            if self._state == PENDING:
                self._state = RUNNING

    def set_result(self, result: Any) -> None:
        """End with this value."""
        self._settle(result, None)

    def set_exception(self, exception: BaseException | None) -> None:
        """End with this exception."""
        self._settle(None, exception)

    # --- inside ------------------------------------------------------------------------------------------------

    @property
    def _condition(self) -> threading.Condition:
        made = self._made
        if made is None:
            with _lock:
                made = self._made
                if made is None:
                    self._waiters: list[Any] = []
                    self._done_callbacks = list(self._done_callbacks)
                    made = self._made = threading.Condition()
        return made

    @_condition.setter
    def _condition(self, value: threading.Condition) -> None:
        self._made = value

    def _wait(self, timeout: float | None) -> None:
        self._wait_for_end(timeout)
        if not hasattr(self, "_exception"):
            self._load()

    def _wait_for_end(self, timeout: float | None) -> None:
        if self._state not in _ENDED:
            if self._canceller is not None and timeout != 0:
                self._canceller.check_waiting()
            with self._condition:
                self._condition.wait_for(self.done, timeout)
        if self._state != FINISHED:
            raise CancelledError if self.done() else TimeoutError

    def _load(self) -> None:
        """Unpickle the value, in the one thread that gets hold of the outcome."""
        with _lock:
            outcome, self._outcome = self._outcome, None
        if outcome is None:  # Another thread is at it.
            self._wait_until_loaded()
            return
        try:
            reader = STRANGER if self.route is None else self.route.reader
            if outcome.value.startswith(OUTCOMES):
                self._result, self._exception = open_range(outcome, reader)
            else:
                self._result, self._exception = reader.open(self._fetched(outcome))
        except _Unobtainable as failure:
            self._result, self._exception = None, failure.error
        except BaseException:  # An interrupt while the value was unpickled: whoever asks next tries again.
            self._outcome = outcome
            raise
        finally:
            # Whoever waits made the Condition before it looked; so either it is seen here, or what was loaded is seen there.
            if self._made is not None:
                with self._made:
                    self._made.notify_all()

    @property
    def is_to_be_fetched(self) -> bool:
        """Whether the task has ended with a large value that nobody has asked for yet: asking for it takes a while."""
        outcome = self._outcome
        return outcome is not None and is_reference(outcome.value)

    def _fetched(self, outcome: TaskResult) -> TaskResult:
        if self._canceller is None or not is_reference(outcome.value):
            return outcome
        try:
            return with_content(outcome, self._canceller.transfer)
        except FuncxError as error:
            if isinstance(error, TryAgainLater):
                raise
            raise _Unobtainable(load_failure(outcome.task_id, outcome.value, error)) from None

    def _wait_until_loaded(self) -> None:
        condition = self._condition
        with condition:
            condition.wait_for(lambda: hasattr(self, "_exception") or self._outcome is not None)
        if not hasattr(self, "_exception"):  # The other thread was interrupted.
            self._load()

    def _end_with_waiters(self, outcome: TaskResult) -> bool:
        with self._condition:
            if self._state in _ENDED:
                return False
            self._outcome = outcome
            self.times = outcome.times
            self._state = FINISHED
            self._notify(failed=outcome.state is not TaskState.SUCCESS)
        self._call_back()
        return True

    def _settle(self, result: Any, exception: BaseException | None) -> None:
        with self._condition:
            if self._state in _ENDED:
                raise InvalidStateError(f"{self._state}: {self!r}")
            self._result = result
            self._exception = exception
            self._state = FINISHED
            self._notify(failed=exception is not None)
        self._call_back()

    def _notify(self, *, failed: bool) -> None:
        for waiter in self._waiters:
            if failed:
                waiter.add_exception(self)
            else:
                waiter.add_result(self)
        self._condition.notify_all()

    def _call_back(self) -> None:
        for callback in self._done_callbacks:
            self._call(callback)

    def _call(self, callback: Callable[[Future[Any]], Any]) -> None:
        try:
            callback(self)
        except Exception:
            logger.exception("A callback of %r raised.", self)

    def _invoke_callbacks(self) -> None:
        self._call_back()


class _Unobtainable(Exception):
    """The value was too large to come with the outcome, and cannot be fetched."""

    def __init__(self, error: ResultLoadError) -> None:
        self.error = error
        super().__init__(str(error))


def _call_soon(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # The loop has ended, and nobody waits there any more.
        loop.call_soon_threadsafe(action)
