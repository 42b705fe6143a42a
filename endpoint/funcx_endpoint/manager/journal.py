"""Which leases were dealt to which worker, in files that outlive the manager.

``leases/<manager id>/deals.log`` is appended to *before* a chunk is sent; ``worker-<n>.page`` holds the number that the worker
started last. Together they tell, whatever died in whatever order, which leases had started. The files need not survive
the machine (after that everything has ended anyway), so nothing is synced to the disk here.

The log is begun anew from time to time; the one before it is kept until all of its results are safe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.home import private_dir
from funcx_core.ids import TaskId
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.task import Lease
from funcx_core.protocol.worker import Chunk
from funcx_endpoint.worker.page import DONE, STARTED, Page, read_numbers

LOG_BYTES: Final = 4 * 1024 * 1024
_LENGTH: Final = 4


class Deal(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Leases dealt to a worker, and their numbers there."""

    worker: int
    numbers: list[int]
    leases: list[Lease]


class Undeal(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Numbers that came back from a worker unstarted."""

    worker: int
    numbers: list[int]


_decoder: Final[Decoder[Deal | Undeal]] = Decoder(Deal | Undeal)


class Recovered(msgspec.Struct, frozen=True):
    """A lease found in a journal, and whether it had started. It may have ended since: ask who keeps results."""

    lease: Lease
    started: bool


class Journal:
    """The files of one running manager."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers
        self._log = -1
        self._size = 0
        self._began: list[int] = [0] * workers
        self._unwritten = b""
        self.pages: list[Page] = []
        self.page_descriptors: list[int] = []

    def open(self) -> None:
        """Make the folder, the log and a page per worker."""
        private_dir(self._folder)
        self._log = _open_log(self._folder / "deals.log")
        for worker in range(self._workers):
            page, descriptor = Page.create(self._folder / f"worker-{worker}.page")
            self.pages.append(page)
            self.page_descriptors.append(descriptor)

    def close(self, *, forget: bool) -> None:
        """Close the files; `forget` removes them, when nothing is held any more."""
        os.close(self._log)
        for page in self.pages:
            page.close()
        for descriptor in self.page_descriptors:
            os.close(descriptor)
        if forget:
            shutil.rmtree(self._folder, ignore_errors=True)

    def started(self) -> list[int]:
        """Return the number that each worker started last."""
        return [page.numbers[STARTED] for page in self.pages]

    def dealt(self, worker: int, chunk: Chunk) -> None:
        """Note a chunk, before it is sent.

        Raises:
            OSError: it is not noted; the disk is full, as a rule.
        """
        self._append(Deal(worker, [dealt.number for dealt in chunk.tasks], [dealt.task.lease for dealt in chunk.tasks]))

    def returned(self, worker: int, numbers: list[int]) -> None:
        """Note that these did not start there. On a full disk that is written with what comes next."""
        try:
            self._append(Undeal(worker, numbers))
        except OSError:
            self._unwritten += _framed(Undeal(worker, numbers))

    def works(self) -> bool:
        """Try to write a record that says nothing."""
        try:
            self._append(Undeal(0, []))
        except OSError:
            return False
        return True

    def _append(self, record: Deal | Undeal) -> None:
        blob = self._unwritten + _framed(record)
        _write(self._log, blob, self._size)
        self._size += len(blob)
        self._unwritten = b""

    def safe(
        self, numbers: Sequence[int], settled: Sequence[int], held: Callable[[], Mapping[int, Mapping[int, Lease]]]
    ) -> None:
        """The interchange keeps results from now on.

        Args:
            numbers: for each worker the number up to which it does.
            settled: for each worker the number up to which all is answered.
            held: tells the leases that each worker has, by number.
        """
        for page, number in zip(self.pages, numbers, strict=True):
            page.numbers[DONE] = max(page.numbers[DONE], number)
        if self._size > LOG_BYTES and all(old <= new for old, new in zip(self._began, numbers, strict=True)):
            # A log that cannot be begun anew, on a full disk, is gone on with.
            with contextlib.suppress(OSError):
                self._begin_anew(held())
                self._began = list(settled)

    def _begin_anew(self, held: Mapping[int, Mapping[int, Lease]]) -> None:
        deals = [Deal(worker, list(leases), list(leases.values())) for worker, leases in held.items() if leases]
        blob = b"".join(map(_framed, deals))
        fresh = self._folder / "deals.new.log"
        fresh.unlink(missing_ok=True)
        log = _open_log(fresh)
        try:
            _write(log, blob, 0)
        except OSError:
            os.close(log)
            raise
        path = self._folder / "deals.log"
        path.replace(self._folder / "deals.old.log")
        fresh.replace(path)
        os.close(self._log)
        self._log, self._size = log, len(blob)


def _framed(record: Deal | Undeal) -> bytes:
    body = encode(record)
    return len(body).to_bytes(_LENGTH, "big") + body


def _write(log: int, blob: bytes, size: int) -> None:
    """Append `blob` to a log of `size` bytes, wholly or not at all."""
    try:
        if os.write(log, blob) == len(blob):
            return
    except OSError:
        os.ftruncate(log, size)
        raise
    os.ftruncate(log, size)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def recover(leases_dir: Path) -> list[Recovered]:
    """Return what the managers whose folders are in `leases_dir` had dealt and not safely answered for.

    Call it when those managers are gone: they end within two seconds after their agent. Leases that a manager held but had
    not dealt are not in it; they had not started. Results may exist of leases that had started, with the agent or further
    up: whoever has one knows better.
    """
    if not leases_dir.is_dir():
        return []
    return [found for folder in sorted(leases_dir.iterdir()) if folder.is_dir() for found in recover_manager(folder)]


def recover_manager(folder: Path) -> list[Recovered]:
    """Return what the manager with this folder had dealt and not safely answered for."""
    places: dict[tuple[TaskId, int], tuple[int, int]] = {}
    dealt: dict[tuple[int, int], Lease] = {}
    for record in _records(folder):
        if isinstance(record, Deal):
            for number, lease in zip(record.numbers, record.leases, strict=False):
                dealt[record.worker, number] = lease
                places[lease.task_id, lease.attempt] = record.worker, number
        else:
            _forget(record, dealt, places)
    numbers = {worker: read_numbers(folder / f"worker-{worker}.page") for worker, _ in dealt}
    return [
        Recovered(lease, started=number <= numbers[worker][0])
        for (worker, number), lease in dealt.items()
        if places.get((lease.task_id, lease.attempt)) == (worker, number) and number > numbers[worker][1]
    ]


def _forget(
    record: Undeal, dealt: dict[tuple[int, int], Lease], places: dict[tuple[TaskId, int], tuple[int, int]]
) -> None:
    for number in record.numbers:
        lease = dealt.pop((record.worker, number), None)
        if lease is not None:
            places.pop((lease.task_id, lease.attempt), None)


def forget(leases_dir: Path, managers: Iterable[str] | None = None) -> None:
    """Remove the folders of managers that are gone (all, or those named) when their leases were reported."""
    names = list(managers) if managers is not None else [folder.name for folder in leases_dir.glob("*")]
    for name in names:
        shutil.rmtree(leases_dir / name, ignore_errors=True)


def _records(folder: Path) -> Iterator[Deal | Undeal]:
    for name in ("deals.old.log", "deals.log"):
        path = folder / name
        if path.exists():
            yield from _parse(path.read_bytes())


def _parse(log: bytes) -> Iterator[Deal | Undeal]:
    at = 0
    while at + _LENGTH <= len(log):
        end = at + _LENGTH + int.from_bytes(log[at : at + _LENGTH], "big")
        try:
            yield _decoder.decode(memoryview(log)[at + _LENGTH : end])
        except RemoteProtocolError:
            return  # The last record was cut off with its writer: its chunk was never sent.
        at = end
