"""``config.yaml``: the settings of a `config.py`, without Python.

::

    description: the cluster in the basement
    engine:
      type: HighThroughputExecutor
      max_workers_per_node: 4
      provider:
        type: SlurmProvider
        partition: debug
        launcher:
          type: SrunLauncher

A mapping with a `type` becomes the object of that name, made from the rest of the mapping.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from funcx_core.errors import ConfigError
from funcx_endpoint import strategies
from funcx_endpoint.config import ALSO_TAKEN, SETTINGS, Config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.providers import KubernetesProvider
from funcx_endpoint.providers.gone import what_became_of
from funcx_endpoint.settings import refuse_unknown

T = TypeVar("T")

_EXECUTOR_KEYS: Final = ("engine", "executor", "executors")


class _Section(dict[str, Any]):
    """A mapping of the file that knows its line and those of its keys."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def read(path: Path, text: str) -> Config:
    """Return the configuration that the text of a file describes.

    Raises:
        ConfigError: for everything that is wrong with it; names the file and the line.
    """
    top = _parse(path, text)
    unknown = {key: value for key, value in top.items() if key not in (*_EXECUTOR_KEYS, *SETTINGS, *ALSO_TAKEN)}
    _told(path, top, lambda: refuse_unknown("Config", unknown, ["engine", "executor", *SETTINGS]))
    found = [key for key in _EXECUTOR_KEYS if key in top]
    if len(found) > 1:
        raise ConfigError(f"{path}, line {top.lines[found[1]]}: '{found[0]}' and '{found[1]}' mean the same; keep one.")
    given = {key: _built(path, value, key) for key, value in top.items() if key not in found}
    for key in found:
        listed = top[key] if isinstance(top[key], list) else [top[key]]
        given["executors"] = [_built(path, _with_type(path, one, top.lines[key]), "engine") for one in listed]
    return _told(path, top, lambda: Config(**given))


def in_one_line(error: BaseException) -> str:
    """Return what somebody else's error says; checkers of types explain themselves in several lines."""
    missing = getattr(error, "module_names", None)
    if missing:  # Parsl's error of what only some of its providers need
        return f"a package is missing. Run: pip install {' '.join(map(str, missing))}"
    if isinstance(error, ImportError) and (gone := what_became_of(str(error))):
        return gone
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _parse(path: Path, text: str) -> _Section:
    try:
        import yaml  # noqa: PLC0415 - an endpoint with a config.py does without it
    except ImportError:
        raise ConfigError(f"{path} needs PyYAML. Run: pip install pyyaml") from None

    loader_class: Any = type("Loader", (yaml.SafeLoader,), {})

    def mapping(loader: Any, node: Any) -> _Section:
        loader.flatten_mapping(node)
        section = _Section(node.start_mark.line + 1)
        for key_node, value_node in node.value:
            key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise ConfigError(f"{path}, line {line}: {key!r} is not the name of a setting.")
            if key in section:
                raise ConfigError(f"{path}, line {line}: '{key}' is there twice, first in line {section.lines[key]}.")
            section[key] = loader.construct_object(value_node, deep=True)
            section.lines[key] = line
        return section

    loader_class.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        top = yaml.load(text, loader_class)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(f"{path}{f', line {mark.line + 1}' if mark else ''}: {problem}.") from None
    if not isinstance(top, _Section):
        raise ConfigError(f"{path} must be a mapping, such as:\nengine:\n  type: HighThroughputExecutor")
    return top


def _with_type(path: Path, value: Any, line: int) -> _Section:
    if not isinstance(value, _Section):
        raise ConfigError(f"{path}, line {line}: a mapping is needed, with `type: HighThroughputExecutor`.")
    value.setdefault("type", "HighThroughputExecutor")
    return value


def _built(path: Path, value: Any, key: str) -> Any:
    """Return a value of the file, with each mapping that has a `type` made into its object."""
    if isinstance(value, list):
        return [_built(path, one, key) for one in value]
    if not isinstance(value, _Section):
        return value
    given = {name: _built(path, one, name) for name, one in value.items() if name != "type"}
    if "type" not in value:
        return given
    line = value.lines.get("type", value.line)
    make = _named(path, str(value["type"]), key, line)
    names = [name for name in inspect.signature(make).parameters if name not in {"self", "args", "kwargs"}]
    if make is not HighThroughputExecutor:  # which checks them itself, and takes those of earlier versions
        _told(path, value, lambda: refuse_unknown(str(value["type"]), given, names))
    return _told(path, value, lambda: make(**given))


def _named(path: Path, name: str, key: str, line: int) -> Any:
    if key == "engine" and name == "HighThroughputExecutor":
        return HighThroughputExecutor
    known: Mapping[str, Any] = {"HighThroughputExecutor": None} if key == "engine" else _types(key)
    found = known.get(name)
    if found is not None:
        return found
    if gone := what_became_of(name):
        raise ConfigError(f"{path}, line {line}: {gone}")
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(known)}."
    raise ConfigError(f"{path}, line {line}: there is no {key} of type '{name}'. {hint}")


def _types(key: str) -> dict[str, Any]:
    from parsl import addresses, launchers, providers  # noqa: PLC0415 - costs a second

    match key:
        case "provider":
            found = {name: getattr(providers, name) for name in providers.__all__}
            return {**found, "KubernetesProvider": KubernetesProvider}
        case "strategy":
            return {one.__name__: one for one in (strategies.SimpleStrategy, strategies.KubeSimpleStrategy)}
        case "launcher":
            return {name: getattr(launchers, name) for name in launchers.__all__}
        case "address":
            return {name: getattr(addresses, name) for name in vars(addresses) if name.startswith("address_by_")}
    return {}


def _told(path: Path, section: _Section, make: Callable[[], T]) -> T:
    """Return what `make` returns; what it raises is told with the file, and with the line of the key that it names."""
    try:
        return make()
    except ConfigError as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001 - providers raise whatever they like
        message = f"{section.get('type', 'it')} cannot be made: {in_one_line(error)}"
    named = [line for key, line in section.lines.items() if f"'{key}'" in message or message.startswith(f"{key} ")]
    raise ConfigError(f"{path}, line {named[0] if named else section.line}: {message}") from None
