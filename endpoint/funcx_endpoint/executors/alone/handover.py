"""What an executor gives its agent at the start, as files of their private folder: its settings, and where its forwarder listens.

A provider goes as it is, as a pickle. One that holds what cannot leave its process, such as the client of an interface, goes as the
call that makes it anew, where its class allows that: Parsl's do.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dill
import msgspec

from funcx_core.errors import ConfigError
from funcx_core.home import read_private, write_private
from funcx_core.protocol.endpoint import EndpointRegistration

if TYPE_CHECKING:
    from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

MOST_INLINE: Final = 192 * 1024 * 1024
"""Bytes that arguments and results may have: there is no service to keep larger ones, and a message takes 256 MiB."""
ENDPOINT: Final[dict[str, Any]] = {"heartbeat_period": 0.5, "grace": 0.0}
"""Settings of an endpoint whose owner watches it from the same machine."""
_SETTINGS: Final = "executor.pickle"
_FORWARDER: Final = "forwarder.json"


def give(folder: Path, executor: HighThroughputExecutor, forwarder: EndpointRegistration) -> None:
    """Write what `take` reads.

    Raises:
        ConfigError: a setting of the executor, such as its provider, cannot be handed to another process.
    """
    settings = {field.name: getattr(executor, field.name) for field in dataclasses.fields(executor)}
    settings["max_result"] = max(executor.max_result, min(executor.max_large_result, MOST_INLINE))
    settings["max_large_result"] = settings["max_kept"] = 0
    write_private(folder / _SETTINGS, _pickled(settings))
    write_private(folder / _FORWARDER, msgspec.json.encode(forwarder))


def take(folder: Path) -> tuple[dict[str, Any], EndpointRegistration]:
    """Return the settings of the executor, and where its forwarder listens.

    Raises:
        ConfigError: the settings cannot be made anew here.
    """
    forwarder = msgspec.json.decode(read_private(folder / _FORWARDER), type=EndpointRegistration)
    try:
        settings: dict[str, Any] = pickle.loads(read_private(folder / _SETTINGS))  # noqa: S301 - written by `give`, private
    except Exception as error:
        raise ConfigError(
            f"The executor's settings cannot be made anew in its agent: {type(error).__name__}: {error}"
        ) from error
    return settings, forwarder


class _Pickler(dill.Pickler):  # type: ignore[misc] # dill has no types
    def reducer_override(self, obj: Any) -> Any:
        given = _construction(obj)
        if given is None or _can_be_pickled(obj):
            return NotImplemented
        return _construct, (type(obj), given)


def _construct(cls: type, given: dict[str, Any]) -> Any:
    return cls(**given)


def _can_be_pickled(obj: Any) -> bool:
    try:
        dill.dumps(obj, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever the object's parts raise
        return False
    return True


def _construction(obj: Any) -> dict[str, Any] | None:
    """Return the keywords that make an object like `obj`; None if its class does not keep them.

    Parsl's providers and launchers promise by `RepresentationMixin` that each parameter is an attribute of the same name.
    """
    if isinstance(obj, type) or not any(cls.__name__ == "RepresentationMixin" for cls in type(obj).__mro__):
        return None
    names = [
        name
        for name, parameter in inspect.signature(type(obj)).parameters.items()
        if parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
    ]
    return {name: getattr(obj, name) for name in names} if all(hasattr(obj, name) for name in names) else None


def _pickled(settings: dict[str, Any]) -> bytes:
    for name, value in settings.items():
        try:
            _dump(value)
        except Exception as error:
            raise ConfigError(
                f"{name} ({type(value).__name__}) cannot be handed to the executor's agent: {type(error).__name__}: {error}. "
                "Its class must be picklable, or derive from Parsl's RepresentationMixin."
            ) from error
    return _dump(settings)


def _dump(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()
