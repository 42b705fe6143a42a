"""`FuncXSerializer`: the documented interface to text payloads."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from funcx_core.errors import SerializationError
from funcx_core.protocol.payload import pack_buffers
from funcx_core.serialize.functions import PackedFunction, function_name
from funcx_core.serialize.methods import decode, encode_by_value, encode_data, encode_source, split_buffers
from funcx_core.serialize.offprocess import check_loads
from funcx_core.serialize.source import FunctionSource, find_source


class FuncXSerializer:
    """Turns functions and values into labelled text buffers and back.

    Args:
        method_code: the method for functions: ``04``, ``03``, ``01`` or ``10``. None takes source if it stands alone, else
            byte code.
        use_offprocess_checker: load each function in a clean interpreter before it is returned, see `offprocess`.
    """

    def __init__(self, method_code: str | None = None, *, use_offprocess_checker: bool = False) -> None:
        if method_code is not None and method_code not in _CODE_METHODS:
            raise SerializationError(
                f"'{method_code}' is no method for functions; there are {', '.join(_CODE_METHODS)}."
            )
        self._method_code = method_code
        self._checks = use_offprocess_checker

    def serialize(self, data: Any) -> str:
        """Return the labelled buffer of a function or value.

        Raises:
            SerializationError: if it cannot be sent.
        """
        if not is_code(data):
            return encode_data(data)
        if self._method_code is not None:
            buffer = _CODE_METHODS[self._method_code](data)
        else:
            (buffer,) = split_buffers(PackedFunction(data).body.decode())
        if self._checks:
            check_loads(function_name(data), pack_buffers([buffer]).encode())
        return buffer

    def deserialize(self, payload: str) -> Any:
        """Return what a labelled buffer holds.

        Raises:
            DeserializationError: if nothing here reads it.
        """
        return decode(payload)

    def pack_buffers(self, buffers: list[str]) -> str:
        """Return several buffers as one text."""
        return pack_buffers(buffers)

    def unpack_buffers(self, packed_buffer: str) -> list[str]:
        """Return the buffers of a packed text.

        Raises:
            DeserializationError: if it is damaged.
        """
        return split_buffers(packed_buffer)

    def unpack_and_deserialize(self, packed_buffer: str) -> list[Any]:
        """Return what each buffer of a packed text holds."""
        return [decode(buffer) for buffer in split_buffers(packed_buffer)]


def is_code(data: Any) -> bool:
    """Whether `data` goes as a function and not as a value."""
    return isinstance(data, (types.FunctionType, types.MethodType, types.BuiltinFunctionType))


def _inspect_source(function: Any) -> str:
    return encode_source(_source_by(find_source, function), "03")


def _dill_source(function: Any) -> str:
    return encode_source(_source_by(_find_with_dill, function), "04")


def _combined(function: Any) -> str:
    return "10\n" + ":".join(
        buffer[:3] + ":" + buffer[3:] for buffer in (_dill_source(function), encode_by_value(function))
    )


def _source_by(finder: Callable[[Any], FunctionSource], function: Any) -> FunctionSource:
    try:
        return finder(function)
    except Exception as error:  # dill.source raises many kinds
        raise SerializationError(
            f"The source of function '{function_name(function)}' is not to be found ({error}). Define it in a file or a cell."
        ) from error


def _find_with_dill(function: Any) -> FunctionSource:
    from dill import source  # noqa: PLC0415 - 0.1 s, for this method only

    return FunctionSource(function.__name__, source.getsource(function, lstrip=True))


_CODE_METHODS: dict[str, Callable[[Any], str]] = {
    "04": _dill_source,
    "03": _inspect_source,
    "01": encode_by_value,
    "10": _combined,
}
