"""What can be set: the endpoint, and those options of `%%funcx` that make sense for more than one cell. Pure."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn

import msgspec

from funcx_core.errors import ConfigError
from funcx_jupyter.options import parser

ALIASES: Final = "aliases"
MAGICS: Final = "magics"
TABLES: Final = (ALIASES, MAGICS)
"""Tables of a file beside the settings: names for endpoints, and magics of one's own with their options."""

_ON: Final = frozenset({"true", "on", "yes", "1"})
_OFF: Final = frozenset({"false", "off", "no", "0"})
_SECRET: Final = re.compile(r"token|secret|password|passwd|credential|api_?key|authori[sz]ation", re.IGNORECASE)
_LOOKS_SECRET: Final = re.compile(r"\bfx[st]_\w{8,}|^Bearer\s|^gh[opsu]_\w{8,}|\bey[JK]\w{10,}\.\w+")


class Setting(msgspec.Struct, frozen=True):
    """One of them.

    Attributes:
        name: as in files and after `%funcx config`.
        action: the option of the parser that it is the default of.
        meaning: what it is for.
    """

    name: str
    action: Any
    meaning: str

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off."""
        return bool(self.action.nargs == 0)

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, if that is a list."""
        return ("true", "false") if self.is_switch else tuple(self.action.choices or ())

    @property
    def default(self) -> str:
        """What holds if nobody sets it."""
        return as_text(self.action.default)


SETTINGS: Final = {name: Setting(name, action, meaning) for name, action, meaning in parser.settable()}


def convert(name: str, value: object, source: str) -> Any:
    """Return the value of a setting as the option would have it.

    Args:
        name: of the setting.
        value: text, or what TOML and JSON have for it.
        source: where it was found, for the message.

    Raises:
        ConfigError: it cannot be that.
    """
    setting = SETTINGS[name]
    if _LOOKS_SECRET.search(str(value)):
        refuse_secret(name, source)
    if setting.is_switch:
        return _switch(name, value, source)
    text = as_text(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not text:
        raise ConfigError(f"`{name}` in {source} is {value!r}. It is written as after the option of %%funcx.")
    if setting.choices and text not in setting.choices:
        raise ConfigError(f"`{name}` in {source} is '{text}'. It can be {', '.join(setting.choices)}.")
    try:
        return setting.action.type(text) if setting.action.type else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise ConfigError(f"`{name}` in {source}: {error}.") from None


def _switch(name: str, value: object, source: str) -> bool:
    text = as_text(value).lower()
    if text not in _ON | _OFF:
        raise ConfigError(f"`{name}` in {source} is '{value}'. It can be true or false.")
    return text in _ON


def check_name(name: str, source: str, known: Iterable[str] = SETTINGS) -> None:
    """Refuse what is no setting.

    Raises:
        ConfigError: with what was probably meant; or that a secret is where others may read it.
    """
    if name in known:
        return
    if _SECRET.search(name):
        refuse_secret(name, source)
    near = difflib.get_close_matches(name.replace("-", "_"), [*known], n=1, cutoff=0.6)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    raise ConfigError(f"`{name}` in {source} is not a setting of %%funcx.{hint} `%funcx config` lists them.")


def check_plain(name: str, text: str, source: str) -> None:
    """Refuse an alias or magic that holds a token. Raises ConfigError."""
    if _LOOKS_SECRET.search(text):
        refuse_secret(name, source)


def refuse_secret(name: str, source: str) -> NoReturn:
    """Refuse a token among settings: notebooks and projects are shared."""
    raise ConfigError(
        f"`{name}` in {source} is a secret: whoever can read the file can use it. Remove it there; "
        "`%funcx login` keeps tokens where only you can read them."
    )


def as_text(value: object) -> str:
    """Return a value as it is written in `%funcx config`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
