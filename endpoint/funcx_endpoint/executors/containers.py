"""The settings of an executor that say in which containers its workers run."""

from __future__ import annotations

from typing import Final

from funcx_core.errors import ConfigError
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.containers.runtimes import check_kind, split_options

NO_CONTAINER: Final = "no_container"
REUSE: Final = "singularity_reuse"
SINGLE_USE: Final = "singularity_single_use"
MODES: Final = (NO_CONTAINER, REUSE, SINGLE_USE)


def container_settings(
    container_type: str | None, image: str | None, options: str | None, mode: str | None, idle_seconds: float
) -> ContainerSettings | None:
    """Return what these settings come to; None for no containers.

    Raises:
        ConfigError: one of them is none, or they contradict each other.
    """
    if mode not in {None, *MODES}:
        raise ConfigError(f"worker_mode is {mode!r}; one of {', '.join(MODES)} is needed.")
    if container_type is None and mode in {REUSE, SINGLE_USE}:
        container_type = "singularity"
    if container_type is None and image:
        raise ConfigError("container_image needs container_type, such as 'docker', which says how to run it.")
    if container_type is None:
        return None
    try:
        settings = ContainerSettings(
            kind=check_kind(container_type),
            image=image or "",
            options=split_options(options or ""),
            is_single_use=mode == SINGLE_USE,
            idle_seconds=idle_seconds,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return None if mode == NO_CONTAINER else settings
