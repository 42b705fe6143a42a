"""Tells the interchange what there is on this node: looked up once, a moment after the start, said in each session."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from funcx_core.protocol.environment import MOST_IMAGES, Environment
from funcx_core.protocol.manager import ManagerEnvironment
from funcx_endpoint.manager.node.environment import environment
from funcx_endpoint.manager.node.memory import memory_bytes

SETTLING: Final = 2.0
"""Seconds after the first registration in which the first tasks shall have the processors for themselves."""

_log = logging.getLogger(__name__)


class EnvironmentReport:
    """`tell` may be called as often as one likes; `say` is called with what was found."""

    def __init__(self, say: Callable[[ManagerEnvironment], None], container: str = "") -> None:
        self._say = say
        self._look = partial(environment, len(os.sched_getaffinity(0)), memory_bytes(), container)
        self._found: Environment | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False
        self._images: dict[str, str] = {}

    def runs_image(self, image: str, identity: str) -> None:
        """A worker runs in this image, which `identity` names; said if it is news."""
        if self._images.get(image) == identity:
            return
        others = [(name, known) for name, known in self._images.items() if name != image]
        self._images = dict([*others, (image, identity)][-MOST_IMAGES:])
        if self._found is not None:
            self.tell()

    def tell(self) -> None:
        """A session has begun."""
        if self._found is not None:
            self._say(ManagerEnvironment(msgspec.structs.replace(self._found, images=self._images)))
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SETTLING, self._start)

    def close(self) -> None:
        """Say nothing more."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _start(self) -> None:
        looking = asyncio.get_running_loop().run_in_executor(None, self._look)
        looking.add_done_callback(self._has_looked)

    def _has_looked(self, looking: asyncio.Future[Environment]) -> None:
        if looking.cancelled() or self._is_over:
            return
        error = looking.exception()
        if error is not None:
            _log.warning("what there is on this node cannot be told: %s", error)
            return
        self._found = looking.result()
        self.tell()
