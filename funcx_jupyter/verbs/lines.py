"""How a `%funcx` line is read. Pure: the forms of the verbs and a line in, a verb with its arguments out."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from funcx_jupyter.errors import MagicArgumentError


class Verb(msgspec.Struct, frozen=True):
    """One verb.

    Attributes:
        do: called with the desk, the arguments in order, and its options by name. Its docstring is its help.
        form: what follows it, such as ``TASK``, ``[GROUP]``, ``[TASK...]``, ``[-o]``, ``[-e ENDPOINT]``.
        reads_words: it takes the words of the line as they are, its options among them.
    """

    do: Callable[..., Any]
    form: tuple[str, ...] = ()
    reads_words: bool = False

    @property
    def options(self) -> dict[str, str]:
        """Options by their spelling: what follows them, or nothing for a switch."""
        pairs = (part.strip("[]").partition(" ") for part in self.form if part.startswith("[-"))
        return {name: value for name, _, value in pairs}

    @property
    def places(self) -> list[str]:
        """What the arguments are, in order."""
        return [part for part in self.form if not part.startswith("[-")]

    @property
    def fewest(self) -> int:
        """How many arguments there are at least."""
        return sum(not place.startswith("[") for place in self.places)

    @property
    def most(self) -> int | None:
        """How many there are at most; None if there is no end."""
        return None if any("..." in place for place in self.places) else len(self.places)


class Wanted(msgspec.Struct, frozen=True):
    """What a line asks for."""

    verb: Verb
    arguments: list[str]
    options: dict[str, Any]


def read(line: str, verbs: Mapping[str, Verb], *, default: str) -> Wanted:
    """Return what `line` asks for; `default` if it is empty.

    Raises:
        MagicArgumentError: naming what is wrong and what was probably meant.
    """
    name, *rest = _split(line) or [default]
    verb = verbs.get(name)
    if verb is None:
        _refuse(name, verbs)
    if verb.reads_words:
        return Wanted(verb, rest, {})
    arguments, options = _sorted(name, verb, rest)
    if len(arguments) < verb.fewest or (verb.most is not None and len(arguments) > verb.most):
        _wrong_form(name, verb)
    return Wanted(verb, arguments, options)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise MagicArgumentError(f"{str(error).capitalize()} in `%funcx {line.strip()}`.") from None


def _sorted(name: str, verb: Verb, words: list[str]) -> tuple[list[str], dict[str, Any]]:
    arguments, options = [], {}
    left = iter(words)
    for word in left:
        if not word.startswith("-") or word[1:2].isdigit():
            arguments.append(word)
            continue
        if word not in verb.options:
            _refuse_option(name, verb, word)
        value = next(left, None) if verb.options[word] else True
        if value is None:
            _wrong_form(name, verb)
        options[word.lstrip("-").replace("-", "_")] = value
    return arguments, options


def _refuse(name: str, verbs: Mapping[str, Verb]) -> NoReturn:
    near = difflib.get_close_matches(name, verbs, n=1, cutoff=0.5)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise MagicArgumentError(f"`{name}` is not a verb of %funcx.{hint} See `%funcx help`.")


def _refuse_option(name: str, verb: Verb, option: str) -> NoReturn:
    near = difflib.get_close_matches(option, verb.options, n=1, cutoff=0.5)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise MagicArgumentError(f"`{option}` is not an option of %funcx {name}.{hint} See `%funcx help {name}`.")


def _wrong_form(name: str, verb: Verb) -> NoReturn:
    raise MagicArgumentError(f"The form is `%funcx {' '.join([name, *verb.form])}`. See `%funcx help`.")
