"""Group commit: one thread applies whatever operations are waiting in one transaction, and answers them after its commit.

Theory of operation. A commit with ``synchronous=FULL`` costs one fsync, whatever is in it. While the thread commits one
group the next one gathers, so groups grow with the load and no timer is needed. If an operation fails, its group is
rolled back and its operations are applied again, each in a transaction of its own: only the faulty one fails.
A full disk fails all of them: nothing of the group was acknowledged.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from funcx_core.errors import FuncxError, ServiceUnavailable, StorageFull
from funcx_core.service.store.blobs import BlobFolder

T = TypeVar("T")

GROUP_LIMIT: Final = 512
"""Operations in one transaction; each may hold hundreds of tasks."""

_DISK_FULL: Final = ("disk is full", "disk I/O error")
_BUSY: Final = ("database is locked", "database table is locked")
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Transaction:
    """What an operation may use. `doomed` names blobs that go after the commit."""

    def __init__(self, connection: sa.Connection, blobs: BlobFolder) -> None:
        self.connection = connection
        self.blobs = blobs
        self.doomed: list[str] = []

    def run(self, statement: str, parameters: tuple[Any, ...] = ()) -> Any:
        """Execute a hand-written statement of the hot path; returns the `CursorResult`."""
        return self.connection.exec_driver_sql(statement, parameters)


Operation = Callable[[Transaction], T]
_Waiting = tuple[Operation[Any], "asyncio.Future[Any]"]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class GroupCommit:
    """Owns the writer thread and its connection. `do` belongs to the loop on which `open` was called."""

    def __init__(self, engine: sa.Engine, blobs: BlobFolder) -> None:
        self._engine = engine
        self._blobs = blobs
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Return when everything that was asked for is committed and the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def do(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Apply `operation` in the next group; the future has its result once that is committed."""
        if self._thread is None or self._loop is None:
            raise ServiceUnavailable("The service is stopping. Try again in a moment.", retry_after=1)
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put((operation, future))
        return future

    # --- in the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        connection = self._engine.connect()
        try:
            while group := self._next_group():
                self._answer(self._commit(connection, group))
        finally:
            connection.close()

    def _next_group(self) -> list[_Waiting]:
        """Wait for an operation and take those behind it; empty when there will be no more."""
        first = self._waiting.get()
        group = [] if first is None else [first]
        while group and len(group) < GROUP_LIMIT:
            try:
                following = self._waiting.get_nowait()
            except Empty:
                break
            if following is None:
                self._waiting.put(None)  # Stop after this group.
                break
            group.append(following)
        return group

    def _commit(self, connection: sa.Connection, group: list[_Waiting]) -> list[_Outcome]:
        try:
            return self._attempt(connection, group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the operation's outcome and its caller's to handle
            reason = _explain(error)
            if len(group) == 1 or isinstance(reason, StorageFull | ServiceUnavailable):
                return [(future, None, reason) for _, future in group]
            return [outcome for alone in group for outcome in self._commit(connection, [alone])]

    def _attempt(self, connection: sa.Connection, group: list[_Waiting]) -> list[_Outcome]:
        transaction = Transaction(connection, self._blobs)
        try:
            with connection.begin():
                outcomes: list[_Outcome] = [(future, operation(transaction), None) for operation, future in group]
                self._blobs.sync()
        except BaseException:
            self._blobs.rollback()
            raise
        for name in transaction.doomed:
            self._blobs.remove(name)
        return outcomes

    def _answer(self, outcomes: list[_Outcome]) -> None:
        assert self._loop is not None  # noqa: S101 - `open` set it before it started this thread
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(_resolve, outcomes)


def _resolve(outcomes: list[_Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():  # Its caller was cancelled meanwhile.
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _explain(error: Exception) -> BaseException:
    """Return the error of ours that this one of the database or disk means; the error itself if there is none."""
    if isinstance(error, FuncxError):
        return error
    text = str(error.orig) if isinstance(error, sa.exc.DBAPIError) else ""
    no_space = isinstance(error, OSError) and error.errno in _NO_SPACE
    if no_space or any(sign in text for sign in _DISK_FULL):
        return StorageFull("The service's disk is full; nothing was accepted. Free some space there and try again.")
    if any(sign in text for sign in _BUSY):
        return ServiceUnavailable("The service's database is locked by another process. Try again.", retry_after=1)
    return error
