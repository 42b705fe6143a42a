"""Large values to and from the service, in chunks: what `FuncXExecutor`, `FuncXClient` and the endpoint's agent stand on.

Up to four chunks are under way at a time. A chunk that fails is tried again, by itself, for as long as the transfer is patient
with a service that does not answer; what has arrived is not sent again, neither by this process nor by the next one that
uploads the same blob.
"""

from __future__ import annotations

import hashlib
import http.client
import mmap
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from funcx_core.errors import ChecksumMismatch, FuncxError, ServiceUnavailable, StorageFull, TryAgainLater
from funcx_core.ids import BlobId, TaskId, new_blob_id
from funcx_core.protocol.blob import (
    CHUNK_CHECKSUM_HEADER,
    BlobKind,
    BlobReference,
    BlobState,
    CompleteBlob,
    CreateBlob,
)
from funcx_core.sdk.blob_connection import Connection, blob_state, close_all, refusal
from funcx_core.sdk.settings import Settings
from funcx_core.transport.retry import Backoff

PARALLEL: Final = 4
PATIENCE: Final = 120.0
"""Seconds for which a service that does not answer is tried again, from the last time that it did."""
RANGE_BYTES: Final = 8 * 1024 * 1024
PIECE: Final = 1024 * 1024
REMEMBERED: Final = 256
"""Uploads whose ids are used again for the same content, so that endpoints fetch it once."""
_FIRST_FAILURE: Final = 300

T = TypeVar("T")
Content = bytes | bytearray | memoryview | mmap.mmap
Put = Callable[[int, memoryview], None]
Work = Callable[[threading.Event], int]
"""Moves some bytes, unless the event is set meanwhile, and returns how many."""


class Progress(msgspec.Struct, frozen=True):
    """How far a transfer is. `direction` is ``up`` or ``down``; `done` and `total` are bytes."""

    direction: str
    blob_id: BlobId
    done: int
    total: int


OnProgress = Callable[[Progress], None]


class Transfer:
    """Uploads and downloads blobs of one service. All methods block, and may be called from any thread.

    Args:
        settings: gives the service and the token, for each connection anew.
        patience: seconds for which a service that does not answer is tried again; None for as long as it takes.
        patience_if_full: likewise for one whose disk is full; None for `patience`.
        on_progress: called after each chunk, on the thread that called `upload` or `download`.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        *,
        patience: float | None = PATIENCE,
        patience_if_full: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.on_progress = on_progress
        self._settings = settings
        self._patience = patience
        self._patience_if_full = patience_if_full
        self._is_closed = False
        self._stops: set[threading.Event] = set()
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._sent: dict[str, BlobReference] = {}
        # A transfer that is dropped without close() must not leave sockets behind.
        self._finalizer = weakref.finalize(self, close_all, self._idle)

    # --- up ------------------------------------------------------------------------------------------------------

    def upload(self, content: Content) -> BlobReference:
        """Upload arguments and return the reference to them. What the service has already is not sent.

        Raises:
            PayloadTooLarge, BlobQuotaExceeded: the service does not take it.
            ServiceUnavailable: it did not answer for too long, or the transfer was closed.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        with self._lock:
            reference = self._sent.get(sha256) or BlobReference(new_blob_id(), len(content), sha256)
        self.upload_as(reference, content, kind="argument")
        with self._lock:
            self._sent[sha256] = reference
            if len(self._sent) > REMEMBERED:
                del self._sent[next(iter(self._sent))]
        return reference

    def upload_as(
        self,
        reference: BlobReference,
        content: Content,
        *,
        kind: BlobKind = "argument",
        task_id: TaskId | None = None,
    ) -> None:
        """Upload `content` as the blob that `reference` names, from where an earlier upload of it stopped."""
        self.send(reference, content, self.announce(reference, kind=kind, task_id=task_id))

    def announce(
        self, reference: BlobReference, *, kind: BlobKind = "argument", task_id: TaskId | None = None
    ) -> BlobState:
        """Make a blob, or find it, and return what the service has of it. For a day from now on it is kept there.

        Raises:
            Conflict: there was another blob of this id, or this one has gone.
            PayloadTooLarge, BlobQuotaExceeded: the service does not take it.
        """
        wanted = CreateBlob(
            size=reference.size, blob_id=reference.blob_id, sha256=reference.sha256, kind=kind, task_id=task_id
        )
        with self._stop() as stop:
            return self._patiently(lambda: self._json("POST", "blobs", wanted), stop)

    def state(self, reference: BlobReference) -> BlobState:
        """Return what the service has of a blob.

        Raises:
            BlobNotFound: it is not there, or not for you.
        """
        with self._stop() as stop:
            path = f"blobs/{reference.blob_id}"
            return self._patiently(lambda: blob_state(self._exchange("GET", path, None, {})), stop)

    def delete(self, reference: BlobReference) -> None:
        """Give up a blob, finished or not.

        Raises:
            Conflict: a task uses it.
        """
        with self._stop() as stop:
            self._patiently(lambda: self._exchange("DELETE", f"blobs/{reference.blob_id}", None, {}), stop)

    def send(
        self, reference: BlobReference, content: Content, state: BlobState, *, on_progress: OnProgress | None = None
    ) -> None:
        """Upload what the service does not have of an announced blob. `on_progress` is called instead of the usual one."""
        tell = on_progress or self.on_progress
        if not state.complete:
            missing = sorted(set(range(state.chunks)) - set(state.received))
            start = Progress("up", reference.blob_id, present_bytes(state), reference.size)
            with self._stop() as stop, memoryview(content) as view:
                works = [self._chunk_upload(view, state, number) for number in missing]
                self._all(works, stop, start, tell)
                complete = CompleteBlob(reference.sha256)
                self._patiently(lambda: self._json("POST", f"blobs/{reference.blob_id}/complete", complete), stop)
        if tell is not None:
            tell(Progress("up", reference.blob_id, reference.size, reference.size))

    def _chunk_upload(self, view: memoryview, state: BlobState, number: int) -> Work:
        def work(stop: threading.Event) -> int:
            start = number * state.chunk_bytes
            with view[start : start + _length(state, number)] as part:
                headers = {CHUNK_CHECKSUM_HEADER: hashlib.sha256(part).hexdigest()}
                path = f"blobs/{state.blob_id}/chunks/{number}"
                self._patiently(lambda: self._exchange("PUT", path, part, headers), stop)
                return len(part)

        return work

    # --- down ----------------------------------------------------------------------------------------------------

    def download(self, reference: BlobReference) -> bytearray:
        """Return the content of a blob.

        Raises:
            BlobNotFound: it is not there, or not for you.
            ChecksumMismatch: what came is something else.
            ServiceUnavailable: the service did not answer for too long, or the transfer was closed.
        """
        content = bytearray(reference.size)

        def put(offset: int, piece: memoryview) -> None:
            content[offset : offset + len(piece)] = piece

        self._download(reference, put)
        _compare(reference, hashlib.sha256(content).hexdigest())
        return content

    def download_to(self, reference: BlobReference, path: Path, *, without: bytes = b"") -> None:
        """Write the content of a blob to a file, which appears when it is whole; leave out `without`, with which it begins.

        Raises as `download` does, and `OSError`.
        """
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "r+b", buffering=0) as file:
                handle, skipped = file.fileno(), len(without)
                self._download(
                    reference,
                    lambda offset, piece: _pwrite(handle, piece[max(0, skipped - offset) :], max(0, offset - skipped)),
                )
                _compare(reference, _file_hash(file, without))
            part.replace(path)
        except BaseException as error:
            part.unlink(missing_ok=True)
            if isinstance(error, _TargetFailed):
                raise error.error from None
            raise

    def _download(self, reference: BlobReference, put: Put) -> None:
        starts = range(0, reference.size, RANGE_BYTES)
        works = [
            self._range_download(reference, start, min(start + RANGE_BYTES, reference.size), put) for start in starts
        ]
        with self._stop() as stop:
            self._all(works, stop, Progress("down", reference.blob_id, 0, reference.size), self.on_progress)
        if self.on_progress is not None:
            self.on_progress(Progress("down", reference.blob_id, reference.size, reference.size))

    def _range_download(self, reference: BlobReference, start: int, end: int, put: Put) -> Work:
        at = start

        def receive(response: http.client.HTTPResponse) -> None:
            nonlocal at
            buffer = memoryview(bytearray(min(PIECE, end - start)))
            while at < end:
                count = response.readinto(buffer[: min(len(buffer), end - at)])
                if not count:
                    raise http.client.IncompleteRead(b"", end - at)
                try:
                    put(at, buffer[:count])
                except OSError as error:
                    raise _TargetFailed(error) from error
                at += count

        def work(stop: threading.Event) -> int:
            path = f"blobs/{reference.blob_id}/content"
            # After a broken connection it goes on behind the last byte that came.
            self._patiently(
                lambda: self._exchange("GET", path, None, {"Range": f"bytes={at}-{end - 1}"}, receive), stop
            )
            return end - start

        return work

    # --- life ----------------------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be transferred any more."""
        return self._is_closed

    def close(self) -> None:
        """End what is under way with `ServiceUnavailable`; nothing can be transferred any more."""
        with self._lock:
            self._is_closed = True
            connections = [*self._idle, *self._busy]
            self._idle.clear()
            for stop in self._stops:
                stop.set()
        for connection in connections:
            connection.abort()

    # --- inside --------------------------------------------------------------------------------------------------

    @contextmanager
    def _stop(self) -> Iterator[threading.Event]:
        """Yield an event that ends one transfer when it is set: by its failure, or by `close`."""
        stop = threading.Event()
        with self._lock:
            self._stops.add(stop)
            if self._is_closed:
                stop.set()
        try:
            yield stop
        finally:
            with self._lock:
                self._stops.discard(stop)

    def _all(self, works: list[Work], stop: threading.Event, start: Progress, tell: OnProgress | None) -> None:
        """Do everything, a few at a time, and tell how far it is; the first failure ends it."""
        done = start.done
        with ThreadPoolExecutor(min(PARALLEL, len(works) or 1), thread_name_prefix="funcx-blob") as threads:
            under_way: set[Future[int]] = {threads.submit(work, stop) for work in works}
            try:
                while under_way:
                    ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    done += sum(future.result() for future in ended)
                    if under_way and tell is not None:
                        tell(msgspec.structs.replace(start, done=done))
            except BaseException as error:
                stop.set()
                for future in under_way:
                    future.cancel()
                if not isinstance(error, FuncxError):  # The caller was interrupted, or does not want the rest: now.
                    self._abort_busy()
                raise

    def _abort_busy(self) -> None:
        with self._lock:
            connections = [*self._busy]
        for connection in connections:
            connection.abort()

    def _patiently(self, attempt: Callable[[], T], stop: threading.Event) -> T:
        backoff = Backoff(0.1, 5.0)
        give_up = None if self._patience is None else time.monotonic() + self._patience
        full_until: float | None = None
        while True:
            if stop.is_set():
                raise ServiceUnavailable("The transfer was stopped.")
            try:
                return attempt()
            except TryAgainLater as error:
                is_full = isinstance(error, StorageFull) and self._patience_if_full is not None
                if is_full and full_until is None:
                    full_until = time.monotonic() + (self._patience_if_full or 0.0)
                until = full_until if is_full else give_up
                if until is not None and time.monotonic() > until:
                    raise
                stop.wait(backoff.next() if error.retry_after is None else error.retry_after)

    def _json(self, method: str, path: str, body: msgspec.Struct) -> BlobState:
        headers = {"Content-Type": "application/json"}
        return blob_state(self._exchange(method, path, msgspec.json.encode(body), headers))

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | memoryview | None,
        headers: dict[str, str],
        receive: Callable[[http.client.HTTPResponse], None] | None = None,
    ) -> bytes:
        """Send one request and return the body of the answer, unless `receive` takes it."""
        settings = self._settings()
        for is_last in (False, True):
            with self._connection(settings) as connection:
                response = connection.request(method, path, body, {**settings.headers, **headers})
                if response.status < _FIRST_FAILURE and receive is not None:
                    receive(response)
                answer = response.read()
                connection.is_usable = not response.will_close
            if response.status < _FIRST_FAILURE:
                return answer
            if is_last or response.status != HTTPStatus.UNAUTHORIZED or not settings.renew():
                break
        raise refusal(response, answer)

    @contextmanager
    def _connection(self, settings: Settings) -> Iterator[Connection]:
        with self._lock:
            connection = self._take_idle(settings.service_address) or Connection(settings.service_address)
            self._busy.add(connection)
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            connection.is_usable = False
            raise ServiceUnavailable(
                f"The connection to {settings.service_address} broke ({str(error) or type(error).__name__})."
            ) from error
        finally:
            with self._lock:
                self._busy.discard(connection)
                if connection.is_usable and not self._is_closed:
                    connection.is_usable = False
                    self._idle.append(connection)
                else:
                    connection.abort()

    def _take_idle(self, address: str) -> Connection | None:
        if self._process != os.getpid():  # A forked child must not speak on its parent's connections.
            self._process = os.getpid()
            self._idle.clear()
        while self._idle:
            connection = self._idle.pop()
            if connection.address == address:
                return connection
            connection.abort()
        return None


class _TargetFailed(Exception):
    """What came cannot be written where it was to go: trying again does not help."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


def present_bytes(state: BlobState) -> int:
    """Return how many bytes of a blob the service has."""
    return sum(_length(state, number) for number in state.received)


def _length(state: BlobState, number: int) -> int:
    return min(state.chunk_bytes, state.size - number * state.chunk_bytes)


def _file_hash(file: BinaryIO | FileIO, before: bytes) -> str:
    digest = hashlib.sha256(before)
    file.seek(0)
    while block := file.read(PIECE):
        digest.update(block)
    return digest.hexdigest()


def _pwrite(handle: int, piece: memoryview, offset: int) -> None:
    while piece:
        written = os.pwrite(handle, piece, offset)
        offset, piece = offset + written, piece[written:]


def _compare(reference: BlobReference, found: str) -> None:
    if found != reference.sha256:
        raise ChecksumMismatch(
            f"Blob '{reference.blob_id}' arrived with another SHA-256 than it was sent with. Fetch it again."
        )
