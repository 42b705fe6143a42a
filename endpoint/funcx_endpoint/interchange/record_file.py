"""The form of records in a file that is only appended to: ``<length><crc32><content>``."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from funcx_core.errors import RemoteProtocolError

_HEAD: Final = Struct("<II")
HEAD_BYTES: Final = _HEAD.size


class TornError(Exception):
    """The file ends within a record."""


def framed(record: bytes) -> bytes:
    """Return what is appended for a record."""
    return _HEAD.pack(len(record), zlib.crc32(record)) + record


def records(content: bytes) -> Iterator[bytes]:
    """Yield the records of a file.

    Raises:
        TornError: its end is not whole.
        RemoteProtocolError: it is damaged before its end.
    """
    at = 0
    while at < len(content):
        start = at + _HEAD.size
        if start > len(content):
            raise TornError
        length, checksum = _HEAD.unpack_from(content, at)
        at = start + length
        if at > len(content):
            raise TornError
        record = content[start:at]
        if zlib.crc32(record) != checksum:
            if at == len(content):
                raise TornError  # The end of the file got its length on disk before its bytes.
            raise RemoteProtocolError(f"A record of {length} bytes has another checksum.")
        yield record
