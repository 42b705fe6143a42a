"""The verbs of `%funcx` that give things names: endpoints, and magics with their options."""

from __future__ import annotations

import re
import shlex
from typing import Final

from funcx_jupyter.display.tables import Table, Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.settings import files
from funcx_jupyter.settings.keys import ALIASES, MAGICS, check_plain
from funcx_jupyter.verbs.desk import Desk

_ALIAS: Final = re.compile(r"[A-Za-z][\w.-]*")
_FORM: Final = (
    "The form is `%funcx magic NAME -e ENDPOINT [OPTIONS...] [--save user|project]`. See `%funcx help magic`."
)


def alias(desk: Desk, name: str = "", endpoint: str = "", *, save: str = "", unset: bool = False) -> Table | Text:
    """Give an endpoint a name of yours, by its id; --save keeps it. Without NAME, list them."""
    known = desk.session.configuration.aliases()
    if not name:
        nothing = "There are no aliases. `%funcx alias NAME UUID` makes one."
        return Table(("alias", "endpoint"), sorted(known.items()), nothing)
    if unset:
        return _without_alias(desk, name, save)
    if not endpoint or not _ALIAS.fullmatch(name):
        raise MagicArgumentError("The form is `%funcx alias NAME UUID [--save user|project]`. See `%funcx help alias`.")
    if any(row.name == name for row in desk.session.connection.endpoints()):
        raise MagicArgumentError(f"{name} is the name of an endpoint of yours already. Choose another one.")
    found = desk.session.find_endpoint(endpoint)
    desk.session.configuration.aliases_here[name] = found.endpoint_id
    return Text(f"{name} is {found.name} ({found.endpoint_id}). {_kept(desk, ALIASES, name, found.endpoint_id, save)}")


def _without_alias(desk: Desk, name: str, save: str) -> Text:
    configuration = desk.session.configuration
    configuration.aliases_here.pop(name, None)
    if save:
        _save(desk, ALIASES, name, None, save)
    if name in configuration.aliases():
        raise MagicArgumentError(f"{name} is saved in a file: `%funcx alias {name} --unset --save user` (or project).")
    return Text(f"{name} is no alias any more.")


def magic(desk: Desk, *words: str) -> Table | Text:
    """Make a magic of your own: `%%NAME` runs cells at ENDPOINT with these options. Without NAME, list them."""
    own = desk.own_magics
    if not words:
        nothing = "There are no magics of yours. `%funcx magic NAME -e ENDPOINT OPTIONS` makes one."
        return Table(
            ("magic", "stands for"), [(f"%%{one}", f"%%funcx {line}") for one, line in own.lines.items()], nothing
        )
    name, rest, endpoint, save, unset = _read(words)
    if unset:
        own.remove(name)
        if save:
            _save(desk, MAGICS, name, None, save)
        return Text(f"%%{name} is gone.")
    line = " ".join(filter(None, [shlex.quote(endpoint) if endpoint else "", shlex.join(rest)]))
    if not line:
        raise MagicArgumentError(_FORM)
    check_plain(name, line, "`%funcx magic`")
    own.add(name, line)
    return Text(f"%%{name} stands for `%%funcx {line}`. {_kept(desk, MAGICS, name, line, save)}")


def _read(words: tuple[str, ...]) -> tuple[str, list[str], str, str, bool]:
    name, *left = words
    if name.startswith("-"):
        raise MagicArgumentError(_FORM)
    found = {"-e": "", "--save": ""}
    rest, unset = [], False
    words_left = iter(left)
    for word in words_left:
        if word in found:
            value = next(words_left, "")
            if not value:
                raise MagicArgumentError(_FORM)
            found[word] = value
        elif word == "--unset":
            unset = True
        else:
            rest.append(word)
    return name.removeprefix("%%"), rest, found["-e"], found["--save"], unset


def _kept(desk: Desk, table: str, name: str, text: str, save: str) -> str:
    if not save:
        return "In this kernel; `--save user` or `--save project` keeps it."
    return f"Kept in {_save(desk, table, name, text, save)}."


def _save(desk: Desk, table: str, name: str, text: str | None, where: str) -> str:
    path = files.path_for(where, desk.session.configuration.folder)
    if text is not None or path.exists():
        files.save(path, table, name, text)
    return files.shown(path)
