"""What the service keeps about a grid, so that another process can go on with it: its points, and how often they run again."""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec

from funcx_core.errors import RemoteProtocolError, UsageError
from funcx_core.protocol.maps import MAX_ABOUT
from funcx_core.sdk.grids.points import Points
from funcx_core.serialize import SerializationError
from funcx_core.serialize.bytesform import dumps, loads

_MAGIC: Final = b"grid1\n"


class GridRecord(msgspec.Struct, frozen=True):
    """A grid as it was asked for."""

    points: Points
    retries: int = 0


def write_record(record: GridRecord) -> bytes:
    """Return the record as bytes that only clients open.

    Raises:
        SerializationError: a value of a parameter cannot be sent.
        UsageError: the values are too many to be kept.
    """
    points = record.points
    plain = (points.names, points.values, points.how, points.chosen, record.retries)
    try:
        encoded = _MAGIC + zlib.compress(dumps(plain))
    except SerializationError as error:
        raise SerializationError(f"The parameters of the grid cannot be sent: {error}") from error
    if len(encoded) > MAX_ABOUT:
        raise UsageError(
            f"The parameters of the grid have {len(encoded):,} bytes; {MAX_ABOUT:,} are kept. Pass names, seeds or paths in "
            "place of large values, or use funcx.map, which keeps no parameters."
        )
    return encoded


def read_record(encoded: bytes) -> GridRecord:
    """Return what `write_record` took. It was written by the same user.

    Raises:
        RemoteProtocolError: it is something else, or of a newer release.
    """
    if not encoded.startswith(_MAGIC):
        raise RemoteProtocolError("What is kept about this map is no grid that this release can read.")
    plain: tuple[Any, ...] = loads(zlib.decompress(encoded[len(_MAGIC) :]))
    names, values, how, chosen, retries = plain
    return GridRecord(Points(names, values, how, chosen), retries)
