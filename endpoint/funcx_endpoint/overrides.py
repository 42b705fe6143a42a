"""Settings from the environment, for containers and scripts: they count more than the endpoint's file.

    FUNCX_ENDPOINT__HEARTBEAT_PERIOD=10
    FUNCX_ENDPOINT__ENGINE__MAX_WORKERS_PER_NODE=4
    FUNCX_ENDPOINT__ENGINE__PROVIDER__MAX_BLOCKS=2

Values are JSON (``4``, ``true``, ``null``, ``{"a": 1}``); what is not JSON is a string.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.settings import refuse_unknown

PREFIX: Final = "FUNCX_ENDPOINT__"
_ENGINES: Final = ("engine", "executor")
_READ_LATE: Final = ("init_blocks", "min_blocks", "max_blocks", "parallelism", "walltime", "cmd_timeout", "worker_init")
"""What Parsl's providers read when they submit; from the others (account, partition) they make text when they are made."""
_LIVE: Final = frozenset({"executors", "provider", "launcher", "strategy"})
"""Settings that hold an object, which no variable can be."""


def apply(config: Config, environment: Mapping[str, str]) -> Config:
    """Return `config` with the settings that the environment has.

    Raises:
        ConfigError: a variable names no setting, or has no value for it; names the variable.
    """
    for variable in sorted(environment):
        if variable.startswith(PREFIX):
            path = variable.removeprefix(PREFIX).lower().split("__")
            try:
                config = _with(config, path, _value(environment[variable]))
            except ConfigError as error:
                raise ConfigError(f"${variable}: {error}") from None
    return config


def _with(config: Config, path: list[str], value: Any) -> Config:
    if path[0] not in _ENGINES:
        return dataclasses.replace(config, **_change("Config", config, path, value, more=_ENGINES))
    executor, rest = config.executor, path[1:]
    if rest[:1] == ["provider"]:
        _set_provider(executor.provider, rest[1:], value)
        return config
    change = _change("HighThroughputExecutor", executor, rest, value, more=("provider",))
    return dataclasses.replace(config, executors=[dataclasses.replace(executor, **change)])


def _change(
    what: str, settings: Config | HighThroughputExecutor, path: list[str], value: Any, *, more: tuple[str, ...]
) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(settings) if field.name not in _LIVE]
    _refuse_path(what, path, names, more=more)
    return {path[0]: value}


def _set_provider(provider: Any, path: list[str], value: Any) -> None:
    """Change a provider in place."""
    if provider is None:
        raise ConfigError("the endpoint's file has no provider. Give it one, such as LocalProvider().")
    what = type(provider).__name__
    names = [name for name in inspect.signature(type(provider)).parameters if hasattr(provider, name)]
    _refuse_path(what, path, names, more=())
    name = path[0]
    if name not in _READ_LATE:
        settable = ", ".join(one for one in _READ_LATE if one in names)
        raise ConfigError(f"{name} of {what} is set in the endpoint's file only. The environment sets: {settable}.")
    now = getattr(provider, name)
    if now is not None and not _is_like(value, now):
        raise ConfigError(f"{name} of {what} is {now!r} in the endpoint's file, and cannot be {value!r}.")
    # A provider that ends its own text with a line feed does so when it is made.
    setattr(provider, name, f"{value}\n" if name == "worker_init" else value)


def _refuse_path(what: str, path: list[str], names: list[str], *, more: tuple[str, ...]) -> None:
    refuse_unknown(what, {path[0] if path else "": None}, [*names, *more])
    if path[0] in more or path[1:]:
        raise ConfigError(f"'{'__'.join(path)}' of {what} cannot be set in the environment.")


def _is_like(value: Any, now: Any) -> bool:
    if isinstance(now, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(now, bool)
    if isinstance(now, int | float):
        return isinstance(value, int | float)
    return isinstance(value, type(now))


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text
