"""The seam: what keeps the bytes of blobs. Which blobs there are, and whose, is the catalog's business."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Final

BLOCK: Final = 1024 * 1024
"""Bytes that are read, written and hashed at a time."""


class ChunkWriter(ABC):
    """Takes the bytes of one chunk. One thread at a time uses it, and ends it by `commit` or `abort`."""

    @abstractmethod
    def write(self, block: bytes | bytearray) -> None:
        """Take the next bytes.

        Raises:
            StorageFull: there is no room for them.
        """

    @abstractmethod
    def commit(self) -> str:
        """Make the chunk durable and return its tag, which `BlobBackend.finish` needs.

        Raises:
            StorageFull, ServiceUnavailable: it is not durable; the chunk may be sent again.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget the chunk. Never raises."""


class BlobBackend(ABC):
    """Keeps objects by key. All methods block and are called from several threads, for one object's chunks too.

    Whatever cannot be done now and may be done later is `ServiceUnavailable` or `StorageFull`.
    """

    least_chunk: int = 1
    """Bytes that every chunk but the last one must have."""

    @abstractmethod
    def open(self) -> None:
        """Prepare.

        Raises:
            ConfigError: it cannot be used as it is configured; the text says what to do.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    @abstractmethod
    def begin(self, key: str) -> str:
        """Start the upload of an object and return its handle, not empty."""

    @abstractmethod
    def chunk(self, key: str, upload: str, number: int, offset: int) -> ChunkWriter:
        """Return where the chunk `number` (from 0), which begins at `offset`, is to be written."""

    @abstractmethod
    def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Make the object of its chunks. Doing it again is harmless."""

    @abstractmethod
    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes from `start` of a finished object, in blocks of at most `BLOCK`."""

    @abstractmethod
    def remove(self, key: str, upload: str) -> None:
        """Remove an object, finished or not; if there is none, that is as well."""
