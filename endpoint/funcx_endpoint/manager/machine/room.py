"""What a task that asks for more than a worker's share is given of its node. Pure.

Such a task runs in one worker, and the places of others are lent to it: they stay idle, and what is theirs of the node,
processors and accelerators, is its own while it runs. The interchange sends it when there are enough places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from funcx_core.protocol.task import TaskOptions
from funcx_endpoint.manager.node.placement import accelerator_variables, processors
from funcx_endpoint.shapes import Node, shape_of

_JOINED: Final = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is divided among its workers.

    Attributes:
        node: what it has, in slots: one for each worker.
        accelerators: how many, or their names.
        cpu_affinity: how workers are bound to processors, see `placement`.
        available: processors that the manager may use, in order.
        inherited: the manager's environment, in which a batch system may have named accelerators.
    """

    node: Node
    accelerators: int | list[str] = 0
    cpu_affinity: str = "none"
    available: Sequence[int] = ()
    inherited: Mapping[str, str] = {}

    def width(self, options: TaskOptions | None) -> int:
        """Return how many workers' places a task takes, at most all."""
        if options is None or options.resources is None:
            return 1
        return min(self.node.width(shape_of(options)), self.node.workers)

    def is_special(self, options: TaskOptions | None) -> bool:
        """Whether a task must be told what it has: it has more than its worker's share."""
        if options is None or options.resources is None:
            return False
        return self.width(options) > 1 or (options.resources.accelerators or 0) > 1

    def variables(self, places: Collection[int], options: TaskOptions) -> dict[str, str]:
        """Return the environment of a task that has the places of these workers."""
        bound = self.processors(places)
        threads = {"OMP_NUM_THREADS": str(len(bound))} if bound else {}
        return threads | self._accelerators(places, options)

    def processors(self, places: Collection[int]) -> list[int]:
        """Return the processors of these workers; none if workers are not bound to theirs."""
        found = [processors(self.cpu_affinity, place, self.node.workers, self.available) for place in sorted(places)]
        return sorted({number for one in found for number in one})

    def _accelerators(self, places: Collection[int], options: TaskOptions) -> dict[str, str]:
        number = self.accelerators if isinstance(self.accelerators, int) else len(self.accelerators)
        wanted = None if options.resources is None else options.resources.accelerators
        # Each worker has every so-manieth: with more of them than workers, several.
        mine = [one for one in range(number) if one % self.node.workers in places]
        found = [accelerator_variables(self.accelerators, one, self.inherited) for one in mine[: wanted or len(places)]]
        if not found:
            return {}
        joined = {name: ",".join(one[name] for one in found) for name in _JOINED}
        visible = len(joined["ROCR_VISIBLE_DEVICES"].split(","))
        return {**found[0], **joined, "HIP_VISIBLE_DEVICES": ",".join(map(str, range(visible)))}
