"""Asks a provider for the blocks that `state` wants. The provider is called in a thread: it runs other programs."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks.provider import BlockProvider, JobReport, refusal
from funcx_endpoint.blocks.records import ANY_KIND, BlockPolicy, Cancel, Effect, Load, Phase, ProviderState, Submit
from funcx_endpoint.blocks.state import DOUBTS_KEPT, Blocks
from funcx_endpoint.executors.high_throughput import LAUNCH_COMMAND, HighThroughputExecutor

_log = logging.getLogger(__name__)

FIRST_LOOK: Final = 1.0
"""Seconds after which a new block is asked about first; the pause is doubled each time."""


CANCEL_AGAIN: Final = 10.0
"""Seconds after which a cancellation that failed is repeated."""


class BlockRunner:
    """The blocks of one agent. All methods belong to the agent's loop."""

    def __init__(
        self,
        executor: HighThroughputExecutor,
        provider: Any,
        *,
        folder: Path,
        settings: Path,
        image_of: Callable[[str], str] = str,
    ) -> None:
        """`image_of` returns the image for a kind of block, or raises a `LookupError` that says why there is none."""
        self._executor = executor
        self._provider = BlockProvider(provider)
        self._image_of = image_of
        self._has_kinds = self._provider.has_kinds and getattr(executor.strategy, "by_kind", False)
        self._folder = folder
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks")
        self._jobs: dict[BlockId, str] = {}
        self._doubtful: dict[BlockId, str] = {}
        self._pause = FIRST_LOOK
        self._next_look = 0.0
        self._is_looking = False
        self._uncancelled: dict[str, BlockId] = {}
        self._cancel_again_at = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._tail = ""
        self.state = Blocks(_policy(executor, provider))

    def open(self) -> None:
        """Prepare the folder in which the provider keeps scripts and what blocks print."""
        self._provider.open(self._folder)

    async def close(self) -> None:
        """Cancel every block and wait until the provider was told."""
        self._cancel_again()
        self._perform(self.state.stop())
        while self._calls:
            await asyncio.wait(self._calls)
        self._thread.shutdown(wait=False)

    @property
    def is_local(self) -> bool:
        """Whether blocks start at once, on this machine."""
        return self._provider.is_local

    @property
    def walltime(self) -> float | None:
        """Seconds that a block may run; None if that is not limited."""
        return self._provider.walltime

    @property
    def reason(self) -> str:
        """Why blocks fail, with the end of what the last one printed; empty when they do not."""
        reason = self.state.reason
        if reason and self._tail and self._tail not in reason:
            return f"{reason} It printed: {self._tail}"
        return reason

    @property
    def jobs(self) -> dict[BlockId, str]:
        """What the provider calls the blocks that it has."""
        return dict(self._jobs)

    # --- how many ------------------------------------------------------------------------------------------------

    def tick(self, *, now: float) -> None:
        """Time passed: look at the blocks, and replace those that failed."""
        self._perform(self.state.tick(now=now))
        if self._uncancelled and now >= self._cancel_again_at:
            self._cancel_again()
        if now >= self._next_look and not self._is_looking and (asked := self._to_ask_about()):
            self._pause = min(2 * self._pause, self._provider.longest_pause)
            self._next_look = now + self._pause
            self._is_looking = True
            self._call(self._look(asked))

    def follow(self, load: Load, *, idle_time: float | None = None, by_kind: bool = False) -> None:
        """Adjust the number of blocks to the load; `idle_time` counts instead of the executor's `max_idletime`."""
        now = asyncio.get_running_loop().time()
        self._perform(self.state.follow(load, now=now, idle_time=idle_time, by_kind=by_kind))

    def scale_out(self, number: int, *, kind: str = ANY_KIND) -> None:
        """Ask for so many more blocks, as far as `max_blocks` allows."""
        self._perform(self.state.scale_out(number, kind=kind, now=asyncio.get_running_loop().time()))

    def scale_in(self, number: int = 0, *, block_ids: Collection[str] = (), kind: str | None = None) -> None:
        """Give these blocks up and so many others."""
        self._perform(self.state.scale_in(number, block_ids=block_ids, kind=kind))

    def manager_joined(self, block_id: BlockId, manager_id: ManagerId) -> None:
        """A manager registered."""
        self._perform(self.state.manager_joined(block_id, manager_id))

    def manager_refused(self, block_id: BlockId, reason: str) -> None:
        """A manager came that is of no use."""
        self._perform(self.state.manager_refused(block_id, reason, now=asyncio.get_running_loop().time()))

    def manager_left(self, block_id: BlockId, manager_id: ManagerId) -> None:
        """A manager is gone."""
        self._perform(self.state.manager_left(block_id, manager_id, now=asyncio.get_running_loop().time()))

    # --- the provider --------------------------------------------------------------------------------------------

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Submit(block_id=block_id, kind=kind):
                    self._call(self._submit(block_id, kind))
                case Cancel(block_id=block_id):
                    self._call(self._cancel(block_id))

    def _call(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    def _command(self, block_id: BlockId, kind: str) -> str:
        template = self._executor.launch_cmd or LAUNCH_COMMAND
        command = template.format(
            python=shlex.quote(sys.executable), settings=shlex.quote(str(self._settings)), block_id=block_id
        )
        return f"{command} --container {shlex.quote(kind)}" if self._has_kinds else command

    async def _submit(self, block_id: BlockId, kind: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            image = self._image_of(kind) if self._has_kinds and kind != ANY_KIND else ""
            job = await self._in_thread(
                self._provider.submit, self._command(block_id, kind), f"funcx.block-{block_id}", image
            )
        except Exception as error:  # noqa: BLE001 - providers raise whatever their tools make them raise
            _log.warning("block %s was not taken: %s", block_id, refusal(error), extra={"block_id": block_id})
            self._perform(
                self.state.failed(block_id, f"The provider refused the block: {refusal(error)}", now=loop.time())
            )
            return
        if job is None:
            reason = "The provider has no room for another block."
            self._perform(self.state.failed(block_id, reason, now=loop.time()))
            return
        _log.info("asked for block %s, the provider calls it %s", block_id, job, extra={"block_id": block_id})
        self._jobs[block_id] = job
        self._pause = FIRST_LOOK / 2
        self._next_look = loop.time() + self._pause
        self._perform(self.state.submitted(block_id))

    async def _cancel(self, block_id: BlockId) -> None:
        job = self._jobs.pop(block_id, None) or self._doubtful.pop(block_id, None)
        if job is not None:
            await self._cancel_job(block_id, job)
        self._perform(self.state.ended(block_id))

    async def _cancel_job(self, block_id: BlockId, job: str) -> None:
        try:
            await self._in_thread(self._provider.cancel, job)
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("block %s could not be cancelled: %s", block_id, error, extra={"block_id": block_id})
            self._uncancelled[job] = block_id
            self._cancel_again_at = asyncio.get_running_loop().time() + CANCEL_AGAIN
        else:
            self._uncancelled.pop(job, None)

    def _cancel_again(self) -> None:
        """Nobody else would end what could not be cancelled."""
        self._cancel_again_at = asyncio.get_running_loop().time() + CANCEL_AGAIN
        for job, block_id in self._uncancelled.items():
            self._call(self._cancel_job(block_id, job))

    def _to_ask_about(self) -> dict[BlockId, str]:
        """Return the jobs of which only the provider can know how they are; the others have managers that are heard."""
        if self.is_local:
            return dict(self._jobs)  # Looking at processes costs nothing, and reaps them.
        return {block_id: job for block_id, job in self._jobs.items() if self.state.phase(block_id) is Phase.STARTING}

    async def _look(self, asked: dict[BlockId, str]) -> None:
        try:
            found = await self._in_thread(self._provider.status, list(asked.values()))
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("the provider cannot tell how its blocks are: %s", error)
            return
        finally:
            self._is_looking = False
        for block_id, report in zip(asked, found, strict=True):
            if block_id in self._jobs:
                self._learn(block_id, report)

    def _learn(self, block_id: BlockId, report: JobReport) -> None:
        detail = ""
        if report.state is ProviderState.ENDED:
            # A provider may take that back; it is remembered here.
            job = self._jobs.pop(block_id)
            if self.state.phase(block_id) is Phase.STARTING:
                self._doubtful[block_id] = job
                if len(self._doubtful) > DOUBTS_KEPT:
                    del self._doubtful[next(iter(self._doubtful))]
            self._tail = report.tail
            detail = f"The block ended ({report.words})."
            _log.info("block %s (%s) has ended: %s", block_id, job, report.words, extra={"block_id": block_id})
        now = asyncio.get_running_loop().time()
        self._perform(self.state.provider_says(block_id, report.state, detail, now=now))


def _policy(executor: HighThroughputExecutor, provider: Any) -> BlockPolicy:
    nodes = int(getattr(provider, "nodes_per_block", 1) or 1)
    return BlockPolicy(
        init=int(provider.init_blocks),
        least=int(provider.min_blocks),
        most=int(provider.max_blocks),
        slots=executor.workers_per_block(nodes),
        parallelism=float(provider.parallelism),
        scales=executor.scaling_enabled,
        idle_time=executor.max_idletime,
        start_timeout=executor.start_timeout,
    )
