"""Checks that the classes of a configuration file share."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import logging
from typing import Any, TypeVar

from funcx_core.errors import ConfigError

T = TypeVar("T")

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

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def without_old(what: str, given: dict[str, Any], old: frozenset[str]) -> dict[str, Any]:
    """Return `given` without settings that earlier versions had and this one does not need."""
    dropped = sorted(given.keys() & old)
    if dropped:
        _log.warning("%s: %s has no effect in this version", what, ", ".join(dropped))
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
