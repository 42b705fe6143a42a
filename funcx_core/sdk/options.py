"""How tasks are to be run, as users say it."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.ids import ContainerId, parse_id
from funcx_core.protocol.task import TaskOptions

MOST_RETRIES: Final = 10


def task_options(container_id: Any, walltime: float | None, retry_on_loss: int) -> TaskOptions:
    """Return the options.

    Raises:
        ValueError: one of them is out of its range.
    """
    if not 0 <= retry_on_loss <= MOST_RETRIES:
        raise ValueError(f"retry_on_loss is {retry_on_loss}; it must be between 0 and {MOST_RETRIES}.")
    if walltime is not None and walltime <= 0:
        raise ValueError(f"walltime is {walltime}; it must be a positive number of seconds.")
    container = None if container_id is None else ContainerId(parse_id(container_id, "container id"))
    return TaskOptions(walltime=walltime, retry_on_loss=retry_on_loss, container_id=container)
