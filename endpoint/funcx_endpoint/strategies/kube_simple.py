"""The number of pods follows the load, for each container by itself."""

from __future__ import annotations

from funcx_endpoint.strategies.simple import SimpleStrategy


class KubeSimpleStrategy(SimpleStrategy):
    """As `SimpleStrategy`, with blocks (pods) of their own for the tasks of each container.

    All of them together are no more than `max_blocks`. A container that has no block gets one before another gets a second,
    and the room of an idle one if there is no other.
    """

    by_kind = True
