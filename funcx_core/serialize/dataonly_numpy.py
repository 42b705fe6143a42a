"""numpy arrays, element types and scalars from the parts that their pickles name, checked.

The states in numpy's pickles are trusted by numpy: with a made-up one, bytes would be taken for addresses of objects. So no state
reaches numpy here. An element type is made anew from its code, its byte order and its fields, and an array from bytes that have
exactly the size it needs.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any, Final

import numpy as np

from funcx_core.serialize.dataonly_types import ARRAY_CLASS, Unfinished, require

_CODE: Final = re.compile(r"[?bBhHiIlLqQefdgFDGSUVMmO]|[biufcSUVMmO]\d{1,9}")
_ORDERS: Final = frozenset("<>|=")
_UNIT: Final = re.compile(rb"(generic|[YMWDhms]|[mnupfa]s)")
_MOST_DIMENSIONS: Final = 64
_OBJECTS: Final = "O"
_LARGEST_UNSEEN: Final = 1024 * 1024
"""Bytes of one element of an empty array: numpy reserves room for one."""


def dtype(code: Any, *_: Any) -> Unfinished:
    """Return the element type with this code, to be completed by its state."""
    require(type(code) is str and _CODE.fullmatch(code), "numpy.dtype")

    def finish(state: Any) -> Any:
        require(type(state) is tuple and len(state) in {8, 9} and state[1] in _ORDERS, "numpy.dtype")
        return _dtype(code, state)

    return Unfinished("numpy.dtype", finish)


def array_of_buffer(content: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> Any:
    """Return an array over these bytes: writable if they are."""
    require(type(content) in {bytes, bytearray} and order in {"C", "F"} and axes is None, "numpy.ndarray")
    return _array(content, kind, shape, order)


def array_to_come(of: Any, *_: Any) -> Unfinished:
    """Return an array to be completed by its state."""
    require(of is ARRAY_CLASS, "numpy.ndarray")  # not one of its subclasses

    def finish(state: Any) -> Any:
        require(type(state) is tuple and len(state) == 5, "numpy.ndarray")  # noqa: PLR2004 - what numpy writes
        _, shape, kind, is_fortran, content = state
        order = "F" if is_fortran is True else "C"
        if type(content) is list:
            return _array_of_objects(content, kind, shape, order)
        require(type(content) is bytes, "numpy.ndarray")
        return _array(bytearray(content), kind, shape, order)

    return Unfinished("numpy.ndarray", finish)


def scalar(kind: Any, content: Any) -> Any:
    """Return one element."""
    require(type(content) is bytes, "numpy scalar")
    return _array(content, kind, (), "C")[()]


def _dtype(code: str, state: tuple[Any, ...]) -> Any:
    _, order, base, names, fields, size, *_ = state
    if base is not None:
        require(type(base) is tuple and len(base) == 2 and _is_dtype(base[0]), "numpy.dtype")  # noqa: PLR2004
        return np.dtype((base[0], _shape(base[1])))
    if names is not None:
        return _structured(names, fields, size)
    if code[0] in "Mm":
        return np.dtype(f"{order}{code[0]}8[{_unit(state)}]")
    return np.dtype(code).newbyteorder(order)


def _structured(names: Any, fields: Any, size: Any) -> Any:
    require(type(names) is tuple and type(fields) is dict and type(size) is int and size >= 0, "numpy.dtype")
    found = [fields[name] for name in names]
    for name, field in zip(names, found, strict=True):
        require(type(name) is str and type(field) is tuple and len(field) in {2, 3}, "numpy.dtype")
        require(_is_dtype(field[0]) and type(field[1]) is int and field[1] >= 0, "numpy.dtype")
        require(not field[0].hasobject, "numpy.dtype of objects")
    return np.dtype(
        {
            "names": list(names),
            "formats": [field[0] for field in found],
            "offsets": [field[1] for field in found],
            "itemsize": size,
        }
    )


def _unit(state: tuple[Any, ...]) -> str:
    metadata = state[8] if len(state) > 8 else None  # noqa: PLR2004 - where numpy puts it
    require(type(metadata) is tuple and len(metadata) == 2 and type(metadata[1]) is tuple, "numpy.dtype")  # noqa: PLR2004
    unit, count = metadata[1][:2]  # type: ignore[index] # it is a tuple
    require(type(unit) is bytes and _UNIT.fullmatch(unit) and type(count) is int and count > 0, "numpy.dtype")
    text: str = unit.decode()
    return text if count == 1 else f"{count}{text}"


def _array(content: bytes | bytearray, kind: Any, shape: Any, order: Any) -> Any:
    require(_is_dtype(kind) and not kind.hasobject, "numpy.ndarray of objects")
    sizes = _shape(shape)
    require(len(content) == kind.itemsize * prod(sizes), "numpy.ndarray whose bytes do not fit its shape")
    if not content:
        require(kind.itemsize <= _LARGEST_UNSEEN, "numpy.ndarray")
        return np.empty(sizes, kind, order)
    return np.ndarray(sizes, kind, content, order=order)


def _array_of_objects(content: list[Any], kind: Any, shape: Any, order: Any) -> Any:
    require(_is_dtype(kind) and kind.char == _OBJECTS, "numpy.ndarray of objects")
    sizes = _shape(shape)
    require(len(content) == prod(sizes), "numpy.ndarray whose items do not fit its shape")
    made: Any = np.empty(len(content), object)
    for index, item in enumerate(content):
        made[index] = item
    return made.reshape(sizes, order=order)


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = (shape,) if type(shape) is int else shape
    require(type(sizes) is tuple and len(sizes) <= _MOST_DIMENSIONS, "numpy.ndarray")
    require(all(type(size) is int and size >= 0 for size in sizes), "numpy.ndarray")
    checked: tuple[int, ...] = sizes
    return checked


def _is_dtype(kind: Any) -> bool:
    return isinstance(kind, np.dtype)
