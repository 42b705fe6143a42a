"""The end of what a command writes, in memory; and all of it in a file, if it is more than that."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_CONTINUES: Final = range(0x80, 0xC0)
"""Bytes with which no character of UTF-8 begins."""


class Kept(NamedTuple):
    """What is left of an output: its last lines, the file with all of it if there is one, and why there is none."""

    text: str
    path: str | None = None
    failure: str = ""


class Tail:
    """Takes an output as it comes.

    Args:
        lines: how many are kept in memory at most.
        size: how many bytes of them.
        folder: where a file of all is made when there is more than that.
        name: begins and ends the name of that file: ``("3f2a.", ".stdout")``.
        path: a file that is written in any case, at its end, instead.

    Raises:
        OSError: that file cannot be opened.
    """

    def __init__(self, *, lines: int, size: int, folder: Path, name: tuple[str, str], path: str | None = None) -> None:
        self._lines = lines
        self._size = size
        self._folder = folder
        self._name = name
        self._end = bytearray()
        self._all_lines = 0
        self._all_bytes = 0
        self._failure = ""
        self._file: BinaryIO | None = None
        self._path: str | None = None
        if path is not None:
            self._open_given(folder / path)

    def add(self, chunk: bytes) -> None:
        """Take what was written next."""
        self._all_bytes += len(chunk)
        self._all_lines += chunk.count(b"\n")
        is_more = self._all_bytes > self._size or self._all_lines + (not chunk.endswith(b"\n")) > self._lines
        if is_more and self._path is None and not self._failure:
            self._open_own()
        self._write(chunk)
        self._end += chunk
        if len(self._end) > 2 * self._size:
            del self._end[: len(self._end) - self._size]

    def close(self) -> Kept:
        """Return what is kept."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._failure = str(error.strerror)
        return Kept(self._text(), self._path, self._failure)

    def _text(self) -> str:
        end = self._end[max(0, len(self._end) - self._size) :]
        if len(end) < self._all_bytes:
            while end and end[0] in _CONTINUES:
                del end[0]
        text = end.decode(errors="replace")
        lines = text.split("\n")
        if not self._lines:
            return ""
        # After the last line break there is an empty text, or a line that was not finished.
        kept = self._lines + (not lines[-1])
        return "\n".join(lines[-kept:]) if len(lines) > kept else text

    def _open_given(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._path = str(path)

    def _open_own(self) -> None:
        try:
            prefix, suffix = self._name
            descriptor, self._path = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=self._folder)
            self._file = os.fdopen(descriptor, "wb", buffering=0)
        except OSError as error:
            self._failure = str(error.strerror)
            return
        self._write(bytes(self._end))

    def _write(self, chunk: bytes) -> None:
        if self._file is None:
            return
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            # A full disk is no reason to end a command that has run for a day.
            self._failure = str(error.strerror)
            self._file.close()
            self._file = None
