"""Which nodes the block of this process has, as its batch system says."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from funcx_core.errors import ConfigError

_PATIENCE: Final = 60.0
"""Seconds for scontrol, which asks nobody but may be on a busy file system."""


def block_nodes(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the nodes in the order of the batch system; this one alone where there is none.

    Args:
        environment: of a process that the batch system started.

    Raises:
        ConfigError: there is a batch system, and what it says cannot be read.
    """
    if packed := environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST"):
        return _of_slurm(packed)
    if file := environment.get("PBS_NODEFILE"):
        return _of_pbs(Path(file))
    return ["localhost"]


def _of_slurm(packed: str) -> list[str]:
    try:
        done = subprocess.run(
            ["scontrol", "show", "hostnames", packed], capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f"The nodes of this block ({packed}) cannot be listed: {error}. MPI mode needs Slurm's scontrol on the compute nodes."
        ) from None
    return done.stdout.split()


def _of_pbs(file: Path) -> list[str]:
    """Return the lines of the file; a node has one for each of its processors there."""
    try:
        names = list(dict.fromkeys(file.read_text().split()))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The nodes of this block cannot be read from PBS_NODEFILE ({file}): {error}.") from None
    if not names:
        raise ConfigError(f"PBS_NODEFILE ({file}) names no node. Unset it where no batch system has set it.")
    return names
