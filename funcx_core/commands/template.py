"""A command line with places for values."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping, Sequence
from typing import Any, Final

QUOTED: Final = "q"
RAW: Final = "raw"


def fill_in(template: str, values: Mapping[str, Any], *, quote: bool) -> str:
    """Return the command line.

    ``{name}`` stands for the value of that name, as in `str.format`; ``{name:q}`` for one word (of a list: one word for each
    item) that means nothing to the shell, whatever is in it. A brace of the command itself is written twice.

    Args:
        template: the command.
        values: by name. Those that are not mentioned are left out.
        quote: treat ``{name}`` as ``{name:q}``; then ``{name:raw}`` is the value as it is.

    Raises:
        TypeError: a value is missing.
        ValueError: the template is none.
    """
    return _Filler(quote=quote).vformat(template, (), values)


def check_template(template: str) -> None:
    """Raise `ValueError` if braces stand alone in the command."""
    try:
        list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error} in the command. A brace that belongs to the command is written twice.") from None


class _Filler(string.Formatter):
    def __init__(self, *, quote: bool) -> None:
        self._quote = quote

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        del args  # A command has places with names only.
        if isinstance(key, str) and key in kwargs:
            return kwargs[key]
        raise TypeError(
            f"The command has a place {{{key}}}, and the call has no keyword of that name. "
            "If the braces belong to the command, write them twice: {{ }}."
        )

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == RAW:
            return str(value)
        if format_spec == QUOTED or (self._quote and not format_spec):
            return _quoted(value)
        text = format(value, format_spec)
        return shlex.quote(text) if self._quote else text


def _quoted(value: Any) -> str:
    if isinstance(value, list | tuple):
        return shlex.join(map(str, value))
    return shlex.quote(str(value))
