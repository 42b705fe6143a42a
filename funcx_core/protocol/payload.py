r"""The outside of payloads: how opaque bytes say what they are, and their text form for JSON.

Published clients and endpoints exchange text: buffers such as ``00\n<base64 of a pickle>``, several of them packed as
``<length>\n<buffer>``. Our own clients and workers exchange the same pickles as bytes, a third smaller and with no base64 on
the way:

==========  =====================================================================
first bytes meaning
==========  =====================================================================
``pb\n``    one value: a pickle
``cb\n``    one call: 4-byte big-endian length of the pickle of the arguments (a tuple), that pickle, then the
            pickle of the keyword arguments (a dict)
``mb\n``    many calls: a pickle of a list of argument tuples; the value is the list of results
``ml\n``    many calls: a msgpack array of payloads of one call each
``mr\n``    a range of a map: 4-byte big-endian length of a msgpack array of positions (or nil for all), that array, then
            the ``mb`` or ``ml`` payload that the positions count in; the value is ``mo``
``mo\n``    what became of the calls of a range, each by itself: see `funcx_core.protocol.ranges`
``rb\n``    a reference to a blob of the service that holds one of the other forms, see `blob`
``wb\n``    one of the other forms together with references to blobs that hold parts of its arguments, see `blob`
others      text as published clients write it, in UTF-8
==========  =====================================================================

Nothing here opens a pickle: the service and the forwarder use this module.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

from funcx_core.errors import RemoteProtocolError

VALUE: Final = b"pb\n"
CALL: Final = b"cb\n"
CALLS: Final = b"mb\n"
LISTED: Final = b"ml\n"
RANGE: Final = b"mr\n"
OUTCOMES: Final = b"mo\n"
REFERENCE: Final = b"rb\n"
WITH_BLOBS: Final = b"wb\n"
LENGTH_BYTES: Final = 4
_MANY: Final = (CALLS, LISTED, RANGE, OUTCOMES)
_BINARY: Final = (VALUE, CALL, *_MANY, REFERENCE, WITH_BLOBS)
_BASE64: Final = frozenset({b"00\n", b"01\n", b"02\n", b"03\n", b"04\n"})
_HEADER: Final = 3
_LONGEST_LENGTH: Final = 20


def pack_buffers(buffers: list[str]) -> str:
    """Concatenate text buffers as published clients do: the length counts characters."""
    return "".join(f"{len(buffer)}\n{buffer}" for buffer in buffers)


def split_call(payload: bytes) -> tuple[bytes, bytes]:
    """Return the two pickles of a ``cb`` payload.

    Raises:
        RemoteProtocolError: if it is not one.
    """
    head = len(CALL) + LENGTH_BYTES
    end = head + int.from_bytes(payload[len(CALL) : head], "big")
    if not payload.startswith(CALL) or end > len(payload):
        raise RemoteProtocolError("The payload is not a call.")
    return payload[head:end], payload[end:]


def as_text(payload: bytes) -> str:
    """Return the form of `payload` that published clients and endpoints read.

    Raises:
        RemoteProtocolError: if it has none (``mb``, ``mr``, ``mo``, ``wb``), or is text that is not UTF-8.
    """
    if payload.startswith(VALUE):
        return _text_buffer(payload[len(VALUE) :])
    if payload.startswith(CALL):
        return pack_buffers([_text_buffer(part) for part in split_call(payload)])
    if payload.startswith(_MANY):
        raise RemoteProtocolError(
            "A chunk of many calls has no text form; a map's outcomes are read from its own address."
        )
    if payload.startswith(WITH_BLOBS):
        raise RemoteProtocolError("A call whose arguments are partly in blobs has no text form.")
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("The payload is neither text nor a known binary form.") from None


def content_size(payload: bytes) -> int:
    """Return the bytes of what was serialized, whatever form it travels in: base64, a third longer, does not count against anybody."""
    if payload.startswith(_BINARY):
        return len(payload)
    try:
        return sum(_buffer_size(buffer) for buffer in _buffers(payload))
    except ValueError:
        return len(payload)


def _buffers(packed: bytes) -> Iterator[bytes]:
    """Yield the buffers of a packed text; one that is not ASCII is read as what it is, characters.

    Raises:
        ValueError: its lengths do not add up.
    """
    text = packed if packed.isascii() else packed.decode()
    newline = "\n" if isinstance(text, str) else b"\n"
    start = 0
    while start < len(text):
        head = text.index(newline, start, start + _LONGEST_LENGTH)  # type: ignore[arg-type]
        length = text[start:head]
        end = head + 1 + int(length)
        if not length.isdigit() or end > len(text):
            raise ValueError
        buffer = text[head + 1 : end]
        yield buffer.encode() if isinstance(buffer, str) else buffer
        start = end


def _buffer_size(buffer: bytes) -> int:
    if buffer[:_HEADER] not in _BASE64:
        return len(buffer)
    return (len(buffer) - _HEADER - buffer.count(b"\n", _HEADER)) * 3 // 4 - buffer.count(b"=", -4)


def _text_buffer(pickled: bytes) -> str:
    return "00\n" + codecs.encode(pickled, "base64").decode()
