r"""The two-character method identifiers of published clients, and the buffers they label.

A buffer is ``<id>\\n<body>``; several are packed as ``<length>\\n<buffer>``, where the length counts characters. Everything
that releases 0.0.3 to 1.0.6 and their successor write can be read; what we write is what 1.0.6 wrote by default, because
every release since 0.2.3 reads it:

====  ==================================================================  ========
id    body                                                                written
====  ==================================================================  ========
00    base64 of a pickle of data; JSON text from release 0.0.3            yes
01    base64 of a dill pickle of a function; of data from release 0.0.3   yes
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
import re
from collections.abc import Callable
from typing import Any, Final

from funcx_core.errors import DeserializationError, NotPlainData
from funcx_core.serialize.bytesform import dumps, dumps_by_value, loads
from funcx_core.serialize.source import FunctionSource, load_source

_HEADER: Final = 3
_TEXT_PROTOCOL: Final = 4
_MOST_LEVELS: Final = 4
"""Buffers within buffers: published clients write two levels."""
_PICKLE_IN_BASE64: Final = "gA"
"""How base64 of a pickle of protocol 2 or later begins, and no JSON text does."""


def encode_data(value: Any) -> str:
    """Return the ``00`` buffer of a value: a pickle if it loads anywhere, else by value."""
    return "00\n" + to_base64(dumps(value))


def encode_by_value(function: Any) -> str:
    """Return the ``01`` buffer of a function: its byte code, with the globals and closures it uses."""
    return "01\n" + to_base64(dumps_by_value(function))


def encode_source(source: FunctionSource, identifier: str = "04") -> str:
    """Return the ``04`` (or ``03``) buffer of a function given by its source."""
    return f"{identifier}\n" + to_base64(pickle.dumps((source.name, source.text), _TEXT_PROTOCOL))


def decode(buffer: str, *, data_only: bool = False) -> Any:
    """Return what one labelled buffer holds.

    Args:
        buffer: the label and the body.
        data_only: run nothing that the maker of the buffer chose; see `dataonly`.

    Raises:
        DeserializationError: the label is unknown, the body is malformed, or what it names is missing or raises here; the
            cause is the error that was met. `NotPlainData` if it holds more than data and `data_only` is set.
    """
    try:
        return _decode(buffer, _DATA_METHODS if data_only else _METHODS)
    except DeserializationError:
        raise
    except Exception as error:
        raise cannot_load(error) from error


def cannot_load(error: Exception) -> DeserializationError:
    """Return the error for bytes that broke while they were loaded, which runs code of their maker."""
    return DeserializationError(f"It cannot be loaded here: {type(error).__name__}: {str(error)[:300]}.")


def _decode(buffer: str, methods: _Methods, level: int = 0) -> Any:
    method = methods.get(buffer[:2]) if buffer[2:_HEADER] == "\n" else None
    if method is None:
        if methods is _DATA_METHODS and buffer[:2] in _METHODS:
            raise NotPlainData("a function")
        raise DeserializationError(f"Nothing here reads a payload that begins with {buffer[:_HEADER]!r}.")
    if level >= _MOST_LEVELS:
        raise DeserializationError("The payload has too many buffers within buffers.")
    return method(buffer[_HEADER:], methods, level + 1)


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


def _pickled(body: str, *_: object) -> Any:
    return loads(from_base64(body))


def _old_data(body: str, *_: object) -> Any:
    return _pickled(body) if body.startswith(_PICKLE_IN_BASE64) else _json(body)


def _plain_pickle(body: str, *_: object) -> Any:
    from funcx_core.serialize.dataonly import read  # noqa: PLC0415 - most clients trust their own endpoints only

    return read(from_base64(body))


def _plain_old_data(body: str, *_: object) -> Any:
    return _plain_pickle(body) if body.startswith(_PICKLE_IN_BASE64) else _json(body)


def _named_source(body: str, *_: object) -> Any:
    found = _pickled(body)
    if not (isinstance(found, (tuple, list)) and len(found) == 2):  # noqa: PLR2004 - name and source
        raise DeserializationError("The function's source is malformed.")
    return load_source(str(found[0]), str(found[1]))


def _plain_source(body: str, *_rest: object) -> Any:
    name, _, text = body.partition(":")
    return load_source(name, text)


def _json(body: str, *_: object) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DeserializationError(f"The payload is not JSON: {error}.") from None


def _combined(body: str, methods: _Methods, level: int) -> Any:
    # ``id\n:body:id\n:body``. Base64 has no colon, but source has: so the labels divide it, not the colons.
    pieces = _COMBINED_LABEL.split(body)[1:]
    return _first(["".join(pair) for pair in zip(pieces[::2], pieces[1::2], strict=True)], methods, level)


def _several(body: str, methods: _Methods, level: int) -> Any:
    return _first(split_buffers(body), methods, level)


def _first(buffers: list[str], methods: _Methods, level: int) -> Any:
    """Return the first that loads: another Python version may load only one of them."""
    errors = []
    for buffer in buffers:
        try:
            return _decode(buffer, methods, level)
        except Exception as error:  # noqa: BLE001 - loading runs code of its maker; the next may still do
            errors.append(error)
    texts = [f"{buffer[:2]}: {_one_line(error)}" for buffer, error in zip(buffers, errors, strict=True)][:9]
    refused = [error for error in errors if isinstance(error, NotPlainData)]
    if refused:
        raise refused[0]
    raise DeserializationError(f"None of the {len(buffers)} forms in the payload loads ({'; '.join(texts)}).")


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:100]}"


_COMBINED_LABEL: Final = re.compile(r"(?:^|:)((?:0[0-4]|s[td])\n):")
_Methods = dict[str, Callable[[str, Any, int], Any]]
_METHODS: Final[_Methods] = {
    "00": _old_data,
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
_DATA_METHODS: Final[_Methods] = {
    "00": _plain_old_data,
    "01": _plain_pickle,
    "11": _json,
    "13": _several,
}
