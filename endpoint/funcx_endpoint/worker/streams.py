"""`sys.stdout` and `sys.stderr` of a worker."""
# ruff: noqa: D102 - the methods are those of `io`, which documents them

from __future__ import annotations

import codecs
import io
from typing import Any, Final, Protocol

from funcx_core.protocol.task import EventKind

DESCRIPTORS: Final = {EventKind.STDOUT: 1, EventKind.STDERR: 2}


class Taker(Protocol):
    """What takes the text."""

    def write(self, kind: EventKind, text: bytes) -> None:
        """Take UTF-8 text that the task wrote to a stream."""

    def flush(self) -> None:
        """Send what has gathered."""


class Stream(io.TextIOBase):
    """A `sys.stdout` or `sys.stderr` that ends in a `Capture`."""

    def __init__(self, capture: Taker, kind: EventKind) -> None:
        self._capture = capture
        self._kind = kind
        self._descriptor = DESCRIPTORS[kind]
        self._buffer = _Bytes(self)

    encoding = "utf-8"
    errors = "backslashreplace"

    @property
    def name(self) -> str:
        return f"<{self._kind.value}>"

    @property
    def buffer(self) -> io.RawIOBase:
        return self._buffer

    @property
    def line_buffering(self) -> bool:
        return False

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if text:
            # A lone surrogate has no UTF-8 form; it is shown as its escape.
            self._capture.write(self._kind, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_utf8(self, text: bytes) -> None:
        """Take text that is bytes already."""
        self._capture.write(self._kind, text)

    def flush(self) -> None:
        self._capture.flush()

    def close(self) -> None:
        """Stay open: the next task needs it too."""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def reconfigure(self, **_: Any) -> None:
        """Accept what programs ask of a `TextIOWrapper`; this stream is UTF-8 in any case."""


class _Bytes(io.RawIOBase):
    """The `buffer` of a stream: bytes in, valid UTF-8 out."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: Any, /) -> int:
        written = bytes(data)
        self._stream.write_utf8(self._decoder.decode(written).encode())
        return len(written)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Stay open: the next task needs it too."""

    def fileno(self) -> int:
        return self._stream.fileno()
