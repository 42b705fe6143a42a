"""``service.toml``: read, overridden by environment and flags, explained.

A key is looked for in the flags, then in the environment (``FUNCX_SERVICE__LISTEN__PORT``), then in the file; else it has its
default. The file is ``service.toml`` of the data folder, or another one that ``--config`` names.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.service.config import USUAL_PORT, ServiceConfig

FILE_NAME: Final = "service.toml"
PREFIX: Final = "FUNCX_SERVICE__"

Values = dict[str, Any]
"""What one source says, nested as the file is."""

_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*)$")


class Setting(NamedTuple):
    """One key of the file: its sections and name, the type and default of its value, and what it means."""

    path: tuple[str, ...]
    kind: Any
    default: Any
    meaning: str

    @property
    def name(self) -> str:
        """The key as people write it, such as ``listen.port``."""
        return ".".join(self.path)


def load(
    data_dir: Path,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> ServiceConfig:
    """Return the settings of the service that keeps its data in `data_dir`, unless a source names another folder.

    Args:
        data_dir: where ``service.toml`` is looked for if `file` is None; it need not be there then.
        file: the file to read.
        environ: the environment; only names that begin with `PREFIX` matter.
        flags: values by key, such as ``{"listen.port": 5000}``.

    Raises:
        ConfigError: naming the key that is wrong, and the one that was probably meant.
    """
    merged: Values = {"data_dir": str(data_dir)}
    source = file or data_dir / FILE_NAME
    if file is not None or source.exists():
        _merge(merged, _checked(_read(source), str(source)))
    _merge(merged, _from_environment(environ or {}))
    for key, value in (flags or {}).items():
        _merge(merged, _nested(tuple(key.split(".")), value))
    try:
        config = msgspec.convert(merged, ServiceConfig, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The settings of the service cannot be used: {_words(error)}") from None
    absolute: ServiceConfig = _with_absolute_paths(config, source.parent)
    return absolute


def settings(kind: Any = ServiceConfig, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Yield every key there is, in the order of the file."""
    meanings = _meanings(kind)
    sections = []
    for field in msgspec.structs.fields(kind):
        here = (*path, field.name)
        section = _struct_in(field.type)
        if section is None:
            yield Setting(here, field.type, None if field.required else field.default, meanings.get(field.name, ""))
        else:
            sections.append((here, section))
    for here, section in sections:
        yield from settings(section, here)


def effective(config: ServiceConfig) -> str:
    """Return the file that would give `config`."""
    return _render(config, commented=False)


def example(config: ServiceConfig) -> str:
    """Return a file in which every key is explained and has its default; all of it is comments but the sections."""
    head = (
        "# Settings of a funcX service. A key that is commented out has the value shown; `funcx-service config` prints what\n"
        f"# counts. In the environment, {PREFIX}LISTEN__PORT=5000 sets listen.port. Paths are relative to this file.\n"
    )
    return head + _render(config, commented=True)


# --- reading ---------------------------------------------------------------------------------------------------


def _read(path: Path) -> Values:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not TOML: {error}. `funcx-service config --example` shows what it looks like."
        ) from None


def _checked(values: Values, source: str) -> Values:
    """Return `values` if each of its keys exists."""
    known = {setting.name for setting in settings()}
    for name in _names(values):
        if name not in known:
            raise ConfigError(f"{source}: there is no setting '{name}'.{_nearest(name, known)}")
    return values


def _names(values: Values, path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _names(value, (*path, key))
        elif not isinstance(value, dict):
            yield ".".join((*path, key))


def _nearest(name: str, known: set[str]) -> str:
    same_key = [each for each in known if each.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    found = same_key[:1] or difflib.get_close_matches(name, known, 1, 0.5)
    return f" Did you mean '{found[0]}'?" if found else " `funcx-service config --example` lists all."


def _from_environment(environ: Mapping[str, str]) -> Values:
    by_name = {PREFIX + "__".join(setting.path).upper(): setting for setting in settings()}
    values: Values = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        setting = by_name.get(variable)
        if setting is None:
            found = difflib.get_close_matches(variable, by_name, 1, 0.5)
            raise ConfigError(
                f"{variable} is no setting.{f' Did you mean {found[0]}?' if found else ''} Unset it, or correct its name."
            )
        _merge(values, _nested(setting.path, _value(setting, environ[variable])))
    return values


def _value(setting: Setting, text: str) -> Any:
    if _is_list(setting.kind):
        return [item.strip() for item in text.split(",") if item.strip()]
    if Path in (setting.kind, *getattr(setting.kind, "__args__", ())):
        return str(Path.cwd() / text)  # The folder of the file has nothing to do with it.
    return text


def _nested(path: tuple[str, ...], value: Any) -> Values:
    return {path[0]: value if len(path) == 1 else _nested(path[1:], value)}


def _merge(into: Values, values: Values) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _path(kind: type, value: Any) -> Any:
    """Paths are what msgspec does not know by itself."""
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"Expected a path, got `{type(value).__name__}`")


def _with_absolute_paths(config: Any, folder: Path) -> Any:
    """Return `config` with its paths, and those in its sections, made absolute: a relative one is below `folder`."""
    changed: Values = {}
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if isinstance(value, Path):
            changed[name] = Path.cwd() / folder / value.expanduser()
        elif isinstance(value, msgspec.Struct):
            changed[name] = _with_absolute_paths(value, folder)
    return msgspec.structs.replace(config, **changed)


def _words(error: msgspec.ValidationError) -> str:
    text, _, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {text}" if place else text


# --- what the structs say about themselves ---------------------------------------------------------------------


def _struct_in(kind: Any) -> Any:
    """Return the struct that a type is, or is besides None."""
    for each in (kind, *getattr(kind, "__args__", ())):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", kind) in {list, tuple, frozenset, set}


def _meanings(kind: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    last = ""
    _, _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    for line in attributes.splitlines():
        match = _ATTRIBUTE.match(line)
        if match:
            last, found[match[1]] = match[1], match[2]
        elif last:
            found[last] += " " + line.strip()
    return found


# --- writing ---------------------------------------------------------------------------------------------------


def _render(config: ServiceConfig, *, commented: bool) -> str:
    lines: list[str] = []
    section: tuple[str, ...] = ()
    for setting in settings():
        is_there = _value_at(config, setting.path[:-1]) is not None
        if setting.path[:-1] != section and (is_there or commented):
            section = setting.path[:-1]
            # A section that is None by default comes to life by its name.
            lines += ["", f"{'' if is_there else '#'}[{'.'.join(section)}]"]
        value = _value_at(config, setting.path)
        if commented:
            lines += [f"# {setting.meaning}"] if setting.meaning else []
            lines.append(f"#{setting.path[-1]} = {_toml(_sample(setting) if value is None else value)}")
        elif value is not None:
            lines.append(f"{setting.path[-1]} = {_toml(value)}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _value_at(config: Any, path: tuple[str, ...]) -> Any:
    value: Any = config
    for name in path:
        if value is None:
            return None
        value = getattr(value, name)
    return value


def _sample(setting: Setting) -> Any:
    """Return what a key that has no value by default could be."""
    if setting.default is not None:
        return setting.default
    return f"/path/to/{setting.path[-1]}" if Path in getattr(setting.kind, "__args__", ()) else USUAL_PORT


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case frozenset() | set():
            return _toml(sorted(cast("frozenset[str]", value)))
        case list() | tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case int() | float():
            return str(value)
        case _:
            return json.dumps(str(value))
