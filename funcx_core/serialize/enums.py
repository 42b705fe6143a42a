"""Enumerations by value: dill has no way to, and notebooks define them."""

from __future__ import annotations

import enum
import types
from typing import Any, Final

from funcx_core.serialize.known_classes import key_of, known_class, remember

_KEPT: Final = (types.FunctionType, classmethod, staticmethod, property)
_MADE_BY_ENUM: Final = frozenset({"__new__", "__reduce_ex__", "__reduce__", "_generate_next_value_"})


def reduce_enum(cls: enum.EnumType) -> tuple[Any, ...]:
    """Return how to build `cls` again: constructor, its arguments, and what is added afterwards (methods may refer to it)."""
    members = {name: member.value for name, member in cls.__members__.items()}  # type: ignore[var-annotated]
    arguments = (type(cls), cls.__name__, cls.__bases__, members, cls.__module__, cls.__qualname__, key_of(cls))
    return build_enum, arguments, _own_attributes(cls)


def build_enum(  # noqa: PLR0917 - called by pickles only
    kind: type[enum.EnumType],
    name: str,
    bases: tuple[type, ...],
    members: dict[str, Any],
    module: str,
    qualname: str,
    key: str,
) -> Any:
    """Return an enumeration with these members."""
    known = known_class(key)
    if known is not None:
        return known
    namespace = kind.__prepare__(name, bases)
    for member, value in members.items():
        namespace[member] = value
    namespace["__module__"] = module
    namespace["__qualname__"] = qualname
    made = kind.__new__(kind, name, bases, namespace)
    remember(key, made)
    return made


def add_attributes(cls: type, attributes: dict[str, Any]) -> None:
    """Add the methods and properties of an enumeration."""
    for name, value in attributes.items():
        setattr(cls, name, value)


def _own_attributes(cls: enum.EnumType) -> dict[str, Any]:
    inherited = [value for base in (*cls.__mro__[1:], enum.Enum) for value in vars(base).values()]
    return {
        name: value
        for name, value in vars(cls).items()
        if isinstance(value, _KEPT) and name not in _MADE_BY_ENUM and not any(value is other for other in inherited)
    }
