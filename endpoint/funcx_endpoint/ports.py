"""Ports that a firewall lets through: which ones may be listened on, and taking the first that is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from funcx_core.errors import ConfigError

T = TypeVar("T")

ANY: Final = (0,)
_LAST: Final = 65535
_ENDS: Final = 2


def check_range(name: str, given: Any) -> None:
    """Raise a `ConfigError` unless `given` is None, or the first port of a range and the one behind its last."""
    if given is None:
        return
    if not _are_ports(given) or len(given) != _ENDS or not given[0] < given[1]:
        raise ConfigError(f"{name} is {given!r}; two ports are needed, such as (54000, 55000): from 54000 to 54999.")


def check_ports(name: str, given: Any) -> None:
    """Raise a `ConfigError` unless `given` is None or a list of ports."""
    if given is not None and not (_are_ports(given) and given):
        raise ConfigError(f"{name} is {given!r}; ports are needed, such as (54321, 54322).")


def listen_in(ports: Iterable[int], what: str, listen: Callable[[int], T]) -> T:
    """Return what `listen` makes of the first of these ports that is free. `what` names the setting that they come from.

    Raises:
        ConfigError: none of them is.
    """
    reason: ConfigError | None = None
    for port in ports:
        try:
            return listen(port)
        except ConfigError as error:
            reason = error
    if reason is None or ports is ANY:
        raise reason or ConfigError(f"{what} names no port.")
    raise ConfigError(f"No port of {what} can be listened on. The last one: {reason} Give it more ports.")


def in_range(given: Sequence[int] | None) -> Sequence[int]:
    """Return the ports of a range; any port if there is none."""
    return ANY if given is None else range(given[0], given[1])


def _are_ports(given: Any) -> bool:
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and all(isinstance(port, int) and not isinstance(port, bool) and 0 < port <= _LAST for port in given)
    )
