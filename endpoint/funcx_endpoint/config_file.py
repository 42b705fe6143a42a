"""Reads what configures an endpoint: its `config.py` or `config.yaml`, then the global options, then the environment.

A `config.py` is Python and is run in the endpoint's folder. Whatever is wrong with a file is a `ConfigError` that names the
file and the line.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import re
import tokenize
import traceback
from pathlib import Path
from typing import Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint import config_yaml, global_options, overrides
from funcx_endpoint.config import Config

CONFIG_FILE: Final = "config.py"
YAML_FILE: Final = "config.yaml"

_log = logging.getLogger(__name__)

_BLANK: Final = re.compile(r"\bYOUR_[A-Z_]+\b")
"""What a template leaves to the endpoint's owner."""


def config_path(folder: Path) -> Path | None:
    """Return the configuration file in an endpoint's folder, or None.

    Raises:
        ConfigError: there are two.
    """
    found = [folder / name for name in (CONFIG_FILE, YAML_FILE) if (folder / name).is_file()]
    if len(found) > 1:
        raise ConfigError(f"{folder} holds both {CONFIG_FILE} and {YAML_FILE}. Remove the one that does not count.")
    return found[0] if found else None


def load_config(folder: Path) -> Config:
    """Return the configuration of the endpoint in `folder`. Changes the working directory to `folder`.

    The environment counts more than the endpoint's file, and that more than the global options.

    Raises:
        ConfigError: for everything that is wrong with a file or a variable.
    """
    path = config_path(folder)
    if path is None:
        raise ConfigError(f"{folder / CONFIG_FILE} does not exist. Run: funcx-endpoint configure {folder.name}")
    os.chdir(folder)
    config = read_config(path)
    config = global_options.apply(config, folder.parent / CONFIG_FILE)
    config = overrides.apply(config, os.environ)
    if config.executor.interchange_port_range is not None:
        _log.warning("interchange_port_range has no effect on an endpoint: its agent connects, and listens for nobody")
    return config


def read_config(path: Path) -> Config:
    """Return what one configuration file says, and nothing else.

    Raises:
        ConfigError: for everything that is wrong with it.
    """
    if path.suffix in {".yaml", ".yml"}:
        text = _text(path)
        _refuse_blanks(path, _yaml_words(text))
        return config_yaml.read(path, text)
    scope = run_python(path)
    config = scope.get("config")
    if not isinstance(config, Config):
        raise ConfigError(f"{path} must set `config = Config(...)`.")
    return _with_meta(config, scope.get("meta"))


def _with_meta(config: Config, meta: Any) -> Config:
    """Return `config` with the plain facts of a `meta`, which the files of versions 0.2 to 1.0 had beside `config`."""
    if not isinstance(meta, dict):
        return config
    if meta.get("visible_to"):
        _log.warning("meta: visible_to has no effect in this version; give Config a `group`, or `public=True`")
    facts = {name: meta[name] for name in ("organization", "department") if meta.get(name)}
    description = config.description or str(meta.get("description") or "")
    public = True if config.public is None and meta.get("public") is True else config.public
    return dataclasses.replace(config, meta={**facts, **config.meta}, description=description, public=public)


def run_python(path: Path) -> dict[str, Any]:
    """Run a file of settings and return its names.

    Raises:
        ConfigError: it cannot be read or run, or something in it was not filled in.
    """
    text = _text(path)
    try:
        code = compile(text, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(f"{path}{_at(line)}: {getattr(error, 'msg', error)}.") from None
    _refuse_blanks(path, _python_strings(text))
    scope: dict[str, Any] = {"__name__": "funcx_endpoint_config", "__file__": str(path)}
    try:
        exec(code, scope)  # noqa: S102 - the endpoint's owner wrote it
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the file raises is told with its line
        what = str(error) if isinstance(error, ConfigError) else config_yaml.in_one_line(error)
        raise ConfigError(f"{path}{_at(_line_in(path, error))}: {what}") from None
    return scope


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8.") from None


def _refuse_blanks(path: Path, words: list[tuple[int, str]]) -> None:
    for line, text in words:
        blank = _BLANK.search(text)
        if blank:
            raise ConfigError(f"{path}, line {line}: {blank.group()} is to be filled in.")


def _python_strings(text: str) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.STRING]


def _yaml_words(text: str) -> list[tuple[int, str]]:
    return [(number, line.partition("#")[0]) for number, line in enumerate(text.splitlines(), 1)]


def _at(line: int | None) -> str:
    return f", line {line}" if line else ""


def _line_in(path: Path, error: BaseException) -> int | None:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None
