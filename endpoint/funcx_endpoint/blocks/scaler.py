"""Lets the number of blocks follow the load, by the strategy of the executor, or as the executor's own settings say."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from funcx_endpoint.blocks.for_strategies import BlocksForStrategies, View
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.executors.high_throughput import HighThroughputExecutor


class Scaler:
    """Belongs to the agent's loop. Without a strategy it looks with every tick."""

    def __init__(self, executor: HighThroughputExecutor, provider: Any, blocks: BlockRunner, view: View) -> None:
        self._strategy = executor.strategy if executor.scaling_enabled else None
        self._config = dataclasses.replace(executor, provider=provider)
        self._blocks = blocks
        self._view = view

    def open(self) -> None:
        """Start the strategy."""
        if self._strategy is not None:
            loop = asyncio.get_running_loop()
            self._strategy.start(BlocksForStrategies(self._config, self._blocks, self._view, loop))

    def arrived(self, number: int) -> None:
        """So many tasks arrived."""
        if self._strategy is not None:
            self._strategy.notify_many(number)

    def tick(self, *, now: float) -> None:
        """Time passed."""
        self._blocks.tick(now=now)
        if self._strategy is None:
            self._blocks.follow(self._view.load(by_kind=False))

    async def close(self) -> None:
        """End the strategy; it may be waiting for the loop just now."""
        if self._strategy is not None:
            await asyncio.to_thread(self._strategy.close)
