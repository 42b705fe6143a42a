"""How long the block of this manager may still run, as its batch system says it in the environment."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

STARTED_VARIABLE: Final = "FUNCX_BLOCK_STARTED"
"""When the block began, in Unix seconds by the clock of its first node: its script notes that first of all."""
SLURM_END_VARIABLE: Final = "SLURM_JOB_END_TIME"


def seconds_left(environment: Mapping[str, str], block_seconds: float | None, now: float) -> float | None:
    """Return the seconds to the end of the block; None if it is not limited, or nobody knows.

    Args:
        environment: of this process.
        block_seconds: how long the provider asked for.
        now: Unix seconds: the ends of jobs are told in them.
    """
    with contextlib.suppress(KeyError, ValueError):
        return max(float(environment[SLURM_END_VARIABLE]) - now, 0.0)
    if block_seconds is None:
        return None
    try:
        started = float(environment[STARTED_VARIABLE])
    except (KeyError, ValueError):
        return block_seconds
    return min(max(started + block_seconds - now, 0.0), block_seconds)
