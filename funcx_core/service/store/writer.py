"""Group commit: whatever operations are waiting are applied in one transaction, and answered after its commit.

Theory of operation. A commit with ``synchronous=FULL`` costs one fsync, whatever is in it. The operations that one turn of
the loop asks for make one group, and while a group is under way the next one gathers; so groups grow with the load and
no timer is needed. A large group is applied by a thread, beside the loop. A light one is applied by the loop itself as
long as commits are quick: two changes of threads and the fight for the interpreter cost more than such a commit.

What nobody waits for is kept for some milliseconds. So a client that waits for one task after the other pays for one fsync, of
the end of the last task and the submit of the next one, not for two in a row.

If an operation fails, its group is rolled back and its operations are applied again, each in a transaction of its own:
only the faulty one fails. A full disk fails all of them: nothing of the group was acknowledged.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa

from funcx_core.errors import FuncxError, ServiceUnavailable, StorageFull
from funcx_core.service.histogram import Times
from funcx_core.service.store.blobs import BlobFolder

T = TypeVar("T")

GROUP_LIMIT: Final = 512
"""Operations in one transaction; each may hold hundreds of tasks."""
LIGHT: Final = 8
"""Rows that the loop writes itself."""
HEAVY: Final = 1_000
QUICK_SECONDS: Final = 0.001
"""Expected wait for the disk in a light commit up to which the loop waits for it."""
WEIGHT_OF_OLD: Final = 0.8
PATIENCE: Final = 0.003
"""Seconds for which what nobody waits for is kept, so that the fsync of what comes next serves both."""
BUSY_SECONDS: Final = 5.0
BUSY_PAUSE: Final = 0.02
FULL_SECONDS: Final = 2.0
"""Clients try again after so long when the disk is full: what they have is nowhere else yet."""

_DISK_FULL: Final = ("disk is full", "disk I/O error")
_BUSY: Final = ("database is locked", "database table is locked")
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Transaction:
    """What an operation may use. `doomed` names blobs that go after the commit, `afterwards` is called then."""

    def __init__(self, connection: sa.Connection, blobs: BlobFolder) -> None:
        self.connection = connection
        self.blobs = blobs
        self.doomed: list[str] = []
        self.afterwards: list[Callable[[], None]] = []
        self._driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]

    def run(self, statement: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Execute a hand-written statement of the hot path on the driver's own cursor: a third of the price."""
        return self._driver.execute(statement, parameters)

    def begin(self) -> None:
        """Begin as a writer: one that starts as a reader may find the lock taken in its middle, and waits in vain."""
        self._driver.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make everything durable."""
        if self.connection.in_transaction():  # Core was used, which keeps a state of its own.
            self.connection.commit()
        else:
            self._driver.commit()

    def rollback(self) -> None:
        """Forget everything."""
        if self.connection.get_transaction() is not None:  # Also one whose commit failed, which is "in" no transaction.
            self.connection.rollback()
        self._driver.rollback()


Operation = Callable[[Transaction], T]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class _Waiting(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]
    weight: int


class GroupCommit:
    """Owns the writing connection. Everything but `_work` belongs to the loop on which `open` was called.

    `on_commit` is called after each commit, by whoever made it. `operations` and `times` tell what was done since the start; loop
    and thread take turns in writing them.
    """

    def __init__(self, engine: sa.Engine, blobs: BlobFolder, on_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._blobs = blobs
        self._on_commit = on_commit
        self._waiting: list[_Waiting] = []
        self._groups: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._thread_is_busy = False
        self._turn_is_scheduled = False
        self._patience: asyncio.TimerHandle | None = None
        self._expected = 0.0
        self._took = 0.0
        self.operations = 0
        self.times = Times()

    def open(self) -> None:
        """Connect and start the thread."""
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection = self._engine.connect()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Return when everything that was asked for is committed and the thread has ended."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        await self._idle.wait()
        self._groups.put(None)
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self._connection.close()

    def do(self, operation: Operation[T], *, weight: int = HEAVY, may_wait: bool = False) -> asyncio.Future[T]:
        """Apply `operation` in the next group; the future has its result once that is committed.

        Args:
            operation: what to do.
            weight: the number of rows it writes, about.
            may_wait: whether it is kept for `PATIENCE`, unless something else is to be written or read before.
        """
        if self._thread is None:
            raise ServiceUnavailable("The service is stopping. Try again in a moment.", retry_after=1)
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(_Waiting(operation, future, weight))
        self._idle.clear()
        if not may_wait:
            self._schedule_turn()
        elif self._patience is None:
            self._patience = self._loop.call_later(PATIENCE, self.hurry)
        return future

    def hurry(self) -> None:
        """Begin the next group now, if there is something that waits for company."""
        if self._patience is not None:
            self._schedule_turn()

    def _schedule_turn(self) -> None:
        if not self._turn_is_scheduled and not self._thread_is_busy:
            self._turn_is_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_is_scheduled = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        group, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
        if not group:
            self._idle.set()
            return
        if _is_light(group) and self._expected < QUICK_SECONDS and self._commit_here(group):
            self._schedule_turn()
            return
        self._thread_is_busy = True
        self._groups.put(group)

    def _commit_here(self, group: list[_Waiting]) -> bool:
        """Commit a light group on the loop; False if somebody else has the database: then the thread waits for it."""
        started = time.perf_counter()
        try:
            outcomes = self._commit(group)
        except _DatabaseBusy:
            return False
        seconds = time.perf_counter() - started
        self._learn(self._took)
        self._count(group, seconds)
        _resolve(outcomes)
        return True

    def _count(self, group: list[_Waiting], seconds: float) -> None:
        self.operations += len(group)
        self.times.add(seconds)

    def _learn(self, seconds: float) -> None:
        self._expected += (seconds - self._expected) * (1 - WEIGHT_OF_OLD)

    def _committed(self, outcomes: list[_Outcome], seconds: float | None) -> None:
        """The thread is done; with a light group it waited `seconds` for the disk."""
        self._thread_is_busy = False
        if seconds is not None:
            self._learn(seconds)
        _resolve(outcomes)
        self._schedule_turn()

    # --- in the thread -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (group := self._groups.get()) is not None:
            started = time.perf_counter()
            outcomes = self._commit_patiently(group)
            taken = time.perf_counter() - started
            self._count(group, taken)
            seconds = self._took if _is_light(group) else None
            with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
                self._loop.call_soon_threadsafe(self._committed, outcomes, seconds)

    def _commit_patiently(self, group: list[_Waiting]) -> list[_Outcome]:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._commit(group)
            except _DatabaseBusy:
                if time.monotonic() > deadline:
                    return [(waiting.future, None, _locked()) for waiting in group]
            time.sleep(BUSY_PAUSE)

    # --- on either side, one at a time -------------------------------------------------------------------------

    def _commit(self, group: list[_Waiting]) -> list[_Outcome]:
        try:
            return self._attempt(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the operation's outcome and its caller's to handle
            reason = _explain(error)
            if isinstance(reason, _DatabaseBusy):
                raise reason from None
            if len(group) == 1 or isinstance(reason, StorageFull):
                return [(waiting.future, None, reason) for waiting in group]
            return [self._commit_alone(waiting) for waiting in group]

    def _commit_alone(self, waiting: _Waiting) -> _Outcome:
        """Apply one operation of a group that failed."""
        try:
            (outcome,) = self._commit([waiting])
        except _DatabaseBusy:
            return waiting.future, None, _locked()
        return outcome

    def _attempt(self, group: list[_Waiting]) -> list[_Outcome]:
        transaction = Transaction(self._connection, self._blobs)
        transaction.begin()
        try:
            outcomes: list[_Outcome] = [(waiting.future, waiting.operation(transaction), None) for waiting in group]
            started = time.perf_counter()
            self._blobs.sync()
            transaction.commit()
            self._took = time.perf_counter() - started
        except BaseException:
            transaction.rollback()
            self._blobs.rollback()
            raise
        self._on_commit()
        for name in transaction.doomed:
            self._blobs.remove(name)
        for action in transaction.afterwards:
            action()
        return outcomes


class _DatabaseBusy(Exception):
    """Another process holds the database; nothing was written."""


def _is_light(group: list[_Waiting]) -> bool:
    return sum([waiting.weight for waiting in group]) <= LIGHT


def _locked() -> ServiceUnavailable:
    return ServiceUnavailable("The service's database is locked by another process. Try again.", retry_after=1)


def _resolve(outcomes: list[_Outcome]) -> None:
    for future, value, error in outcomes:
        if future.done():  # Its caller was cancelled meanwhile.
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def is_busy(error: BaseException) -> bool:
    """Whether another process is writing at this moment."""
    return any(sign in str(error) for sign in _BUSY)


def _explain(error: Exception) -> Exception:
    """Return the error of ours that this one of the database or disk means; the error itself if there is none."""
    if isinstance(error, FuncxError):
        return error
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    text = str(cause) if isinstance(cause, sqlite3.Error) else ""
    no_space = isinstance(error, OSError) and error.errno in _NO_SPACE
    if no_space or any(sign in text for sign in _DISK_FULL):
        text = "The service's disk is full; nothing was accepted. Free some space there and try again."
        return StorageFull(text, retry_after=FULL_SECONDS)
    if is_busy(error):
        return _DatabaseBusy()
    return error
