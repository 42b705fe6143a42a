"""Inputs of a cell by name, with hash and size, without opening them. Pure."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Sequence

from funcx_core.sdk.provenance.record import Piece, sha256


def pieces(names: Sequence[str], pickles: bytes) -> list[Piece]:
    """Return what successive pickles hold, by the names of their values. Nothing is unpickled, so nothing runs."""
    return [piece for piece, _ in counted(names, pickles)]


def counted(names: Sequence[str], pickles: bytes) -> list[tuple[Piece, int]]:
    """Return the same, each with the number of buffers beside the pickles that it needs, in this order."""
    found = []
    stream = io.BytesIO(pickles)
    for name in names:
        start = stream.tell()
        buffers = sum(opcode.name == "NEXT_BUFFER" for opcode, *_ in pickletools.genops(stream))
        one = pickles[start : stream.tell()]
        found.append((Piece(name=name, sha256=sha256(one), size=len(one)), buffers))
    return found


def cut(names: Sequence[str], sizes: Sequence[int], pickles: bytes) -> list[Piece]:
    """Return what successive pickles of known sizes hold."""
    found = []
    start = 0
    for name, size in zip(names, sizes, strict=True):
        one = pickles[start : start + size]
        found.append(Piece(name=name, sha256=sha256(one), size=size))
        start += size
    return found
