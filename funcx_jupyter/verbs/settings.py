"""The verbs of `%funcx` about how cells run when they do not say it themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from funcx_jupyter.display.tables import Table, Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.settings import files
from funcx_jupyter.settings.keys import SETTINGS, Setting, as_text, check_name, convert
from funcx_jupyter.settings.layers import ENDPOINT, Found
from funcx_jupyter.verbs.desk import Desk

_TYPED: Final = "`%funcx config`"


def config(desk: Desk, name: str = "", value: str = "", *, save: str = "", unset: bool = False) -> Table | Text:
    """Show every setting and where it comes from; or set one for this kernel, with --save for good."""
    if not name:
        return _table(desk, list(SETTINGS.values()))
    check_name(name, _TYPED)
    if unset and value:
        raise MagicArgumentError("Either a value or --unset: `%funcx config KEY VALUE` or `%funcx config KEY --unset`.")
    if not value and not unset:
        return _table(desk, [SETTINGS[name]])
    return _unset(desk, name, save) if unset else _set(desk, name, value, save)


def _set(desk: Desk, name: str, value: str, save: str) -> Text:
    configuration = desk.session.configuration
    typed = _as_toml(name, value)
    told = f"{name} = {as_text(typed)}"
    if not save:
        configuration.here[name] = typed
        return Text(f"{told} in this kernel. `--save user` or `--save project` keeps it.")
    path = files.path_for(save, configuration.folder)
    files.save(path, "", name, typed)
    configuration.here.pop(name, None)  # What is saved is to hold from now on.
    return Text(f"{told} in {files.shown(path)}.{_but(desk, name, path)}")


def _unset(desk: Desk, name: str, save: str) -> Text:
    configuration = desk.session.configuration
    configuration.here.pop(name, None)
    if save:
        path = files.path_for(save, configuration.folder)
        if path.exists():
            files.save(path, "", name, None)
    now = configuration.found().get(name)
    return Text(f"{name} is {_value(SETTINGS[name], now)} now ({_source(now)}).")


def _but(desk: Desk, name: str, path: Path) -> str:
    """Return what is said if something stronger than the file holds."""
    now = desk.session.configuration.found().get(name)
    if now is None or now.source == files.shown(path):
        return ""
    return f" But {now.source} says {_value(SETTINGS[name], now)}, and that holds."


def _as_toml(name: str, value: str) -> str | bool | int | float:
    """Return what was typed as TOML has it: `true` and numbers without quotation marks.

    Raises:
        ConfigError: the setting cannot be that.
    """
    converted = convert(name, value, _TYPED)
    return converted if isinstance(converted, bool | int | float) else value


def _table(desk: Desk, settings: list[Setting]) -> Table:
    found = desk.session.configuration.found()
    used = desk.session.used
    if used:
        found[ENDPOINT] = Found(used, "`%funcx use`", used)
    rows = [(one.name, _value(one, found.get(one.name)), _source(found.get(one.name)), one.meaning) for one in settings]
    return Table(("setting", "value", "from", "what it is"), rows, "")


def _value(setting: Setting, found: Found | None) -> str:
    return (setting.default if found is None else found.text) or "-"


def _source(found: Found | None) -> str:
    return "default" if found is None else found.source
