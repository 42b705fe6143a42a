"""What a task needs of the node it runs on.

Numbers are what the task uses at most, all its processes together. None leaves a number to the endpoint: then the task has
the share of its node that each worker has.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

LEAST_PRIORITY: Final = -100
MOST_PRIORITY: Final = 100
MOST_NODES: Final = 100_000
LONGEST_LAUNCHER_OPTIONS: Final = 1000


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of `TaskOptions`; one object is shared by all tasks of a submit.

    Attributes:
        cores: processors.
        memory_gb: memory in GB (10**9 bytes).
        accelerators: GPUs and their kin; the task sees as many.
        nodes: nodes of one block, for a function that starts processes on several.
        ranks_per_node: processes that it starts on each of its nodes.
        ranks: processes that it starts altogether.
        launcher_options: words for the program that starts them, as they stand on its command line.
    """

    cores: float | None = None
    memory_gb: float | None = None
    accelerators: int | None = None
    nodes: int | None = None
    ranks_per_node: int | None = None
    ranks: int | None = None
    launcher_options: str = ""

    def fault(self) -> str | None:
        """Return what is wrong with the numbers, as one sentence; None if nothing is."""
        for name in ("cores", "memory_gb"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                return f"'{name}' is {number:g}; it must be more than 0."
        if self.accelerators is not None and not 0 <= self.accelerators <= MOST_NODES:
            return f"'accelerators' is {self.accelerators}; it must be 0 or more."
        for name in ("nodes", "ranks_per_node", "ranks"):
            number = getattr(self, name)
            if number is not None and not 0 < number <= MOST_NODES:
                return f"'{name}' is {number}; it must be 1 to {MOST_NODES:,}."
        if len(self.launcher_options) > LONGEST_LAUNCHER_OPTIONS:
            return f"'launcher_options' has {len(self.launcher_options):,} characters; it must have {LONGEST_LAUNCHER_OPTIONS:,} at most."
        return self._ranks_fault()

    def _ranks_fault(self) -> str | None:
        if self.ranks is None or self.ranks_per_node is None:
            return None
        nodes = self.nodes or 1
        if self.ranks != nodes * self.ranks_per_node:
            return f"'ranks' is {self.ranks}, but {nodes} nodes with {self.ranks_per_node} each make {nodes * self.ranks_per_node}."
        return None


def priority_fault(priority: int) -> str | None:
    """Return what is wrong with a priority, as one sentence; None if nothing is."""
    if LEAST_PRIORITY <= priority <= MOST_PRIORITY:
        return None
    return f"'priority' is {priority}; it must be {LEAST_PRIORITY} to {MOST_PRIORITY}."
