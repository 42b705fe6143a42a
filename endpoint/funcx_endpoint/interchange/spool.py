r"""Results on disk until the service has them.

A spool is a folder of segments. A segment is a row of records, each ``<length><crc32><encoded Results message>``, and is only
ever appended to. One thread writes: everything that came since its last write goes out in one write and one
``fdatasync``, so that a busy endpoint pays for few of them. When all results of a segment are acknowledged it is deleted.

A result goes upstream before it comes here, and is held for a moment. If it is acknowledged within that, the thread never hears of
it: it neither pays for a write nor competes with the round trip for the interpreter.

A disk that is full stops nothing that runs: what cannot be written stays in memory and is tried again, and the
interchange takes no new leases meanwhile.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.endpoint import Results
from funcx_core.protocol.task import Lease, TaskResult
from funcx_endpoint.interchange.held_results import Entry, HeldResults, Key
from funcx_endpoint.interchange.record_file import HEAD_BYTES, TornError, framed, records

_log = logging.getLogger(__name__)

HOLD_SECONDS: Final = 0.002
"""For how long a result waits for its acknowledgement before it is written."""
PATIENT_SECONDS: Final = 0.015
"""The same, while nobody waits for the slot that is free when it is written."""
SEGMENT_BYTES: Final = 64 * 1024 * 1024
SHORT_SEGMENT: Final = 1024 * 1024
"""A segment with nothing unacknowledged in it is replaced from this size on; a smaller one is used further."""
RETRY_SECONDS: Final = 1.0

NO_TOKEN: Final = -1
"""Token of an entry that nobody waits for."""

_decoder: Final[Decoder[Results]] = Decoder(Results)


class Cancellable(Protocol):
    """A call that is due."""

    def cancel(self) -> None:
        """It is not wanted any more."""


class _Forget(msgspec.Struct, frozen=True):
    leases: list[Lease]


class _Segment:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.unacknowledged = 0


class Spool:
    """Writes results to a folder. All methods belong to one thread; the two callbacks may come from the spool's own.

    Args:
        folder: where.
        later: calls a function after so many seconds, on the thread to which the methods belong, as `loop.call_later` does.
        on_durable: gets the tokens of entries that are on disk, or that were acknowledged before they could be written, in the
            order in which they were appended.
        on_full: gets True when the disk takes no more, and False when it does again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        later: Callable[[float, Callable[[], None]], Cancellable],
        on_durable: Callable[[list[int]], None],
        on_full: Callable[[bool], None],
    ) -> None:
        self._folder = folder
        self._later = later
        self._on_durable = on_durable
        self._on_full = on_full
        self._held = HeldResults()
        self._hand_over_due: Cancellable | None = None
        self._is_patient = False
        self._handed_over = 0
        self._queue: queue.SimpleQueue[list[Entry] | _Forget | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        # Below here: of the spool's thread, once it runs.
        self._durable = 0  # Of the entries that were handed over; the other thread reads it.
        self._unwritten: list[Entry] = []
        self._where: dict[Key, _Segment] = {}
        self._current: _Segment | None = None
        self._file: int = -1
        self._number = 0
        self._is_full = False

    def open(self) -> list[TaskResult]:
        """Read what an earlier agent left and start the thread. Return the results that were not deleted.

        Damaged ends of files, as a power cut leaves them, are cut off; damaged files are put aside with a log line.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[TaskResult] = []
        for path in sorted(self._folder.glob("*.results")):
            found += self._recover(path)
        self._thread.start()
        return found

    def append(
        self, token: int, results: Sequence[TaskResult], record: bytes | None = None, *, may_wait: bool = False
    ) -> None:
        """Write `results`, unless they are acknowledged in a moment.

        Args:
            token: handed back when they are durable.
            results: what to write.
            record: their encoded `Results` message, if there is one already.
            may_wait: whether that moment may be a longer one.
        """
        self._held.add(token, _keys(results), record or encode(Results(list(results))))
        if self._is_patient and not may_wait:
            self._cancel_hand_over()
        if self._hand_over_due is None:
            self._is_patient = may_wait
            self._hand_over_due = self._later(PATIENT_SECONDS if may_wait else HOLD_SECONDS, self._hand_over)

    def forget(self, leases: list[Lease]) -> None:
        """The service has the results of these leases."""
        others = self._held.forget(leases) if self._held else leases
        if others:
            self._queue.put(_Forget(others))
        # Tokens go back in their order, so those behind an entry that the thread still has must wait for it.
        if self._durable == self._handed_over and (done := self._held.take_done()):
            self._on_durable(done)
            if not self._held:
                self._cancel_hand_over()  # Else it would take what comes next too early.

    def _cancel_hand_over(self) -> None:
        self._is_patient = False
        if self._hand_over_due is not None:
            self._hand_over_due.cancel()
            self._hand_over_due = None

    def _hand_over(self) -> None:
        """Let the thread write what is held."""
        self._is_patient = False
        self._hand_over_due = None
        if entries := self._held.take():
            self._handed_over += len(entries)
            self._queue.put(entries)

    def close(self) -> None:
        """Write what waits, if that is possible, and stop the thread. Files without unacknowledged results are deleted."""
        if self._thread.is_alive():
            self._hand_over()
            self._queue.put(None)
            self._thread.join(timeout=10)

    @property
    def failed(self) -> bool:
        """Whether the thread died of an error."""
        return self._thread.ident is not None and not self._thread.is_alive()

    # --- reading ---------------------------------------------------------------------------------------------------

    def _recover(self, path: Path) -> list[TaskResult]:
        self._number = max(self._number, int(path.stem) if path.stem.isdigit() else 0)
        content = path.read_bytes()
        segment = _Segment(path)
        results: list[TaskResult] = []
        try:
            for record in records(content):
                results += _decoder.decode(record).results
                segment.size += HEAD_BYTES + len(record)
        except TornError:
            _log.warning(
                "result file %s ends within a record, %d bytes were cut off", path.name, len(content) - segment.size
            )
        except RemoteProtocolError:
            aside = path.with_suffix(".corrupt")
            path.replace(aside)
            _log.error("result file %s is damaged after %d bytes, kept as %s", path.name, segment.size, aside.name)
            if results:
                self._rewrite(results)
            return results
        if not results:
            path.unlink()
            return []
        segment.unacknowledged = len(results)
        for result in results:
            self._where[result.task_id, result.attempt] = segment
        return results

    def _rewrite(self, results: list[TaskResult]) -> None:
        self._handed_over += 1
        self._queue.put([Entry(NO_TOKEN, _keys(results), encode(Results(results)))])

    # --- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=RETRY_SECONDS if self._unwritten else None)
            except queue.Empty:
                self._write()
                continue
            if not self._take(item):
                break
        self._shut()

    def _take(self, item: list[Entry] | _Forget | None) -> bool:
        """Take `item` and all that waits behind it; False at the end."""
        running = True
        while True:
            match item:
                case None:
                    running = False
                case list():
                    self._unwritten += item
                case _Forget():
                    self._forget_leases(item.leases)
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        if self._unwritten:
            self._write()
        return running

    def _write(self) -> None:
        entries = self._unwritten
        try:
            segment = self._segment()
            blob = b"".join(framed(entry.record) for entry in entries if entry.leases)
            self._append(segment, blob)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
                raise
            self._set_full(error)
            return
        self._unwritten = []
        for entry in entries:
            segment.unacknowledged += len(entry.leases)
            for lease in entry.leases:
                self._where[lease] = segment
        self._set_full(None)
        self._tell([entry.token for entry in entries])

    def _tell(self, tokens: list[int]) -> None:
        self._on_durable(tokens)
        self._durable += len(
            tokens
        )  # Not before: what was held behind these may be told by the other thread from now on.

    def _segment(self) -> _Segment:
        current = self._current
        if current is not None and current.size < SEGMENT_BYTES:
            return current
        self._number += 1
        path = self._folder / f"{self._number:08d}.results"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._leave_current()
        self._file, self._current = file, _Segment(path)
        _sync_folder(self._folder)
        return self._current

    def _append(self, segment: _Segment, blob: bytes) -> None:
        rest = memoryview(blob)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, segment.size)  # Half a record must not stand before the next one.
            raise
        segment.size += len(blob)

    def _forget_leases(self, leases: Iterable[Lease]) -> None:
        early = set()
        for lease in leases:
            key = (lease.task_id, lease.attempt)
            segment = self._where.pop(key, None)
            if segment is None:
                early.add(key)
                continue
            segment.unacknowledged -= 1
            if not segment.unacknowledged:
                self._release(segment)
        if early and self._unwritten:
            self._skip(early)

    def _skip(self, acknowledged: set[Key]) -> None:
        """What the service acknowledged before it could be written needs no disk."""
        kept: list[Entry] = []
        done: list[int] = []
        for entry in self._unwritten:
            left = [lease for lease in entry.leases if lease not in acknowledged]
            if left or kept:  # What stands behind an entry that waits is done after it.
                kept.append(Entry(entry.token, left, entry.record) if len(left) < len(entry.leases) else entry)
            else:
                done.append(entry.token)
        self._unwritten = kept
        if done:
            self._tell(done)
        if not kept:
            self._set_full(None)

    def _release(self, segment: _Segment) -> None:
        if segment is not self._current:
            segment.path.unlink(missing_ok=True)
        elif segment.size > SHORT_SEGMENT:
            self._leave_current()

    def _leave_current(self) -> None:
        """Write no more to the current segment; it goes when nothing in it is unacknowledged."""
        current, self._current = self._current, None
        if current is None:
            return
        os.close(self._file)
        if not current.unacknowledged:
            current.path.unlink(missing_ok=True)

    def _set_full(self, error: OSError | None) -> None:
        if (error is not None) == self._is_full:
            return
        self._is_full = error is not None
        if error is not None:
            _log.error("results cannot be written to %s and stay in memory: %s", self._folder, error)
        else:
            _log.warning("results can be written to %s again", self._folder)
        self._on_full(self._is_full)

    def _shut(self) -> None:
        self._leave_current()


def _keys(results: Iterable[TaskResult]) -> list[Key]:
    return [(result.task_id, result.attempt) for result in results]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
