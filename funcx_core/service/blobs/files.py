"""Blobs as files of one folder.

A chunk is written to its place in a file of its own size, and is synced before it counts. The file gets its final name when all
chunks are there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from funcx_core.errors import FuncxError, ServiceUnavailable, StorageFull
from funcx_core.home import private_dir
from funcx_core.service.blobs.base import BLOCK, BlobBackend, ChunkWriter

LARGE: Final = "large"
"""The folder of a data folder in which blobs are, unless another place is set."""
PART: Final = ".part"
"""How the names of files end that are not complete."""
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileBackend(BlobBackend):
    """Keeps objects in `folder`, which is made; files have mode 0600."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder."""
        private_dir(self._folder)

    def close(self) -> None:
        """Nothing is held."""

    def begin(self, key: str) -> str:
        """Make the file."""
        try:
            os.close(os.open(self._part(key), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _explained(error) from None
        return "file"

    def chunk(self, key: str, upload: str, number: int, offset: int) -> ChunkWriter:
        """Return a writer at `offset`."""
        del upload, number
        try:
            return _FileChunk(os.open(self._part(key), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), offset)
        except OSError as error:
            raise _explained(error) from None

    def finish(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """Give the file its name."""
        del upload, tags
        try:
            with suppress(FileNotFoundError):  # It was done before.
                self._part(key).replace(self._whole(key))
            _sync_folder(self._folder)
        except OSError as error:
            raise _explained(error) from None

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """Yield a part of the file."""
        try:
            with self._whole(key).open("rb", buffering=0) as file:
                file.seek(start)
                left = length
                while left and (block := file.read(min(left, BLOCK))):
                    left -= len(block)
                    yield block
        except OSError as error:
            raise _explained(error) from None

    def remove(self, key: str, upload: str) -> None:
        """Remove the file."""
        del upload
        try:
            for path in (self._part(key), self._whole(key)):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _explained(error) from None

    def _part(self, key: str) -> Path:
        return self._folder / f"{key}{PART}"

    def _whole(self, key: str) -> Path:
        return self._folder / key


class _FileChunk(ChunkWriter):
    def __init__(self, handle: int, offset: int) -> None:
        self._handle = handle
        self._offset = offset

    def write(self, block: bytes | bytearray) -> None:
        """Write the block behind the one before."""
        rest = memoryview(block)
        try:
            while rest:
                written = os.pwrite(self._handle, rest, self._offset)
                self._offset += written
                rest = rest[written:]
        except OSError as error:
            raise _explained(error) from None

    def commit(self) -> str:
        """Sync the file."""
        try:
            os.fdatasync(self._handle)
        except OSError as error:
            raise _explained(error) from None
        finally:
            os.close(self._handle)
        return "file"

    def abort(self) -> None:
        """Leave what was written: the chunk does not count, and is written over."""
        os.close(self._handle)


def _explained(error: OSError) -> FuncxError:
    if error.errno in _NO_SPACE:
        return StorageFull("The service's disk for large values is full. Free some space there and try again.")
    return ServiceUnavailable(f"The service cannot use its folder for large values: {error.strerror}.")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
