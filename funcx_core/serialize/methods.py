r"""The two-character method identifiers of published clients, and the buffers they label.

A buffer is ``<id>\\n<body>``; several are packed as ``<length>\\n<buffer>``, where the length counts characters. Everything
that releases 0.2.3 to 1.0.6 and their successor write can be read; what we write is what 1.0.6 wrote by default, because
every release reads it:

====  ==================================================================  ========
id    body                                                                written
====  ==================================================================  ========
00    base64 of a pickle of data                                          yes
01    base64 of a dill pickle of a function                               yes
02    base64 of a pickle of a function
03    base64 of a pickle of (name, source), source found by `inspect`     facade
04    the same, source found by `dill.source`                             yes
10    several of the above: ``id:body:id:body``, first that loads wins    facade
11    JSON text
12    code buffers of several methods, packed
13    data buffers of several methods, packed
st    ``name:source``, plain text, found by `inspect`
sd    the same, found by `dill.source`
====  ==================================================================  ========
"""

from __future__ import annotations

import binascii
import codecs
import json
import pickle
from collections.abc import Callable
from typing import Any, Final

from funcx_core.errors import DeserializationError
from funcx_core.serialize.bytesform import dumps, dumps_by_value, loads
from funcx_core.serialize.source import FunctionSource, load_source

_HEADER: Final = 3
_TEXT_PROTOCOL: Final = 4


def encode_data(value: Any) -> str:
    """Return the ``00`` buffer of a value: a pickle if it loads anywhere, else by value."""
    return "00\n" + to_base64(dumps(value))


def encode_by_value(function: Any) -> str:
    """Return the ``01`` buffer of a function: its byte code, with the globals and closures it uses."""
    return "01\n" + to_base64(dumps_by_value(function))


def encode_source(source: FunctionSource, identifier: str = "04") -> str:
    """Return the ``04`` (or ``03``) buffer of a function given by its source."""
    return f"{identifier}\n" + to_base64(pickle.dumps((source.name, source.text), _TEXT_PROTOCOL))


def decode(buffer: str) -> Any:
    """Return what one labelled buffer holds.

    Raises:
        DeserializationError: if the label is unknown or the body is malformed. What a pickle raises passes through.
    """
    method = _METHODS.get(buffer[:2])
    if method is None or buffer[2:_HEADER] != "\n":
        raise DeserializationError(f"Nothing here reads a payload that begins with {buffer[:_HEADER]!r}.")
    return method(buffer[_HEADER:])


def split_buffers(packed: str) -> list[str]:
    """Return the buffers in a packed text.

    Raises:
        DeserializationError: if its lengths do not add up.
    """
    buffers = []
    start = 0
    while start < len(packed):
        head = packed.find("\n", start, start + 20)
        digits = packed[start:head] if head > 0 else ""
        if not (digits.isascii() and digits.isdigit()) or head + 1 + int(digits) > len(packed):
            raise DeserializationError(f"The packed buffers are damaged at character {start}.")
        end = head + 1 + int(digits)
        buffers.append(packed[head + 1 : end])
        start = end
    return buffers


def to_base64(content: bytes) -> str:
    """Return base64 with line breaks, as published clients write it."""
    return codecs.encode(content, "base64").decode()


def from_base64(body: str) -> bytes:
    """Return the bytes of a base64 text.

    Raises:
        DeserializationError: if it is none.
    """
    try:
        return binascii.a2b_base64(body)
    except (binascii.Error, ValueError) as error:
        raise DeserializationError(f"The payload is not base64: {error}.") from None


def _pickled(body: str) -> Any:
    return loads(from_base64(body))


def _named_source(body: str) -> Any:
    found = _pickled(body)
    if not (isinstance(found, (tuple, list)) and len(found) == 2):  # noqa: PLR2004 - name and source
        raise DeserializationError("The function's source is malformed.")
    return load_source(str(found[0]), str(found[1]))


def _plain_source(body: str) -> Any:
    name, _, source = body.partition(":")
    return load_source(name, source)


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise DeserializationError(f"The payload is not JSON: {error}.") from None


def _combined(body: str) -> Any:
    # ``id\n:body:id\n:body``. Bodies of the methods in use are base64, which has no colon.
    pieces = body.split(":")
    return _first(["".join(pair) for pair in zip(pieces[::2], pieces[1::2], strict=False)])


def _several(body: str) -> Any:
    return _first(split_buffers(body))


def _first(buffers: list[str]) -> Any:
    """Return the first that loads: another Python version may load only one of them."""
    errors = []
    for buffer in buffers:
        try:
            return decode(buffer)
        except Exception as error:  # noqa: BLE001 - loading runs code of its maker; the next may still do
            errors.append(f"{buffer[:2]}: {type(error).__name__}: {str(error)[:100]}")
    raise DeserializationError(f"None of the {len(buffers)} forms in the payload loads ({'; '.join(errors)}).")


_METHODS: Final[dict[str, Callable[[str], Any]]] = {
    "00": _pickled,
    "01": _pickled,
    "02": _pickled,
    "03": _named_source,
    "04": _named_source,
    "10": _combined,
    "11": _json,
    "12": _several,
    "13": _several,
    "st": _plain_source,
    "sd": _plain_source,
}
