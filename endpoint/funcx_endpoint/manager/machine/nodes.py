"""Which task gets which nodes of a block, where one manager runs tasks on all of them. Pure.

First come, first served, and a task that fits may overtake one that does not; but each is overtaken so often at most, and then
nodes are kept until it fits. No node is given to two tasks. A task's nodes are neighbours in the batch system's
order if there are neighbours free, from the smallest gap that is large enough, so that large gaps stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from funcx_core.protocol.resources import Resources
from funcx_core.protocol.task import TaskOptions
from funcx_endpoint.manager.machine.held import Held
from funcx_endpoint.manager.node.launchers import variables
from funcx_endpoint.node_counts import too_many_nodes

_NOTHING_SAID: Final = Resources()


class Choice(NamedTuple):
    """The next task to start: its place among those that wait, and its nodes."""

    place: int
    nodes: tuple[str, ...]


class NodePool:
    """The nodes of a block.

    Args:
        names: of the nodes, in the order of the batch system; empty where all tasks run on the manager's own.
        launcher: starts programs on them, see `launchers`.
    """

    def __init__(self, names: Sequence[str], launcher: str) -> None:
        self._names = tuple(names)
        self._launcher = launcher
        self._most_overtakes = 2 * len(names)
        self.gives_nodes = bool(names)

    def fault(self, options: TaskOptions | None) -> str | None:
        """Return why a task can never have its nodes here, as a sentence; None if it can."""
        return too_many_nodes(wanted_nodes(options), len(self._names) or 1)

    def choose(self, waiting: Iterable[Held], running: Iterable[Held]) -> Choice | None:
        """Return which task starts next, and count whom it overtakes; None if no task may start now.

        Args:
            waiting: in the order of their arrival.
            running: those that have nodes.
        """
        free = self._free(running)
        passed: list[Held] = []
        for place, held in enumerate(waiting):
            found = pick(free, wanted_nodes(held.task.options))
            if found is not None:
                for other in passed:
                    other.overtaken += 1
                return Choice(place, tuple(self._names[index] for index in found))
            if held.overtaken >= self._most_overtakes:
                return None
            passed.append(held)
        return None

    def variables(self, nodes: Sequence[str], options: TaskOptions | None) -> dict[str, str]:
        """Return the environment variables of a task that has these nodes."""
        wanted = (options and options.resources) or _NOTHING_SAID
        return variables(self._launcher, nodes, wanted)

    def _free(self, running: Iterable[Held]) -> list[int]:
        # Worked out anew each time, so that nothing that ends in an unusual way can leave a node behind.
        busy = {name for held in running for name in held.nodes}
        return [index for index, name in enumerate(self._names) if name not in busy]


def wanted_nodes(options: TaskOptions | None) -> int:
    """Return how many nodes a task asks for; one if it does not say."""
    if options is None or options.resources is None:
        return 1
    return options.resources.nodes or 1


def pick(free: Sequence[int], number: int) -> list[int] | None:
    """Choose `number` of the free nodes, which are in order; None if there are not as many.

    >>> pick([0, 1, 4, 5, 6, 9], 2)
    [0, 1]
    """
    if number > len(free):
        return None
    gaps = [gap for gap in _gaps(free) if len(gap) >= number]
    return min(gaps, key=len)[:number] if gaps else list(free[:number])


def _gaps(free: Sequence[int]) -> list[list[int]]:
    """Return runs of neighbours."""
    gaps: list[list[int]] = []
    for index in free:
        if gaps and gaps[-1][-1] == index - 1:
            gaps[-1].append(index)
        else:
            gaps.append([index])
    return gaps
