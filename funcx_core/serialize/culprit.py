"""Which part of a value is the one that cannot be sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from funcx_core.errors import SerializationError
from funcx_core.serialize.bytesform import dumps

_DEPTH: Final = 6
_WIDTH: Final = 200


class Culprit(NamedTuple):
    """`path` is an expression with ``{}`` for the value, such as ``{}.session._conn`` or ``{}['db']``."""

    path: str
    type_name: str


def find_culprit(value: Any) -> Culprit:
    """Return the innermost part of `value` that cannot be pickled; `value` itself if its parts all can."""
    path = "{}"
    for _ in range(_DEPTH):
        for step, part in _parts(value):
            if not _is_sendable(part):
                path, value = path + step, part
                break
        else:
            break
    return Culprit(path, f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins."))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            found = [(f"[{_escaped(key)}]", part) for key, part in list(value.items())[:_WIDTH]]
        case list() | tuple():
            found = [(f"[{index}]", part) for index, part in enumerate(value[:_WIDTH])]
        case _:
            fields = getattr(value, "__dict__", None)
            found = (
                [(f".{name}", part) for name, part in list(fields.items())[:_WIDTH]] if isinstance(fields, dict) else []
            )
    yield from found


def _escaped(key: Any) -> str:
    return repr(key)[:60].replace("{", "{{").replace("}", "}}")


def _is_sendable(value: Any) -> bool:
    try:
        dumps(value)
    except SerializationError:
        return False
    return True
