"""Values that are too long to travel with their task lie in folders of the endpoint, which its nodes share.

The agent fetches arguments from the service into ``arguments`` before a task is dealt, and a worker reads them there. A worker
writes its result into ``results``, under the id of the blob that it will be; the agent uploads it from there and keeps the
file until the service has committed the result. A third one, ``kept``, is for what stays: see `funcx_endpoint.kept`.

Inputs of notebook cells are in ``inputs``, for each user by their SHA-256, and stay there for the next cell that has the same.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Final

from funcx_core.ids import BlobId, new_blob_id
from funcx_core.protocol.blob import BlobReference

KEPT: Final = "kept"
"""Name of the folder for values that stay on the endpoint."""
_BESIDE: Final = ".if_refused"
STRAY_SECONDS: Final = 24 * 3600.0
"""A result file that no result names may still be named by one that is on its way; after a day it is not."""


class LargeFolder:
    """Where large values of an endpoint are, for its agent and its workers."""

    def __init__(self, path: Path) -> None:
        self._arguments = path / "arguments"
        self._results = path / "results"
        self._inputs = path / "inputs"

    def open(self, unacknowledged: Container[str]) -> None:
        """Make the folders and remove the arguments that an earlier agent left."""
        for folder in (self._arguments, self._results, self._inputs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._arguments.iterdir():
            path.unlink(missing_ok=True)
        self.remove_stray(unacknowledged)

    def remove_stray(self, unacknowledged: Container[str]) -> None:
        """Remove old results that are not among these: of attempts that did not count, of workers that were killed."""
        before = time.time() - STRAY_SECONDS
        for path in self._results.iterdir():
            if path.stem not in unacknowledged and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)

    def argument(self, blob_id: BlobId) -> Path:
        """Return where an argument is."""
        return self._arguments / blob_id

    def result(self, blob_id: BlobId) -> Path:
        """Return where a result is."""
        return self._results / blob_id

    def input(self, owner: str, sha256: str) -> Path:
        """Return where an input of a user's cells is. `owner`: see `Task.owner`."""
        return self._inputs / f"{owner}-{sha256}"

    def inputs(self) -> Iterator[Path]:
        """Yield the inputs that are here. What an agent left unfinished is removed."""
        for path in self._inputs.iterdir():
            if path.suffix:
                path.unlink(missing_ok=True)
            else:
                yield path

    def arguments(self) -> list[BlobId]:
        """Return the arguments that are here."""
        return [BlobId(path.name) for path in self._arguments.iterdir() if not path.suffix]

    def if_refused(self, blob_id: BlobId) -> bytes:
        """Return what was written beside a result, for the case that the service does not take it; nothing if nothing was."""
        try:
            return self._beside(blob_id).read_bytes()
        except FileNotFoundError:
            return b""

    def remove_result(self, blob_id: BlobId) -> None:
        """Remove a result, and what is beside it."""
        self.result(blob_id).unlink(missing_ok=True)
        self._beside(blob_id).unlink(missing_ok=True)

    def _beside(self, blob_id: BlobId) -> Path:
        return self._results / f"{blob_id}{_BESIDE}"

    def write_result(self, content: bytes, if_refused: bytes = b"") -> BlobReference:
        """Put a result on disk, and what is to be known if the service does not take it; return the reference to it.

        Raises:
            OSError: it cannot be written.
        """
        reference = BlobReference(new_blob_id(), len(content), hashlib.sha256(content).hexdigest())
        path = self.result(reference.blob_id)
        part = path.with_suffix(".part")
        beside = self._beside(reference.blob_id)
        try:
            if if_refused:
                _write(beside, if_refused)
            _write(part, content)
            part.replace(path)
            _sync_folder(self._results)
        except BaseException:
            part.unlink(missing_ok=True)
            beside.unlink(missing_ok=True)
            raise
        return reference

    def read_input(self, owner: str, sha256: str) -> bytearray:
        """Return an input. A file that holds something else is removed.

        Raises:
            OSError: it is not here.
        """
        path = self.input(owner, sha256)
        with path.open("rb", buffering=0) as file:
            content = bytearray(os.fstat(file.fileno()).st_size)
            rest = memoryview(content)
            while rest and (count := file.readinto(rest)):
                rest = rest[count:]
        if hashlib.sha256(content).hexdigest() != sha256:
            path.unlink(missing_ok=True)
            raise OSError("What is in its place is something else.")
        return content

    def read_argument(self, reference: BlobReference) -> bytes:
        """Return an argument.

        Raises:
            OSError: it is not here, or something else is.
        """
        content = self.argument(reference.blob_id).read_bytes()
        if len(content) != reference.size:
            raise OSError(f"The argument has {len(content):,} bytes here instead of {reference.size:,}.")
        return content


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
