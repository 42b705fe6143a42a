"""Which part of a value is the one that cannot be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Final

_DEPTH: Final = 8
_WIDTH: Final = 200


def find_culprit(value: Any, is_sendable: Callable[[Any], bool]) -> tuple[str, Any]:
    """Return the innermost part of `value` that cannot be sent, as attribute path (such as ``.session._conn``) and value.

    The path is empty if all parts of `value` could be sent: then it is the value itself.
    """
    path = ""
    for _ in range(_DEPTH):
        found = next(((step, part) for step, part in _parts(value) if not is_sendable(part)), None)
        if found is None:
            break
        path, value = path + found[0], found[1]
    return path, value


def type_name(value: Any) -> str:
    """Return the class of `value` as people write it."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}.{cls.__qualname__}"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in list(value.items())[:_WIDTH])
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(value[:_WIDTH]))
    elif isinstance(value, FunctionType) and value.__closure__:
        yield from zip(value.__code__.co_freevars, (cell.cell_contents for cell in value.__closure__), strict=True)
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict):
        yield from ((f".{name}", part) for name, part in list(fields.items())[:_WIDTH])
    slots = getattr(type(value), "__slots__", ())
    for name in [slots] if isinstance(slots, str) else slots:
        if hasattr(value, name):
            yield f".{name}", getattr(value, name)
