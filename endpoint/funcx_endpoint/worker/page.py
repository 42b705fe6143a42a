"""The file of a few numbers that a worker and its manager share by mapping it into memory.

A number in it survives the death of either side, costs no system call to write, and needs no lock: each has one writer.

========== ======== ========================================================================================
number     written  meaning
========== ======== ========================================================================================
STARTED    worker   the task that was started last (rises for ever, also over respawns of the worker)
DONE       manager  results up to this task have safely reached the interchange
TARGET     manager  the task that the signals sent now are meant for
BUFFERED   worker   length of the record of ended tasks below, which has not been sent yet
LOADING    worker   since when a function is being loaded (monotonic nanoseconds); 0 if none is
========== ======== ========================================================================================

Results of short tasks are sent together. Until then they stand in this file as one `Finished` record, so that a task which
kills the worker takes no result of an earlier one with it.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

STARTED: Final = 0
DONE: Final = 1
TARGET: Final = 2
BUFFERED: Final = 3
LOADING: Final = 4

_NUMBERS: Final = 4096
_BUFFER: Final = 60 * 1024
SIZE: Final = _NUMBERS + _BUFFER

# {"type": "finished", "results": [...]} with a count of four bytes, as msgpack.
_HEAD: Final = b"\x82\xa4type\xa8finished\xa7results\xdd\x00\x00\x00\x00"
_COUNT_AT: Final = _NUMBERS + len(_HEAD) - 4
_count: Final = struct.Struct(">I")


class Page:
    """One mapped page. `numbers` is indexed by the constants of this module."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SIZE)
        self._bytes = memoryview(self._map)
        self.numbers = self._bytes[: 8 * 16].cast("Q")
        self._end = len(_HEAD)
        self._results = 0

    @classmethod
    def create(cls, path: Path) -> tuple[Page, int]:
        """Make the file with all numbers 0, or open the one that is there; return it and a descriptor to hand on."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Blocks, not a hole: a full disk must be an error here, not a SIGBUS in a worker.
        os.posix_fallocate(descriptor, 0, SIZE)
        return cls(descriptor), descriptor

    def close(self) -> None:
        """Unmap the page."""
        self.numbers.release()
        self._bytes.release()
        self._map.close()

    def keep(self, result: bytes) -> bool:
        """Append one encoded `TaskResult` to the record of ended tasks; False if there is no room for it."""
        end = self._end + len(result)
        if end > _BUFFER:
            return False
        if not self._results:
            self._bytes[_NUMBERS : _NUMBERS + len(_HEAD)] = _HEAD
        self._bytes[_NUMBERS + self._end : _NUMBERS + end] = result
        self._results += 1
        _count.pack_into(self._map, _COUNT_AT, self._results)
        self._end = end
        self.numbers[BUFFERED] = end
        return True

    @property
    def kept(self) -> int:
        """How many results stand in the record."""
        return self._results

    def record(self) -> memoryview:
        """Return the record of ended tasks, to be sent as it is."""
        return self._bytes[_NUMBERS : _NUMBERS + self._end]

    def sent(self) -> None:
        """The record was sent: begin a new one."""
        self.numbers[BUFFERED] = 0
        self._end = len(_HEAD)
        self._results = 0

    def leftover(self) -> bytes:
        """Return the unsent record of a worker that died; empty if there is none."""
        length = min(self.numbers[BUFFERED], _BUFFER)
        return bytes(self._bytes[_NUMBERS : _NUMBERS + length])


def read_numbers(path: Path) -> tuple[int, int]:
    """Return STARTED and DONE of a page that nobody maps any more; zeros if it was never written."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        head = b""
    if len(head) < 16:  # noqa: PLR2004 - two numbers of eight bytes
        return 0, 0
    started, done = struct.unpack("=QQ", head)
    return started, done
