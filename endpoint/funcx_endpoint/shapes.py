"""What room a task takes on a manager. Pure.

A manager's node is thought of as equal *slots*, one for each of its workers: each has its share of the node's processors, memory and
accelerators. A task that says nothing takes one slot. One that asks for more takes as many slots as its largest wish needs.
So one number per manager says what is free, and nothing is given twice.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final, NamedTuple

import msgspec

from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import TaskOptions
from funcx_endpoint.node_counts import too_many_nodes


class Shape(NamedTuple):
    """What tasks have in common that fit into the same places.

    Attributes:
        cores: processors asked for; 0.0 for a worker's share.
        memory: bytes asked for; 0 for a worker's share.
        accelerators: how many are asked for; 0 for what a worker has.
        nodes: how many are asked for; 1 for one.
        container: id of the container to run in; empty for none.
        duration: rough class of the walltime (its binary logarithm), so that short ones do not queue behind long ones; 0 for none.
    """

    cores: float = 0.0
    memory: int = 0
    accelerators: int = 0
    nodes: int = 1
    container: str = ""
    duration: int = 0

    @property
    def is_light(self) -> bool:
        """Whether such a task runs in one slot of any manager that has the time for it."""
        return not (self.cores or self.memory or self.accelerators or self.container) and self.nodes == 1


PLAIN: Final = Shape()
"""Of tasks that say nothing."""


def shape_of(options: TaskOptions) -> Shape:
    """Return the shape of a task with these options."""
    wanted = options.resources
    if wanted is None and options.container_id is None and options.walltime is None:
        return PLAIN
    wanted = wanted or Resources()
    return Shape(
        wanted.cores or 0.0,
        int((wanted.memory_gb or 0.0) * 1e9),
        wanted.accelerators or 0,
        wanted.nodes or 1,
        options.container_id or "",
        0 if options.walltime is None else ceil(options.walltime).bit_length(),
    )


class Node(NamedTuple):
    """A node as its manager divides it. None: not known; what is not known refuses nothing.

    `seconds`: how long a block lasts by the rules of its batch system. `nodes`: how many the manager gives to tasks, each to one
    at a time; the other numbers are of each then.
    """

    workers: int
    cores: float | None = None
    memory: int | None = None
    accelerators: int | None = None
    seconds: float | None = None
    nodes: int | None = None

    def width(self, shape: Shape) -> int:
        """Return how many slots such a task takes; more than `workers` if it cannot run here."""
        if self.nodes is not None and (self.nodes > 1 or shape.nodes > self.nodes):
            return _slots(shape.nodes, self.nodes, self.workers)  # A task has its nodes to itself.
        wide = max(
            _slots(shape.cores, self.cores, self.workers),
            _slots(shape.memory, self.memory, self.workers),
            _slots(shape.accelerators, self.accelerators, self.workers),
        )
        return max(wide, 1)

    def refusal(self, shape: Shape, walltime: float | None) -> str | None:
        """Return which number of a task is too large for such a node, as one sentence; None if it can run."""
        for name, wanted, there in (
            ("cores", shape.cores, self.cores),
            ("memory_gb", shape.memory / 1e9, None if self.memory is None else self.memory / 1e9),
            ("accelerators", shape.accelerators, self.accelerators),
        ):
            if there is not None and wanted > there:
                return f"The task asks for {name}={wanted:g}, and a node of this endpoint has {there:g}."
        if self.nodes is not None and (fault := too_many_nodes(shape.nodes, self.nodes)) is not None:
            return fault
        if self.seconds is not None and walltime is not None and walltime > self.seconds:
            return f"The task's walltime is {walltime:g} s, and a block of this endpoint lasts {self.seconds:g} s."
        return None


def _slots(wanted: float, there: float | None, workers: int) -> int:
    if not wanted or there is None:
        return 1
    if wanted > there:
        return workers + 1
    # Shares that are not exact in binary must not cost a slot.
    return ceil(wanted * workers / there - 1e-9)


class Largest:
    """The largest node that an endpoint has, or could have: as its settings say, else the largest that ever came."""

    def __init__(self, configured: Node | None) -> None:
        self._configured = configured
        self._seen: Node | None = None

    def learn(self, node: Node) -> bool:
        """A manager came. Whether that may change what is refused."""
        old = self._seen
        self._seen = node if old is None else Node._make(_larger(*pair) for pair in zip(old, node, strict=True))
        return self._seen != old

    def width(self, shape: Shape) -> int:
        """Return how many slots a task of this shape takes, at most as many as a node has."""
        node = self._node()
        return min(node.width(shape), node.workers)

    def refusal(self, options: TaskOptions | None) -> str | None:
        """Return why no node can run such a task, in words; None if one can, or could if it came."""
        if options is None or (options.resources is None and options.walltime is None):
            return None
        shape = shape_of(options)
        said = self._node().refusal(shape, options.walltime)
        if said is None or (self._seen is not None and self._seen.refusal(shape, options.walltime) is None):
            return None
        return f"{said} Ask for less, or use an endpoint that has more."

    def _node(self) -> Node:
        if self._seen is None or self._configured is None:
            return self._configured or self._seen or Node(1)
        pairs = zip(self._configured, self._seen, strict=True)
        return Node._make(there if said is None else said for said, there in pairs)


def _larger(one: float | None, other: float | None) -> Any:
    return one if other is None else other if one is None else max(one, other)


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """What the executor's settings say about who gets which task.

    Attributes:
        is_hard: whether a manager runs tasks of one container at a time.
        prefetch: tasks that a manager may have beyond those that its workers run; None for as many as short ones need.
        node: a node as the settings describe it; what they do not say is learned from the managers that come.
    """

    is_hard: bool = False
    prefetch: int | None = None
    node: Node | None = None
