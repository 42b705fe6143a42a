"""Arguments and results as payloads. The hot path of clients and workers: each function is called once per task."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.protocol.payload import CALL, CALLS, LENGTH_BYTES, VALUE
from funcx_core.serialize.bytesform import PICKLE_PROTOCOL, PORTABLE_PROTOCOL, dumps, loads
from funcx_core.serialize.culprit import find_culprit
from funcx_core.serialize.methods import cannot_load, decode, split_buffers

_NO_KEYWORDS: Final = dumps({})
_HEAD: Final = len(CALL) + LENGTH_BYTES
_BIG: Final = 64 * 1024
_INSTEAD: Final = {
    "coroutine": "The function is `async def`, and nothing awaits it: send a plain function that returns asyncio.run(...) of it.",
    "generator": "The function yields: have it return list(...) of what it yields, or return it as a whole.",
    "async_generator": "The function is `async def` and yields: send a plain function that gathers what it yields in a list.",
}
"""What to do where a function returned something that only lives in its process."""


def pack_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the payload of one call.

    Raises:
        SerializationError: naming the argument that cannot be sent.
    """
    try:
        pickled = dumps(args)
        keywords = dumps(kwargs) if kwargs else _NO_KEYWORDS
    except SerializationError as error:
        _blame(args, kwargs, error)
    return b"".join((CALL, len(pickled).to_bytes(LENGTH_BYTES, "big"), pickled, keywords))


def unpack_call(payload: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments in a payload of ours or of a published client.

    Raises:
        DeserializationError: it is not a call, or cannot be loaded here; then the cause is what the pickle raised.
    """
    if not payload.startswith(CALL):
        return _unpack_text_call(payload)
    end = _HEAD + int.from_bytes(payload[len(CALL) : _HEAD], "big")
    if end > len(payload):
        raise DeserializationError("The payload of the call is cut off.")
    keywords = payload[end:]
    try:
        args, kwargs = loads(_part(payload, _HEAD, end)), {} if keywords == _NO_KEYWORDS else loads(keywords)
    except DeserializationError:
        raise
    except Exception as error:
        raise cannot_load(error) from error
    if type(args) is tuple and type(kwargs) is dict:
        return args, kwargs
    raise DeserializationError("The payload holds no arguments of a call.")


def pack_calls(calls: list[tuple[Any, ...]]) -> bytes:
    """Return one payload for many calls of one function with positional arguments.

    Raises:
        SerializationError: naming the argument that cannot be sent.
    """
    try:
        return CALLS + dumps(calls)
    except SerializationError as error:
        for args in calls:
            _check(args, error)
        raise


def is_calls(payload: bytes) -> bool:
    """Whether the payload holds many calls; its value is then the list of their results."""
    return payload.startswith(CALLS)


def unpack_calls(payload: bytes) -> list[tuple[Any, ...]]:
    """Return the argument tuples that `pack_calls` took.

    Raises:
        DeserializationError: it is not such a payload, or cannot be loaded here; then the cause is what the pickle raised.
    """
    if not payload.startswith(CALLS):
        raise DeserializationError("The payload does not hold a chunk of calls.")
    try:
        calls: list[tuple[Any, ...]] = loads(_part(payload, len(CALLS), len(payload)))
    except DeserializationError:
        raise
    except Exception as error:
        raise cannot_load(error) from error
    if type(calls) is not list:
        raise DeserializationError("The payload does not hold a chunk of calls.")
    return calls


def pack_value(value: Any, *, portable: bool = False) -> bytes:
    """Return the payload of a result.

    Args:
        value: the result.
        portable: whether Pythons that are older than any of ours must be able to load it.

    Raises:
        SerializationError: naming its type, and the part of it that cannot be sent.
    """
    try:
        return VALUE + dumps(value, PORTABLE_PROTOCOL if portable else PICKLE_PROTOCOL)
    except SerializationError as error:
        instead = _INSTEAD.get(_type_name(value))
        if instead is not None:
            raise SerializationError(f"A value of type {_type_name(value)} cannot be sent. {instead}") from error
        culprit = find_culprit(value)
        part = f"; it is {culprit.path.format('value')} ({culprit.type_name})" if culprit.path != "{}" else ""
        raise SerializationError(f"A value of type {_type_name(value)} cannot be sent{part}. {error}") from error


def unpack_value(payload: bytes | bytearray, *, data_only: bool = False) -> Any:
    """Return the value in a payload of ours or of a published worker.

    Args:
        payload: what `pack_value` or a published worker returned.
        data_only: its maker is not trusted; nothing that it chose runs here, see `dataonly`.

    Raises:
        DeserializationError: it is none, or cannot be loaded here; then the cause is what the pickle raised. `NotPlainData`
            if it holds more than data and `data_only` is set.
    """
    if not payload.startswith(VALUE):
        return decode(_text(payload), data_only=data_only)
    if data_only:
        from funcx_core.serialize.dataonly import read  # noqa: PLC0415 - most clients trust their own endpoints only

        return read(memoryview(payload)[len(VALUE) :])
    try:
        return loads(_part(payload, len(VALUE), len(payload)))
    except DeserializationError:
        raise
    except Exception as error:
        raise cannot_load(error) from error


def _part(payload: bytes | bytearray, start: int, end: int) -> bytes | bytearray | memoryview:
    # A view saves the copy of a large pickle; a small one is copied faster than viewed. Pickles by dill need bytes.
    if end - start < _BIG or payload.find(b"dill", start, end) >= 0:
        return payload[start:end]
    return memoryview(payload)[start:end]


def _unpack_text_call(payload: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    buffers = split_buffers(_text(payload))
    if len(buffers) != 2:  # noqa: PLR2004 - arguments and keyword arguments
        raise DeserializationError(f"The payload has {len(buffers)} buffers; a call has 2.")
    args, kwargs = decode(buffers[0]), decode(buffers[1])
    if not isinstance(args, (tuple, list)) or not isinstance(kwargs, dict):
        raise DeserializationError("The payload holds no arguments of a call.")
    return tuple(args), dict(kwargs)


def _text(payload: bytes | bytearray) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise DeserializationError("The payload is neither text nor a known binary form.") from None


def _blame(args: tuple[Any, ...], kwargs: dict[str, Any], error: SerializationError) -> NoReturn:
    _check(args, error)
    for name, value in kwargs.items():
        _check_one(value, f"Argument '{name}'", error)
    raise error


def _check(args: tuple[Any, ...], error: SerializationError) -> None:
    for position, value in enumerate(args, start=1):
        _check_one(value, f"Argument {position}", error)


def _check_one(value: Any, name: str, error: SerializationError) -> None:
    try:
        dumps(value)
    except SerializationError as cause:
        culprit = find_culprit(value)
        inside = f", because of {culprit.path.format('it')} ({culprit.type_name})" if culprit.path != "{}" else ""
        raise SerializationError(
            f"{name} ({_type_name(value)}) cannot be sent{inside}. "
            f"Create it inside the function, or pass what it is made from. {cause}"
        ) from error


def _type_name(value: Any) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
