"""How `%funcx [ENDPOINT] [OPTIONS] EXPRESSION` is read. Pure: a line and what is known in, its parts out."""

from __future__ import annotations

import ast
import builtins
import difflib
import keyword
import re
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from funcx_core.errors import FuncxError
from funcx_jupyter.errors import MagicArgumentError, UnknownEndpoint
from funcx_jupyter.options.parser import OPTIONS, refuse

_WORD: Final = re.compile(r"""\s*((?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+)""")
_BARE: Final = re.compile(r"[A-Za-z0-9][\w.-]*")
_NAME: Final = re.compile(r"[^\W\d]\w*")


class LineForm(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        options: endpoint and options, as they would stand after `%%funcx`.
        expression: what is to run; with ``--shell`` a command.
        silent: it ended with a semicolon.
    """

    options: str
    expression: str
    silent: bool = False


class Known(msgspec.Struct, frozen=True):
    """What a word at the beginning may be.

    Attributes:
        verbs: of `%funcx`.
        endpoints: gives the names and ids of endpoints; asked only if it matters.
        names: the variables that the expression may use.
    """

    verbs: Collection[str]
    endpoints: Callable[[], Collection[str]]
    names: Collection[str]


def read_line(line: str, known: Known) -> LineForm:
    """Return the parts of a line that begins with no verb.

    Raises:
        MagicArgumentError: there is no expression, or it is none, or the first word was meant as a verb, probably.
        UnknownEndpoint: it was meant as an endpoint, probably.
        FuncxError: the endpoints are needed, and cannot be asked for.
    """
    start, endpoint = 0, ""
    while found := _WORD.match(line, start):
        word = found[1]
        option = OPTIONS.get(word.partition("=")[0])
        if option is not None:
            start = found.end()
            if option.takes_value and "=" not in word and (value := _WORD.match(line, start)):
                start = value.end()
        elif word[:2] == "--" and word[2:3].isalpha():
            refuse(word)
        elif not endpoint and _is_endpoint(word, line[found.start(1) :], known):
            start, endpoint = found.end(), word
        else:
            break
    rest = line[start:].strip()
    return _checked(line[:start].strip(), rest, endpoint, known)


def _is_endpoint(word: str, rest: str, known: Known) -> bool:
    if not _BARE.fullmatch(word) or (word in known.names and _is_expression(rest)):
        return False
    # A lone name is an expression, so the service need not be asked about it here.
    try:
        return word in known.endpoints()
    except FuncxError:
        if word not in known.names:
            _refuse_near_verb(word, known)
        raise


def _checked(options: str, rest: str, endpoint: str, known: Known) -> LineForm:
    if not rest:
        after = f"%funcx {options}".rstrip()
        use = f", `%funcx use {endpoint}` makes it the default" if endpoint else ""
        raise MagicArgumentError(f"There is nothing to run in `{after}`: `{after} EXPRESSION` runs one{use}.")
    if "--shell" in options.split():
        return LineForm(options, rest)
    text, silent = _without_semicolon(rest)
    first = rest.split(maxsplit=1)[0]
    if _is_expression(text):
        name = _NAME.match(text)
        if name is not None and not _means_something(name[0], known):
            _perhaps_meant(first, known, text)
        return LineForm(options, text, silent)
    if _BARE.fullmatch(first) and first not in known.names:
        _perhaps_meant(first, known, text)
    if _is_code(text):
        raise MagicArgumentError(
            f"`{text}` is a statement, and `%funcx` takes an expression. `%%funcx -o NAME` over a cell runs statements; "
            "`value = %funcx EXPRESSION` assigns."
        )
    raise _no_expression(text)


def _perhaps_meant(word: str, known: Known, text: str) -> None:
    """Refuse a word that is nearly a verb or an endpoint; nothing else of that name is there."""
    if word == text and word.isidentifier():
        _refuse_near_verb(word, known)
        raise MagicArgumentError(
            f"`{word}` is neither a verb of %funcx nor an endpoint nor a variable here. See `%funcx help`."
        )
    endpoints = known.endpoints()
    near = difflib.get_close_matches(word, [*endpoints, *known.verbs], n=1, cutoff=0.6)
    if near and near[0] in endpoints:
        raise UnknownEndpoint(f"No endpoint named '{word}'. Did you mean '{near[0]}'?", word)
    _refuse_near_verb(word, known)


def _means_something(name: str, known: Known) -> bool:
    return name in known.names or hasattr(builtins, name) or keyword.iskeyword(name)


def _refuse_near_verb(word: str, known: Known) -> None:
    near = difflib.get_close_matches(word, known.verbs, n=1, cutoff=0.6)
    if near:
        raise MagicArgumentError(f"`{word}` is not a verb of %funcx. Did you mean `{near[0]}`? See `%funcx help`.")


def _without_semicolon(text: str) -> tuple[str, bool]:
    return (text.removesuffix(";").rstrip(), True) if text.endswith(";") else (text, False)


def _is_expression(text: str) -> bool:
    return _compiles(text, "eval")


def _is_code(text: str) -> bool:
    return _compiles(text, "exec")


def _compiles(text: str, mode: Any) -> bool:
    try:
        compile(text.strip(), "<%funcx>", mode, flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError):
        return False
    return True


def _no_expression(text: str) -> MagicArgumentError:
    try:
        compile(text, "<%funcx>", "eval", flags=ast.PyCF_ONLY_AST)
    except SyntaxError as error:
        return MagicArgumentError(
            f"`{text}` is neither a verb of %funcx nor an expression ({error.msg}). See `%funcx help`."
        )
    return MagicArgumentError(f"`{text}` is not a verb of %funcx. See `%funcx help`.")
