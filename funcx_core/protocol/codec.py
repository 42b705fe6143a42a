"""Bytes to messages and back, for every hop. The only error that unknown bytes can cause is `RemoteProtocolError`."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from funcx_core.errors import RemoteProtocolError

M = TypeVar("M")

_encoder = msgspec.msgpack.Encoder()


def encode(message: Any) -> bytes:
    """Return the msgpack form of a message struct."""
    return _encoder.encode(message)


class Decoder(Generic[M]):
    """Reads the messages of one direction.

    >>> from_manager = Decoder(FromManager)
    >>> from_manager.decode(data)  # one of the structs of that union, or RemoteProtocolError
    """

    def __init__(self, union: Any) -> None:
        self._name = getattr(union, "__name__", str(union))
        self._decoder: msgspec.msgpack.Decoder[M] = msgspec.msgpack.Decoder(union)

    def decode(self, data: bytes | memoryview) -> M:
        """Return the message in `data`.

        Raises:
            RemoteProtocolError: for anything that is not exactly one message of this direction.
        """
        try:
            return self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, MemoryError) as error:
            raise RemoteProtocolError(
                f"Dropped {len(data)} bytes that are not a {self._name} message: {str(error)[:200]}"
            ) from None
