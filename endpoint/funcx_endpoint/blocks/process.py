"""Asks a Parsl provider for the blocks that `state` wants. The provider is called in a thread: it runs other programs."""

from __future__ import annotations

import asyncio
import logging
import shlex
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks.state import BlockPolicy, Blocks, Cancel, Effect, Load, ProviderState, Submit
from funcx_endpoint.executors.high_throughput import LAUNCH_COMMAND, HighThroughputExecutor

_log = logging.getLogger(__name__)

TAIL_BYTES: Final = 2000
LOCAL_POLL: Final = 1.0


class BlockRunner:
    """The blocks of one agent. All methods belong to the agent's loop."""

    def __init__(self, executor: HighThroughputExecutor, provider: Any, *, folder: Path, settings: Path) -> None:
        self._executor = executor
        self._provider = provider
        self._folder = folder
        self._settings = settings
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="blocks")
        self._jobs: dict[BlockId, str] = {}
        self._ended: set[BlockId] = set()
        self._next_poll = 0.0
        self._calls: set[asyncio.Task[None]] = set()
        self._tail = ""
        self.state = Blocks(_policy(executor, provider))

    def open(self) -> None:
        """Prepare the folder in which the provider keeps scripts and what blocks print."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._provider.script_dir = str(self._folder)

    async def close(self) -> None:
        """Cancel every block and wait until the provider was told."""
        self._perform(self.state.stop())
        while self._calls:
            await asyncio.wait(self._calls)
        self._thread.shutdown(wait=False)

    @property
    def is_local(self) -> bool:
        """Whether blocks start at once, on this machine."""
        return is_local(self._provider)

    @property
    def reason(self) -> str:
        """Why blocks fail, with the end of what the last one printed; empty when they do not."""
        reason = self.state.reason
        if reason and self._tail and self._tail not in reason:
            return f"{reason} It printed: {self._tail}"
        return reason

    def tick(self, load: Load, *, now: float) -> None:
        """Time passed: look at the blocks and adjust their number."""
        self._perform(self.state.tick(load, now=now))
        if self._jobs and now >= self._next_poll:
            self._next_poll = now + (LOCAL_POLL if self.is_local else float(self._provider.status_polling_interval))
            self._call(self._poll())

    def manager_joined(self, block_id: BlockId, manager_id: ManagerId) -> None:
        """A manager registered."""
        self._perform(self.state.manager_joined(block_id, manager_id))

    def manager_left(self, block_id: BlockId, manager_id: ManagerId) -> None:
        """A manager is gone."""
        self._perform(self.state.manager_left(block_id, manager_id, now=asyncio.get_running_loop().time()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Submit(block_id=block_id):
                    self._call(self._submit(block_id))
                case Cancel(block_id=block_id):
                    self._call(self._cancel(block_id))

    def _call(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def _submit(self, block_id: BlockId) -> None:
        template = self._executor.launch_cmd or LAUNCH_COMMAND
        command = template.format(
            python=shlex.quote(sys.executable), settings=shlex.quote(str(self._settings)), block_id=block_id
        )
        now = asyncio.get_running_loop().time
        try:
            job = await self._in_thread(self._provider.submit, command, 1, f"funcx.block-{block_id}")
        except Exception as error:  # noqa: BLE001 - providers raise whatever their tools make them raise
            _log.warning("block %s was not taken: %s", block_id, error, extra={"block_id": block_id})
            self._perform(self.state.failed(block_id, f"The provider refused the block: {error}", now=now()))
            return
        if job is None:
            self._perform(self.state.failed(block_id, "The provider has no room for another block.", now=now()))
            return
        _log.info("asked for block %s, the provider calls it %s", block_id, job, extra={"block_id": block_id})
        self._jobs[block_id] = str(job)
        self._perform(self.state.submitted(block_id))

    async def _cancel(self, block_id: BlockId) -> None:
        job = self._jobs.pop(block_id, None)
        try:
            if job is not None:
                await self._in_thread(self._provider.cancel, [job])
        except Exception as error:  # noqa: BLE001 - see above; the block's own time limit ends it
            _log.warning("block %s could not be cancelled: %s", block_id, error, extra={"block_id": block_id})
        self._perform(self.state.ended(block_id))

    async def _poll(self) -> None:
        jobs = dict(self._jobs)
        try:
            found = await self._in_thread(self._provider.status, list(jobs.values()))
        except Exception as error:  # noqa: BLE001 - see above
            _log.warning("the provider cannot tell how its blocks are: %s", error)
            return
        now = asyncio.get_running_loop().time()
        for block_id, status in zip(jobs, found, strict=False):
            state = _state(status)
            if block_id not in self._jobs:
                continue
            if state is ProviderState.ENDED:
                # A provider may take that back (Slurm does); it is remembered here.
                job = self._jobs.pop(block_id)
                self._tail = self._read_tail(status)
                _log.info("block %s (%s) has ended", block_id, job, extra={"block_id": block_id})
            detail = f"The block ended ({_words(status)})." if state is ProviderState.ENDED else ""
            self._perform(self.state.provider_says(block_id, state, detail, now=now))

    def _read_tail(self, status: Any) -> str:
        path = getattr(status, "stderr_path", None)
        if not path:
            return ""
        try:
            content = Path(path).read_bytes()[-TAIL_BYTES:]
        except OSError:
            return ""
        return content.decode(errors="replace").strip()


def is_local(provider: Any) -> bool:
    """Whether the blocks of a provider are processes of this machine."""
    return getattr(provider, "label", "") == "local"


def _policy(executor: HighThroughputExecutor, provider: Any) -> BlockPolicy:
    nodes = int(getattr(provider, "nodes_per_block", 1) or 1)
    most = int(provider.max_blocks)
    return BlockPolicy(
        init=int(provider.init_blocks),
        least=int(provider.min_blocks),
        most=most,
        slots=nodes * executor.workers_per_node(),
        parallelism=float(provider.parallelism),
        scales=executor.scaling_enabled,
        idle_time=executor.max_idletime,
        start_timeout=executor.start_timeout,
    )


def _state(status: Any) -> ProviderState:
    name = getattr(getattr(status, "state", None), "name", "")
    if getattr(status, "terminal", False):
        return ProviderState.ENDED
    return {"PENDING": ProviderState.QUEUED, "HELD": ProviderState.QUEUED, "RUNNING": ProviderState.RUNNING}.get(
        name, ProviderState.UNKNOWN
    )


def _words(status: Any) -> str:
    name = str(getattr(getattr(status, "state", None), "name", "unknown")).lower()
    code = getattr(status, "exit_code", None)
    return f"{name}, exit code {code}" if code is not None else name
