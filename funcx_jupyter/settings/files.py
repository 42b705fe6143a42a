"""The files that settings are in: ``pyproject.toml``, ``~/.funcx/config.toml`` and the notebook itself; read here and nowhere else."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.home import home, home_path, write_private
from funcx_jupyter.settings.keys import TABLES, check_name, check_plain, convert

USER_FILE: Final = "config.toml"
PROJECT_FILE: Final = "pyproject.toml"
_SECTION: Final = ("tool", "funcx")
IN_NOTEBOOK: Final = "funcx"
"""Key of our settings in the metadata of notebooks and cells."""


class Content(msgspec.Struct, frozen=True):
    """What one place says.

    Attributes:
        source: the place, in words.
        values: settings as they are written there.
        aliases: names for endpoints, with their ids.
        magics: names of cell magics, with their options.
    """

    source: str
    values: Mapping[str, Any] = {}
    aliases: Mapping[str, str] = {}
    magics: Mapping[str, str] = {}


class _Notebook(msgspec.Struct):
    metadata: dict[str, Any] = {}


def read_user() -> Content:
    """Return what the user's file says. Raises as `content_of` does, and ConfigError if it cannot be read."""
    path = home_path() / USER_FILE
    if not path.parent.exists():
        return Content(shown(path))  # There may be no place for it at all, which is no reason to run no cell.
    home()
    return content_of(_toml(path), shown(path))


def read_project(folder: Path) -> Content:
    """Return what the nearest ``pyproject.toml`` with a section ``[tool.funcx]`` says, from `folder` upwards. Raises as `read_user` does."""
    for above in [folder, *folder.parents]:
        section: Any = _toml(above / PROJECT_FILE)
        for step in _SECTION:
            section = section.get(step) if isinstance(section, dict) else None
        if section is not None:
            return content_of(section, shown(above / PROJECT_FILE))
    return Content(f"no {PROJECT_FILE}")


def read_notebook(path: Path) -> Content:
    """Return what the metadata of a notebook say, as it was saved last."""
    source = "the notebook's metadata"
    if path.suffix != ".ipynb" or (stamp := _stamp(path)) is None:
        return Content(source)
    return content_of(_metadata(path, stamp).get(IN_NOTEBOOK) or {}, source)


def content_of(section: object, source: str) -> Content:
    """Return what is in a table of settings.

    Raises:
        ConfigError: it is no table, or there is something in it that is no setting, a setting cannot have its value, or a secret is there.
    """
    if not isinstance(section, dict):
        raise ConfigError(f"`funcx` in {source} is {section!r}; it is a table of settings.")
    values = {name: value for name, value in section.items() if name not in TABLES}
    for name, value in values.items():
        check_name(name, source)
        convert(name, value, source)
    tables = {name: _names(section.get(name, {}), name, source) for name in TABLES}
    return Content(source, values, **tables)


def _names(table: object, what: str, source: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        raise ConfigError(f"`{what}` in {source} is a table of names and text.")
    for name, text in table.items():
        check_plain(name, text, source)
    return table


def save(path: Path, table: str, name: str, value: Any) -> None:
    """Write one setting to a file and leave the rest of it as it is, comments included; None takes it out.

    Args:
        path: the user's file or that of a project.
        table: `ALIASES` or `MAGICS`; empty for a setting.
        name: of the setting, alias or magic.
        value: it, as TOML has it.
    """
    import tomlkit  # noqa: PLC0415 - only who saves settings pays for it
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - as above

    try:
        document: Any = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise ConfigError(f"{shown(path)} cannot be read: {error}.") from None
    section = document
    for step in (*(_SECTION if path.name == PROJECT_FILE else ()), *filter(None, [table])):
        section = section.setdefault(step, tomlkit.table(is_super_table=step == _SECTION[0]))
    if value is None:
        section.pop(name, None)
    else:
        section[name] = value
    content = tomlkit.dumps(document).encode()
    if path.name == USER_FILE:
        write_private(path, content)
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{shown(path)} cannot be written: {error.strerror}.") from None


def path_for(where: str, folder: Path) -> Path:
    """Return the file that ``--save WHERE`` means: for `project` the nearest ``pyproject.toml``, one in `folder` if there is none.

    Raises:
        ConfigError: `where` is neither ``user`` nor ``project``.
    """
    if where == "user":
        return home() / USER_FILE
    if where != "project":
        raise ConfigError(f"`--save {where}`: it can be user or project.")
    near = (above / PROJECT_FILE for above in [folder, *folder.parents] if (above / PROJECT_FILE).is_file())
    return next(near, folder / PROJECT_FILE)


def shown(path: Path) -> str:
    """Return a path as people write it."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def _toml(path: Path) -> dict[str, Any]:
    stamp = _stamp(path)
    return {} if stamp is None else _parsed(path, stamp)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when the file does; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - many of these for each cell
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _parsed(path: Path, stamp: tuple[int, int]) -> dict[str, Any]:
    del stamp
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{shown(path)} cannot be read: {error}.") from None


@lru_cache(maxsize=4)
def _metadata(path: Path, stamp: tuple[int, int]) -> dict[str, Any]:
    del stamp
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Notebook).metadata
    except (OSError, msgspec.MsgspecError):
        return {}  # A front end writes it at this moment, or it is no notebook: nothing is set there.
