"""``--map seed=range(200)``: the variable, and the elements that it takes one after the other."""

from __future__ import annotations

import itertools
import keyword
from collections.abc import Iterable, Sized
from typing import Any, Final

import msgspec

from funcx_jupyter.capture.elsewhere import ElsewhereValue
from funcx_jupyter.errors import CaptureError, shown_in_one_line

MOST_UNSIZED: Final = 1_000_000
"""Elements of something that does not say how many it has. It may have no end."""


class MapClause(msgspec.Struct, frozen=True):
    """What `--map` says."""

    variable: str
    expression: str

    def __str__(self) -> str:
        return f"{self.variable}={self.expression}"


def parse_clause(text: str) -> MapClause:
    """Return what ``v=iterable`` says.

    Raises:
        ValueError: with what is wrong, for people.
    """
    variable, equals, expression = (part.strip() for part in text.partition("="))
    if not equals or not expression:
        raise ValueError(f"'{text}' is not of the form v=iterable, such as seed=range(200)")
    if not variable.isidentifier() or keyword.iskeyword(variable):
        raise ValueError(f"'{variable}' cannot be the name of a variable")
    try:
        compile(expression, "--map", "eval")
    except SyntaxError:
        raise ValueError(f"'{expression}' is not a Python expression; put quotes around it if it has spaces") from None
    return MapClause(variable, expression)


def elements_of(clause: MapClause, namespace: dict[str, Any]) -> list[Any] | range:
    """Return the elements, evaluated once in the namespace of the notebook.

    Raises:
        CaptureError: it raises, is not iterable, or has no end.
    """
    try:
        found = eval(clause.expression, namespace)  # noqa: S307 - the user's own expression in the user's own kernel
    except Exception as error:
        raise CaptureError(f"`--map {clause}`: {type(error).__name__}: {error}") from error
    return list_elements(found, clause)


def list_elements(found: Any, clause: MapClause) -> list[Any] | range:
    """Return the elements of something iterable. Raises as `elements_of` does."""
    if isinstance(found, range):
        return found
    if not isinstance(found, Iterable):
        raise CaptureError(f"`--map {clause}`: {type(found).__name__} has no elements; give something iterable.")
    try:
        if isinstance(found, Sized):
            return list(found)
        listed = list(itertools.islice(found, MOST_UNSIZED + 1))
    except Exception as error:
        raise shown_in_one_line(CaptureError(f"`--map {clause}`: {type(error).__name__}: {error}")) from error
    if len(listed) > MOST_UNSIZED:
        raise CaptureError(
            f"`--map {clause}` has more than {MOST_UNSIZED:,} elements, and may have no end. Take a part of it, such as "
            f"`itertools.islice({clause.expression}, 1000)`, or give a list or range."
        )
    return listed


def label(variable: str, element: Any) -> str:
    """Return an element as people know it: ``seed=3``."""
    if isinstance(element, ElsewhereValue):
        return f"{variable}={element.remote_use().called}"
    try:
        text = " ".join(repr(element).split())
    except Exception:  # noqa: BLE001 - the user's class may do anything
        text = f"<{type(element).__name__}>"
    return f"{variable}={text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}"


_LONGEST: Final = 40
