"""Checks that the classes of a configuration file share."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import logging
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from funcx_core.errors import ConfigError

T = TypeVar("T")

_GIVEN: Final = "_given"
_WORDS: Final = {bool: "true or false", str: "text", int: "a whole number", float: "a number", dict: "a mapping"}

_log = logging.getLogger(__name__)


def checked(cls: type[T]) -> type[T]:
    """Make the constructor of a dataclass name the nearest right keyword when it gets a wrong one.

    A class may have `translate_old`, which turns settings of earlier versions into those of today before the check.
    """
    original = cls.__init__
    names = list(inspect.signature(original).parameters)[1:]
    translate_old = getattr(cls, "translate_old", None)

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807 - it becomes the method
        if translate_old is not None:
            given = translate_old(given)
        refuse_unknown(cls.__name__, given, names)
        try:
            original(self, *args, **given)
        except TypeError as error:
            raise ConfigError(f"{cls.__name__}: {error}.") from None
        _check_types(self)
        object.__setattr__(self, _GIVEN, frozenset(given))

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def given_settings(settings: Any) -> frozenset[str]:
    """Return the names of the settings that were given to a `checked` class: all others have their defaults."""
    found: frozenset[str] = getattr(settings, _GIVEN)
    return found


def _check_types(settings: Any) -> None:
    """Raise a `ConfigError` for a setting of a plain type whose value is of another one."""
    hints = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        allowed = get_args(hints[field.name]) if get_origin(hints[field.name]) is UnionType else (hints[field.name],)
        plain = [get_origin(one) or one for one in allowed]
        value = getattr(settings, field.name)
        if set(plain) <= {*_WORDS, NoneType} and not any(_fits(value, one) for one in plain):
            words = " or ".join(_WORDS[one] for one in plain if one in _WORDS)
            raise ConfigError(f"{field.name} is {value!r}; {words} is needed.")


def _fits(value: Any, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real)
    if kind is int:
        return isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, kind | PathLike if kind is str else kind)


def without_old(what: str, given: dict[str, Any], old: Mapping[str, str]) -> dict[str, Any]:
    """Return `given` without settings that earlier versions had and this one does not need; `old` has them, and why."""
    for name in given:
        if name in old:
            _log.warning("%s: %s has no effect in this version: %s", what, name, old[name])
    return {name: value for name, value in given.items() if name not in old}


def refuse_unknown(what: str, given: dict[str, Any], names: list[str]) -> None:
    """Raise a `ConfigError` for the first key of `given` that is not in `names`."""
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"Did you mean '{near[0]}'?" if near else f"It takes: {', '.join(names)}."
            raise ConfigError(f"{what} has no setting '{name}'. {hint}")


def positive(settings: Any, *names: str) -> None:
    """Raise a `ConfigError` unless these numbers are above zero (or None, where that is the default)."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in names:
        value = getattr(settings, name)
        if value is None and defaults[name] is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigError(f"{name} is {value!r}; a number above 0 is needed.")
