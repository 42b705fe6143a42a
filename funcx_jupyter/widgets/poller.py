"""Asks again and again without holding up the kernel: a task on its loop, each question in a thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from funcx_core.errors import FuncxError
from funcx_jupyter.widgets.cadence import Cadence

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the kernel's loop; None in a terminal and in scripts."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Poller(Generic[T]):
    """Polls while there is something to wait for. All methods are for the loop's thread; only `ask` is called elsewhere.

    Args:
        ask: gets the answer, in a thread. It may take its time, and raise `FuncxError`.
        prepare: is called before each question.
        tell: takes the answer; returns whether something changed.
        fail: takes the error if there was no answer.
        goes_on: whether to ask again; looked at after each answer.
    """

    def __init__(
        self,
        ask: Callable[[], T],
        *,
        prepare: Callable[[], None],
        tell: Callable[[T], bool],
        fail: Callable[[FuncxError], None],
        goes_on: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._prepare = prepare
        self._tell = tell
        self._fail = fail
        self._goes_on = goes_on
        self._clock = clock
        self.cadence = Cadence(clock())
        self._task: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()

    @property
    def is_running(self) -> bool:
        """Whether it asks, or waits to ask again."""
        return self._task is not None and not self._task.done()

    def nudge(self) -> None:
        """Ask now, and start if it has stopped. Needs a running loop."""
        self.cadence.touched(self._clock())
        self._nudged.set()
        if not self.is_running:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="funcx widget")

    def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            self._nudged.clear()
            await self._ask_in_thread()
            if not self._goes_on() and not self._nudged.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(self.cadence.pause(self._clock())):
                    await self._nudged.wait()

    async def _ask_in_thread(self) -> None:
        asked_at = self._clock()
        self._prepare()
        try:
            answer = await asyncio.to_thread(self._ask)
        except FuncxError as error:
            self.cadence.failed()
            self._fail(error)
            return
        changed = self._tell(answer)
        self.cadence.answered(self._clock(), changed=changed, took=self._clock() - asked_at)
