"""The number of blocks follows the load."""

from __future__ import annotations

from typing import Any

from funcx_core.errors import ConfigError
from funcx_endpoint.strategies.base import BaseStrategy


class SimpleStrategy(BaseStrategy):
    """As many blocks as the tasks need, by `parallelism`, between `min_blocks` and `max_blocks` of the provider.

    Args:
        *args: for subclasses.
        threshold: tasks that arrive after which it looks.
        interval: seconds after which it looks anyway.
        max_idletime: seconds for which a block above `min_blocks` must have been idle before it is given up.
    """

    by_kind = False

    def __init__(self, *args: Any, threshold: int = 20, interval: float = 1, max_idletime: float = 60) -> None:
        super().__init__(*args, threshold=threshold, interval=interval)
        if max_idletime < 0:
            raise ConfigError(f"{type(self).__name__}: max_idletime is {max_idletime}; it must be 0 or more seconds.")
        self.max_idletime = max_idletime

    def strategize(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - documented
        """Adjust the number of blocks to the load."""
        self.interchange.follow_load(max_idletime=self.max_idletime, by_kind=self.by_kind)
