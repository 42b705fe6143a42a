"""What can be done with blobs for a user: make, fill, complete, read, bind to tasks, delete, expire.

Backends block, so a few threads call them. The bytes of a chunk go to its place while they arrive, `BLOCK` of them at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from funcx_core.errors import (
    BlobNotFound,
    ChecksumMismatch,
    Conflict,
    FuncxError,
    InvalidRequest,
    PayloadTooLarge,
    ServiceUnavailable,
    TryAgainLater,
)
from funcx_core.ids import BlobId, TaskId, new_blob_id, parse_id
from funcx_core.protocol.blob import BlobReference, BlobState, CreateBlob, is_sha256
from funcx_core.protocol.client import Limits
from funcx_core.service.blobs.base import BLOCK, BlobBackend, ChunkWriter
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.store.blob_catalog import BlobCatalog
from funcx_core.service.store.blob_records import Blob, Stage
from funcx_core.service.store.records import User

THREADS: Final = 8
MOST_CHUNKS: Final = 10_000
"""What S3 takes as parts of one object."""
LARGEST_CHUNK: Final = MAX_HTTP_BODY

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Blobs:
    """Blobs of all users, on one catalog and one backend."""

    def __init__(
        self, catalog: BlobCatalog, backend: BlobBackend, limits: Limits, *, now: Callable[[], float] = time.time
    ) -> None:
        self._catalog = catalog
        self._backend = backend
        self._limits = limits
        self._now = now
        self._threads: ThreadPoolExecutor | None = None
        # One thing at a time is done with a blob as a whole, and one chunk of a number is received.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._incoming: WeakValueDictionary[str, IncomingChunk] = WeakValueDictionary()

    def change(self, limits: Limits) -> None:
        """Take other limits, from the next upload on."""
        self._limits = limits

    @property
    def is_on(self) -> bool:
        """Whether the service keeps blobs."""
        return self._limits.max_blob > 0

    async def open(self) -> None:
        """Prepare the backend.

        Raises:
            ConfigError: it cannot be used.
        """
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        if self.is_on:
            await self.call(self._backend.open)

    async def close(self) -> None:
        """Wait for what is under way."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)
            self._backend.close()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in one of the threads."""
        if self._threads is None:
            raise ServiceUnavailable("The service is stopping. Try again in a moment.", retry_after=1)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    # --- up ----------------------------------------------------------------------------------------------------

    async def create(self, user: User, wanted: CreateBlob) -> BlobState:
        """Make a blob, or find it: one with the same id, or with content that the user has uploaded before.

        Raises:
            PayloadTooLarge, BlobQuotaExceeded, Conflict: it cannot be made.
            TaskNotFound: the task that it is a result of is not open on an endpoint of the caller.
        """
        self._check(wanted)
        owner_id = user.user_id
        if wanted.task_id is not None:
            owner_id = await self._catalog.owner_of_result(user.user_id, TaskId(parse_id(wanted.task_id, "task id")))
        blob_id = BlobId(parse_id(wanted.blob_id, "blob id")) if wanted.blob_id else new_blob_id()
        now = self._now()
        blob = await self._catalog.create(
            Blob(
                blob_id=blob_id,
                owner_id=owner_id,
                size=wanted.size,
                kind=wanted.kind,
                object_key=blob_id,
                chunk_bytes=self._chunk_bytes(wanted.size),
                created_at=now,
                touched_at=now,
                sha256=wanted.sha256,
            ),
            quota=self._limits.max_blob_bytes,
        )
        if wanted.task_id is not None:
            await self._catalog.use(blob_id, wanted.task_id, "result", now)
        return await self._state_of(blob)

    def _chunk_bytes(self, size: int) -> int:
        wished = max(self._limits.blob_chunk, self._backend.least_chunk, -(-size // MOST_CHUNKS))
        return min(wished, LARGEST_CHUNK)

    def _check(self, wanted: CreateBlob) -> None:
        if not self.is_on:
            raise PayloadTooLarge(wanted.size, self._limits.max_payload, "value")
        if wanted.size > self._limits.max_blob:
            raise PayloadTooLarge(wanted.size, self._limits.max_blob, "value")
        if wanted.size < 1:
            raise InvalidRequest(f"'size' is {wanted.size}; a blob has at least one byte.")
        if wanted.sha256 is not None and not is_sha256(wanted.sha256):
            raise InvalidRequest("'sha256' is not a SHA-256 in lower-case hex.")
        if (wanted.kind == "result") != (wanted.task_id is not None):
            raise InvalidRequest("A result, and nothing else, needs the 'task_id' that it is of.")

    async def state(self, user: User, blob_id: str) -> BlobState:
        """Return what is known of a blob, and which of its chunks have come."""
        return await self._state_of(await self._usable(user, blob_id))

    async def chunk(self, user: User, blob_id: str, number: int) -> IncomingChunk:
        """Return where to put the bytes of a chunk. The same one on its way over an older connection is given up.

        Raises:
            BlobNotFound: it is not the caller's.
            InvalidRequest: it has no such chunk.
        """
        blob = await self._usable(user, blob_id)
        if not 0 <= number < blob.chunks:
            raise InvalidRequest(f"The blob has {blob.chunks} chunks, numbered from 0; there is no chunk {number}.")
        name = f"{blob.object_key}/{number}"
        async with self._lock(name):
            if (older := self._incoming.get(name)) is not None:
                await older.give_way()
            writer = None
            if blob.stage is not Stage.COMPLETE and number not in await self._catalog.tags(blob.blob_id):
                upload = await self._begin(blob)
                offset = number * blob.chunk_bytes
                writer = await self.call(self._backend.chunk, blob.object_key, upload, number, offset)
            chunk = self._incoming[name] = IncomingChunk(self, blob, number, writer)
        return chunk

    async def _begin(self, blob: Blob) -> str:
        async with self._lock(blob.object_key):
            known = await self._catalog.find(blob.blob_id)
            if known is None:
                raise BlobNotFound(blob.blob_id)
            if known.upload:
                return known.upload
            upload = await self.call(self._backend.begin, blob.object_key)
            await self._catalog.begun(blob.blob_id, upload)
            return upload

    async def received(self, blob: Blob, number: int, tag: str) -> None:
        """A chunk is durable."""
        await self._catalog.received(blob.blob_id, number, tag, self._now())

    async def complete(self, user: User, blob_id: str, sha256: str | None) -> BlobState:
        """Check the whole and make it readable; again, if it was done before, changes nothing.

        Raises:
            InvalidRequest: chunks are missing, or nobody said which checksum it must have.
            ChecksumMismatch: it has another one; its chunks are forgotten.
        """
        blob = await self._usable(user, blob_id)
        async with self._lock(f"{blob.object_key}/complete"):
            blob = await self._usable(user, blob_id)
            expected = sha256 or blob.sha256
            if expected is None or not is_sha256(expected) or (blob.sha256 and blob.sha256 != expected):
                raise InvalidRequest(
                    "Say the SHA-256 of the whole, in lower-case hex, once: at the start or at the end."
                )
            if blob.stage is not Stage.COMPLETE:
                await self._complete(blob, expected)
        return await self._state_of(await self._usable(user, blob_id))

    async def _complete(self, blob: Blob, expected: str) -> None:
        tags = await self._catalog.tags(blob.blob_id)
        if len(tags) < blob.chunks:
            missing = next(number for number in range(blob.chunks) if number not in tags)
            raise InvalidRequest(f"{blob.chunks - len(tags)} chunks have not come, the first is {missing}. Send them.")
        await self.call(self._backend.finish, blob.object_key, blob.upload, tags)
        found = await self.call(self._hash, blob)
        if not hmac.compare_digest(found, expected):
            await self._catalog.drop(blob.blob_id, force=True)
            await self._erase_gone()
            raise ChecksumMismatch(
                f"The blob's SHA-256 is {found}, not {expected} as was said; it was dropped. Upload it again under a new id."
            )
        await self._catalog.completed(blob.blob_id, expected, self._now())

    def _hash(self, blob: Blob) -> str:
        digest = hashlib.sha256()
        for block in self._backend.read(blob.object_key, 0, blob.size):
            digest.update(block)
        return digest.hexdigest()

    # --- down --------------------------------------------------------------------------------------------------

    async def readable(self, user: User, blob_id: str) -> Blob:
        """Return a complete blob that the caller may read: their own, or one that a task on their endpoint uses.

        Raises:
            BlobNotFound: there is none.
        """
        blob = await self._catalog.find(BlobId(parse_id(blob_id, "blob id")))
        if blob is None or blob.stage is not Stage.COMPLETE or not await self._catalog.may_use(user.user_id, blob):
            raise BlobNotFound(blob_id)
        return blob

    async def read(self, blob: Blob, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of a complete blob."""
        blocks = self._backend.read(blob.object_key, start, length)
        try:
            while (block := await self.call(next, blocks, None)) is not None:
                yield block
        finally:
            with contextlib.suppress(ServiceUnavailable):
                await self.call(_close, blocks)

    # --- use and end -------------------------------------------------------------------------------------------

    async def bind(self, user: User, wanted: Mapping[TaskId, Sequence[BlobReference]]) -> dict[TaskId, FuncxError]:
        """Let tasks that are about to be committed use blobs as arguments; return those that cannot, with the reason."""
        refused = await self._catalog.bind(user.user_id, wanted, self._now())
        return {task_id: BlobNotFound(blob_id) for task_id, blob_id in refused.items()}

    async def delete(self, user: User, blob_id: str) -> None:
        """Delete a blob.

        Raises:
            Conflict: a task uses it.
        """
        blob = await self._usable(user, blob_id)
        if not await self._catalog.drop(blob.blob_id):
            raise Conflict(f"Blob '{blob_id}' belongs to a task, and goes with it.")
        await self._erase_gone()

    async def expire(self, now: float) -> int:
        """Drop what no task needs and nobody has touched for a day; return how many there were. To be called now and then."""
        if not self.is_on:
            return 0
        await self._catalog.expire(now)
        return await self._erase_gone()

    async def _erase_gone(self) -> int:
        gone = await self._catalog.gone()
        for blob, with_object in gone:
            if with_object:
                await self.call(self._backend.remove, blob.object_key, blob.upload)
        if gone:
            await self._catalog.erase([blob.blob_id for blob, _ in gone])
            _log.info("removed %d blobs", len(gone))
        return len(gone)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _usable(self, user: User, blob_id: str) -> Blob:
        blob = await self._catalog.find(BlobId(parse_id(blob_id, "blob id")))
        if blob is None or not await self._catalog.may_use(user.user_id, blob):
            raise BlobNotFound(blob_id)
        return blob

    async def _state_of(self, blob: Blob) -> BlobState:
        return blob.state(sorted(await self._catalog.tags(blob.blob_id)))

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock


class IncomingChunk:
    """One chunk on its way in. Give it all bytes with `write`, then `finish` it; `abort` it if that cannot be done.

    A writer of None is for a chunk that is there already: its bytes are taken and dropped.
    """

    def __init__(self, blobs: Blobs, blob: Blob, number: int, writer: ChunkWriter | None) -> None:
        self.length = blob.chunk_length(number)
        self._blobs = blobs
        self._blob = blob
        self._number = number
        self._writer = writer
        self._is_there = writer is None
        self._in_use = asyncio.Lock()
        self._is_given_up = False
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0

    async def write(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._size += len(piece)
        if self._writer is None or self._is_given_up or self._size > self.length:
            return
        self._buffer += piece
        if len(self._buffer) >= BLOCK:
            async with self._using() as writer:
                await self._pass_on(writer)

    async def finish(self, sha256: str) -> None:
        """All bytes have come: make the chunk durable.

        Raises:
            InvalidRequest: they were too few or too many.
            ChecksumMismatch: they have another checksum.
            TryAgainLater: another connection brings the same chunk.
        """
        if self._size != self.length:
            self.abort()
            raise InvalidRequest(f"Chunk {self._number} has {self.length:,} bytes; {self._size:,} came.")
        if self._is_there:
            return
        async with self._using() as writer:
            if self._buffer:
                await self._pass_on(writer)
            if not hmac.compare_digest(self._digest.hexdigest(), sha256):
                raise ChecksumMismatch(f"Chunk {self._number} arrived damaged: its SHA-256 differs. Send it again.")
            self._writer = None
            await self._blobs.received(self._blob, self._number, await self._blobs.call(writer.commit))

    async def give_way(self) -> None:
        """Another connection brings the same chunk: return when nothing of this one is under way any more."""
        self._is_given_up = True
        async with self._in_use:
            self._drop()

    def abort(self) -> None:
        """Forget the chunk, unless it was finished. Safe to call again, and while a thread is at it."""
        self._is_given_up = True
        if not self._in_use.locked():
            self._drop()

    @contextlib.asynccontextmanager
    async def _using(self) -> AsyncIterator[ChunkWriter]:
        """Yield the writer to be used by a thread; it is dropped afterwards if the chunk was given up or something failed."""
        async with self._in_use:
            if self._writer is None or self._is_given_up:
                self._drop()
                raise TryAgainLater("The same chunk came over another connection.", retry_after=0.2)
            try:
                yield self._writer
            except BaseException:
                self._is_given_up = True
                raise
            finally:
                if self._is_given_up:
                    self._drop()

    async def _pass_on(self, writer: ChunkWriter) -> None:
        block, self._buffer = self._buffer, bytearray()
        await self._blobs.call(self._take, writer, block)

    def _take(self, writer: ChunkWriter, block: bytearray) -> None:
        self._digest.update(block)
        writer.write(block)

    def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abort()


def _close(blocks: Any) -> None:
    blocks.close()
