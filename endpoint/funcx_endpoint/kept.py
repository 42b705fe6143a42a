"""Values that stay on the endpoint, in a folder that its nodes share, until some time after they were used last.

One file for each, written aside and renamed when it is whole, so that what can be seen is complete; it survives restarts. Its name says of
which task it is, what it is called, and how it is kept: ``asked`` for, ``pinned``, which never expires, or ``spare``, which gives way when
there is no room. When it was used last is the file's time. Each user has a folder, named by the tag that the service puts on tasks: whoever
runs a task gets at the values of that task's owner and at no others.
"""

from __future__ import annotations

import io
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import IO, Final, NamedTuple

from funcx_core.errors import ValueNotKept

STRAY_SECONDS: Final = 24 * 3600.0
"""After which a file that was never completed is of a worker that died."""
MOST_SPARE: Final = 1000
"""Spare values of one user, so that looking through them stays quick."""
_TAG: Final = re.compile(r"[0-9a-zA-Z_-]{1,64}")
_UNFINISHED: Final = "part"


class Manner(StrEnum):
    """How a value is kept."""

    ASKED = "asked"
    PINNED = "pinned"
    SPARE = "spare"


class KeptKey(NamedTuple):
    """Which value."""

    owner: str
    task_id: str
    name: str


class _Entry(NamedTuple):
    path: Path
    manner: str
    size: int
    used_at: float


class KeptFolder:
    """The kept values of an endpoint, for its agent and its workers. No object holds anything: the files are all there is.

    Args:
        path: the folder.
        lifetime: seconds after its last use until a value goes.
        limit: bytes of all values together; 0 to keep none.
    """

    def __init__(self, path: Path, *, lifetime: float, limit: int) -> None:
        self._path = path
        self.lifetime = lifetime
        self.limit = limit

    def open(self) -> None:
        """Make the folder. Only the agent does: where it is missing, a node does not see the agent's files."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def writing(self, key: KeptKey, manner: Manner) -> Iterator[IO[bytes]]:
        """Give a file to write a value to; it is kept if the block ends without an exception.

        Raises:
            ValueNotKept: there is no room for what is written, or no folder.
        """
        folder = self._folder_of(key, make=True)
        part = folder / f"{uuid.uuid4().hex}.{_UNFINISHED}"
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=0) as raw:
                file = _Measured(raw, self, key, manner)
                with io.BufferedWriter(file) as buffered:
                    yield buffered
                    buffered.flush()
                    if manner is not Manner.SPARE:
                        os.fsync(raw.fileno())
            self._remove(key)
            part.replace(folder / f"{key.task_id}.{key.name}.{manner}")
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def adopt(self, path: Path, key: KeptKey, manner: Manner) -> None:
        """Keep a file that is written already, and lies beside this folder; it has two names then.

        Raises:
            ValueNotKept: there is no room for it, or no folder.
        """
        folder = self._folder_of(key, make=True)
        own = folder / f"{key.task_id}.{key.name}.{manner}"
        if not own.exists():  # An agent before this one may have done it.
            size = path.stat().st_size
            room = self.make_room(size, key, manner)
            if size > room:
                raise _full(key, size, self.limit, room)
            os.link(path, own)
        os.utime(own)

    def has(self, key: KeptKey) -> bool:
        """Whether there is such a value. Raises as `open_value` does if there is no folder."""
        return bool(self._files_of(key))

    def open_value(self, key: KeptKey) -> IO[bytes]:
        """Return the value's file to read from, and count this as its use.

        Raises:
            ValueNotKept: it is not here.
        """
        for path in self._files_of(key):
            with suppress(FileNotFoundError):  # It is pinned, or goes, at this moment.
                file = path.open("rb")
                if not _is_over(_entry(path), time.time() - self.lifetime):
                    os.utime(path)
                    return file
                file.close()
        raise _gone(key, self.lifetime)

    def size(self, key: KeptKey) -> int:
        """Return the bytes of a value; 0 if it is not here."""
        return sum(path.stat().st_size for path in self._files_of(key))

    def delete(self, key: KeptKey) -> bool:
        """Remove a value; whether it was here. Raises as `open_value` does if there is no folder."""
        return self._remove(key) > 0

    def pin(self, key: KeptKey, *, is_pinned: bool) -> None:
        """Keep a value for ever, or not any more. Raises as `open_value` does."""
        for path in self._files_of(key):
            os.utime(path)
            path.replace(path.with_suffix(f".{Manner.PINNED if is_pinned else Manner.ASKED}"))
            return
        raise _gone(key, self.lifetime)

    def sweep(self) -> None:
        """Remove what has expired, and what was never completed."""
        now = time.time()
        for entry in self._entries():
            if _is_over(entry, now - self.lifetime) or _is_stray(entry, now - STRAY_SECONDS):
                entry.path.unlink(missing_ok=True)

    def make_room(self, size: int, key: KeptKey, manner: Manner) -> int:
        """Remove what has expired, then spare values, the oldest first, until `size` bytes more fit; return how many fit now."""
        self.sweep()
        entries = sorted(self._entries(), key=lambda entry: entry.used_at)
        spare = [entry for entry in entries if entry.manner == Manner.SPARE]
        own = [entry for entry in spare if entry.path.parent.name == key.owner]
        taken = sum(entry.size for entry in entries if entry.manner != _UNFINISHED)
        for entry in own[: len(own) + 1 - MOST_SPARE] if manner is Manner.SPARE and len(own) >= MOST_SPARE else ():
            entry.path.unlink(missing_ok=True)
            taken -= entry.size
            spare.remove(entry)
        for entry in spare:
            if taken + size <= self.limit:
                break
            entry.path.unlink(missing_ok=True)
            taken -= entry.size
        return self.limit - taken

    def _remove(self, key: KeptKey) -> int:
        found = self._files_of(key)
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _files_of(self, key: KeptKey) -> list[Path]:
        folder = self._folder_of(key)
        candidates = [folder / f"{key.task_id}.{key.name}.{manner}" for manner in Manner]
        return [path for path in candidates if path.exists()]

    def _folder_of(self, key: KeptKey, *, make: bool = False) -> Path:
        _check(key)
        if not self._path.is_dir():
            raise ValueNotKept(
                f"`{key.name}` cannot be kept or found on this node: it does not see the folder of its endpoint, "
                "which nodes must share with the agent.",
                details={"why": "unseen", "task": key.task_id, "name": key.name},
            )
        folder = self._path / key.owner
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _entries(self) -> list[_Entry]:
        found = []
        for path in self._path.glob("*/*"):
            with suppress(FileNotFoundError):
                found.append(_entry(path))
        return found


class _Measured(io.RawIOBase):
    """Refuses what does not fit into the folder, when it is written and not before: how large a pickle is, nobody knows."""

    _STEP = 64 * 1024 * 1024

    def __init__(self, raw: IO[bytes], folder: KeptFolder, key: KeptKey, manner: Manner) -> None:
        self._raw = raw
        self._folder = folder
        self._key = key
        self._manner = manner
        self._written = 0
        self._room = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # whatever `BufferedWriter` hands on
        if self._written + len(view) > self._room:
            self._ask_for(self._written + len(view))
        rest = view
        while rest:
            rest = rest[self._raw.write(rest) :]
        self._written += len(view)
        return len(view)

    def _ask_for(self, size: int) -> None:
        wanted = min(size + self._STEP, max(self._folder.limit, size)) if self._written else size
        self._room = min(wanted, self._folder.make_room(wanted, self._key, self._manner))
        if size > self._room:
            raise _full(self._key, size, self._folder.limit, self._room)


def _check(key: KeptKey) -> None:
    """Names of files are made of this."""
    try:
        uuid.UUID(key.task_id)
    except ValueError:
        raise _gone(key, 0) from None
    if not (key.name.isidentifier() and _TAG.fullmatch(key.owner)):
        raise _gone(key, 0)


def _entry(path: Path) -> _Entry:
    found = path.stat()
    return _Entry(path, path.suffix[1:], found.st_size, found.st_mtime)


def _is_over(entry: _Entry, before: float) -> bool:
    return entry.manner in {Manner.ASKED, Manner.SPARE} and entry.used_at < before


def _is_stray(entry: _Entry, before: float) -> bool:
    return entry.manner == _UNFINISHED and entry.used_at < before


def _full(key: KeptKey, size: int, limit: int, room: int) -> ValueNotKept:
    return ValueNotKept(
        f"`{key.name}` has {size:,} bytes or more, and of the {limit:,} bytes that this endpoint keeps "
        f"{max(room, 0):,} are free. Delete values that you do not need there (`ref.delete()`), or take a part.",
        details={"why": "full", "task": key.task_id, "name": key.name},
    )


def _gone(key: KeptKey, lifetime: float) -> ValueNotKept:
    hours = f"{lifetime / 3600:g} h have passed since it was used last" if lifetime else "it was never kept"
    return ValueNotKept(
        f"`{key.name}` of task {key.task_id} is not on this endpoint any more: {hours}, or it was deleted. Run its cell again.",
        details={"why": "gone", "task": key.task_id, "name": key.name, "hours": lifetime / 3600},
    )
