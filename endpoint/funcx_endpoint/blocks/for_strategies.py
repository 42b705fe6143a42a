"""What a strategy is given as its interchange: the blocks and the load of an endpoint, from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.blocks.records import ANY_KIND, Load, Phase

T = TypeVar("T")

ANSWERS_WITHIN: Final = 30.0
"""Seconds after which an agent that does not answer is taken for stuck; a strategy's call raises `TimeoutError` then."""
_WORDS: Final = {
    Phase.SUBMITTING: "PENDING",
    Phase.STARTING: "PENDING",
    Phase.ACTIVE: "RUNNING",
    Phase.ENDING: "CANCELLED",
}


class View(Protocol):
    """What an agent tells of itself. Its methods are called on the agent's loop."""

    def load(self, *, by_kind: bool) -> Load:
        """Return the tasks that wait or run, and which managers are busy; with `by_kind` also how many of each kind."""

    def breakdown(self) -> list[tuple[str, int, bool]]:
        """Return the tasks in the queue and at each manager, and whether it takes more."""

    def workers(self) -> int:
        """Return the workers of all managers."""


class BlocksForStrategies:
    """The documented methods of the interchange, as far as they are for strategies.

    Attributes:
        config: settings of the executor; its `provider` has `min_blocks`, `max_blocks` and so on.
    """

    def __init__(self, config: Any, blocks: BlockRunner, view: View, loop: asyncio.AbstractEventLoop) -> None:
        self.config = config
        self._blocks = blocks
        self._view = view
        self._loop = loop
        self._thread = threading.get_ident()

    def follow_load(self, *, max_idletime: float, by_kind: bool = False) -> None:
        """Adjust the number of blocks to the load, as `SimpleStrategy` does."""
        self._ask(
            lambda: self._blocks.follow(self._view.load(by_kind=by_kind), idle_time=max_idletime, by_kind=by_kind)
        )

    def scale_out(self, blocks: int = 1, task_type: str | None = None) -> list[str]:
        """Ask for so many more blocks, as far as `max_blocks` allows; return their ids."""
        return self._ask(lambda: self._changed(lambda: self._blocks.scale_out(blocks, kind=task_type or ANY_KIND))[0])

    def scale_in(
        self, blocks: int | None = None, block_ids: Collection[str] = (), task_type: str | None = None
    ) -> list[str]:
        """Give up these blocks and so many others, those first that do nothing; return the ids of all of them.

        Tasks that run in a block that is given up are lost.
        """
        if isinstance(block_ids, str):
            raise TypeError("block_ids is one text; a list of ids is needed.")
        number = blocks or 0
        return self._ask(
            lambda: self._changed(lambda: self._blocks.scale_in(number, block_ids=block_ids, kind=task_type))[1]
        )

    def provider_status(self) -> list[str]:
        """Return for each block whether it is ``PENDING``, ``RUNNING`` (its managers are here) or ``CANCELLED``."""
        return self._ask(lambda: [_WORDS[phase] for phase in self._phases().values()])

    def get_outstanding_breakdown(self) -> list[tuple[str, int, bool]]:
        """Return ``(element, tasks, whether it takes more)`` for the queue (``interchange``) and each manager."""
        return self._ask(self._view.breakdown)

    def get_total_tasks_outstanding(self) -> int:
        """Return how many tasks wait or run."""
        return self._ask(lambda: sum(number for _, number, _ in self._view.breakdown()))

    def get_outstanding_by_type(self) -> dict[str, int]:
        """Return how many tasks wait or run for each container; those without one have an empty name."""
        return self._ask(lambda: dict(self._view.load(by_kind=True).kinds))

    def get_total_live_workers(self) -> int:
        """Return how many workers there are."""
        return self._ask(self._view.workers)

    def _phases(self) -> dict[str, Phase]:
        state = self._blocks.state
        phases = {str(block_id): state.phase(block_id) for block_id in state.block_ids}
        return {block_id: phase for block_id, phase in phases.items() if phase is not None}

    def _changed(self, change: Callable[[], None]) -> tuple[list[str], list[str]]:
        """Return which blocks are there after a change and were not before, and which are being given up by it."""
        before = self._phases()
        change()
        after = self._phases()
        new = [block_id for block_id in after if block_id not in before]
        ending = {block_id for block_id, phase in before.items() if phase is not Phase.ENDING}
        return new, [block_id for block_id in ending if after.get(block_id, Phase.ENDING) is Phase.ENDING]

    def _ask(self, call: Callable[[], T]) -> T:
        if threading.get_ident() == self._thread:
            return call()
        answer: Future[T] = Future()

        def answer_it() -> None:
            try:
                answer.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is for the caller, on another thread
                answer.set_exception(error)

        self._loop.call_soon_threadsafe(answer_it)
        return answer.result(ANSWERS_WITHIN)
