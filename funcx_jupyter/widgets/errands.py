"""What a click sets off: done in a thread, told about on the kernel's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from funcx_core.errors import FuncxError

T = TypeVar("T")


class Errands:
    """Runs what clicks ask for, and keeps it from being forgotten half-way.

    Args:
        complain: is told of an error in one line.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._under_way: set[asyncio.Task[None]] = set()

    def run(self, do: Callable[[], T], then: Callable[[T], Any]) -> None:
        """Call `do` in a thread, and `then` with what it returned. Needs a running loop."""
        task = asyncio.get_running_loop().create_task(self._run(do, then))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _run(self, do: Callable[[], T], then: Callable[[T], Any]) -> None:
        try:
            done = await asyncio.to_thread(do)
        except FuncxError as error:
            self._complain(str(error))
        else:
            then(done)
