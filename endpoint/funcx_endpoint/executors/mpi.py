"""What MPI mode asks of an executor's settings."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.errors import ConfigError
from funcx_endpoint.manager.node.launchers import LAUNCHERS

_ONE_PER_BLOCK: Final = frozenset({"SimpleLauncher", "SingleNodeLauncher"})
"""Parsl's launchers that start one process in a block."""


def check_mpi(launcher: str, provider: Any) -> None:
    """Check the settings of an executor in MPI mode.

    Raises:
        ConfigError: nothing is known of this launcher, or the provider would start a manager on each node.
    """
    if launcher not in LAUNCHERS:
        raise ConfigError(f"mpi_launcher is {launcher!r}; it must be one of {', '.join(LAUNCHERS)}.")
    own = getattr(provider, "launcher", None)
    if own is not None and type(own).__name__ not in _ONE_PER_BLOCK:
        raise ConfigError(
            f"enable_mpi_mode needs one manager for a block, and the provider's {type(own).__name__} starts more. "
            "Give the provider launcher=SimpleLauncher()."
        )
