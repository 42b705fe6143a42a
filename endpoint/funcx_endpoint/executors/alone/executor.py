"""The methods of an executor that stands alone: `concurrent.futures.Executor`, and those that funcX's executors had."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final, cast

from funcx_core.errors import UsageError
from funcx_core.ids import TaskId, parse_id
from funcx_core.protocol.endpoint import EndpointRegistration, EndpointStatus
from funcx_endpoint.control.messages import (
    AskBlocks,
    AskManagers,
    AskStatus,
    Blocks,
    Hold,
    ManagerReport,
    Managers,
    ScaleIn,
    ScaleOut,
    Told,
)

if TYPE_CHECKING:
    from types import TracebackType

    from funcx_core.sdk.futures import FuncXFuture
    from funcx_endpoint.executors.alone.calls import Calls
    from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

_LIVE: Final = frozenset({"_is_shut_down", "_opening", "_work"})
"""What an executor has besides its settings, once it works."""


class StandaloneExecutor(Executor):
    """Runs functions on blocks of its provider, with no service; a faithful `concurrent.futures.Executor`.

    >>> with HighThroughputExecutor(passthrough=False) as executor:
    ...     future = executor.submit(double, 2)
    ...     print(future.result())

    Futures have a `task_id`, and `best_effort_cancel()` for tasks that run already. Methods may be called from any thread.
    `start` is called by whatever needs it. An interpreter that ends does not wait for open tasks: leave by ``with`` or `shutdown`.
    """

    _work = cast("Calls | None", None)
    _is_shut_down = False

    # --- concurrent.futures ----------------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any] | str | bytes, /, *args: Any, **kwargs: Any) -> FuncXFuture:
        """Run ``fn(*args, **kwargs)`` on a worker and return its future.

        With packed buffers in place of a function (``submit(bufs, task_id=None)``) the future gives the packed result: text that
        `FuncXSerializer.deserialize` reads. See `passthrough`.

        Raises:
            SerializationError: the function or an argument cannot be sent.
            PayloadTooLarge: the arguments are too large for a message.
            EndpointLost: the agent has died; make a new executor.
            FuncxError: why the executor cannot be started.
            RuntimeError: the executor is shut down.
        """
        is_packed = isinstance(fn, str | bytes)
        passthrough = self._settings.passthrough
        if passthrough is not None and passthrough is not is_packed:
            raise UsageError(
                "This executor was made with passthrough=True: it takes packed buffers. Make it with passthrough=False to submit functions."
                if passthrough
                else "This executor was made with passthrough=False: it takes functions, not packed buffers."
            )
        work = self._running()
        if not is_packed:
            return work.submit(cast("Callable[..., Any]", fn), args, kwargs)
        return work.submit_packed(cast("str | bytes", fn), _task_id(*args, **kwargs))

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        """Return the results of ``fn`` on the items of the iterables, in order, as they come.

        Args:
            fn: the function.
            *iterables: the arguments, one iterable each.
            timeout: seconds from now after which the iterator raises `TimeoutError`.
            chunksize: calls per task. The first call that raises ends its task, and the iterator.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        return self._running().map(fn, zip(*iterables, strict=False), timeout, chunksize)

    def shutdown(
        self,
        wait: bool = True,
        targets: str | Iterable[str] = "all",
        block: bool = False,
        *,
        cancel_futures: bool = False,
        hub: bool = True,
    ) -> None:
        """Take no more tasks, and end all processes when the open tasks have ended. May be called again.

        Args:
            wait: return only when all tasks have ended, and all processes.
            targets: ids of blocks to end in place of everything; the executor goes on without them.
            block: the same as `wait`, as funcX's executors called it.
            cancel_futures: cancel the tasks that are not known to run.
            hub: False to end blocks only: all of them, unless `targets` names some.
        """
        if targets != "all" or not hub:
            ids = self.status() if targets == "all" else targets
            self.scale_in(block_ids=ids)
            return
        object.__setattr__(self, "_is_shut_down", True)
        work = self._work
        if work is None:
            return
        if cancel_futures:
            work.standalone.cancel_pending()
        work.standalone.close_when_idle()
        if (wait or block) and not work.standalone.is_own_thread:
            work.standalone.drain()
            work.standalone.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._give_up()
        self.shutdown(wait=True)

    # --- funcX -----------------------------------------------------------------------------------------------------

    def start(self) -> EndpointRegistration:
        """Start agent and blocks, unless they are; return when there are workers, or a block waits for its machine.

        Raises:
            FuncxError: why that is not possible.
            RuntimeError: the executor is shut down.
        """
        return self._running().standalone.connection_info

    def initialize_scaling(self) -> None:
        """Ask for the provider's `init_blocks`, unless that was done: `start` does it."""
        self.start()

    def wait_for_endpoint(self, timeout: float | None = None) -> bool:
        """Wait until there are workers; False if there are none after `timeout` seconds.

        Raises:
            EndpointLost: the agent has died, there never will be any.
        """
        return self._running().standalone.wait_for_workers(timeout)

    @property
    def connected_workers(self) -> int:
        """How many workers there are now."""
        return self._status.workers

    @property
    def outstanding(self) -> int:
        """How many tasks have been submitted and have not ended."""
        return 0 if self._work is None else self._work.standalone.outstanding

    @property
    def connection_info(self) -> EndpointRegistration:
        """Where this process listens for the agent, and the public key that it proves."""
        return self._running().standalone.connection_info

    def status(self) -> dict[str, str]:
        """Return all blocks by id, each with where it is in its life: ``submitting``, ``starting``, ``active``, ``ending``.

        Raises:
            EndpointLost: the agent has died.
        """
        return self._running().standalone.ask(AskBlocks(), Blocks).states

    def scale_out(self, blocks: int = 1) -> list[str]:
        """Ask the provider for more blocks, at most as many as its `max_blocks` allows; return their ids.

        With `scaling_enabled` blocks that idle are given up again after `max_idletime`.

        Raises:
            UsageError: a number below 1.
            EndpointLost: the agent has died.
        """
        return list(self._running().standalone.ask(ScaleOut(blocks), Blocks).states)

    def scale_in(self, blocks: int = 0, *, block_ids: Iterable[str] = ()) -> list[str]:
        """End blocks, idle ones first, and return their ids. What runs there fails with `ManagerLost`; what waits there goes elsewhere.

        Args:
            blocks: how many.
            block_ids: blocks to end besides.

        Raises:
            UsageError: there is no such block.
            EndpointLost: the agent has died.
        """
        question = ScaleIn(blocks, [str(block_id) for block_id in block_ids])
        return list(self._running().standalone.ask(question, Blocks).states)

    def managers(self) -> list[ManagerReport]:
        """Return what there is on each node: id, block, host, workers, tasks, and whether it is on hold. Raises as `status` does."""
        return self._running().standalone.ask(AskManagers(), Managers).managers

    def hold_worker(self, worker_id: str, *, hold: bool = True) -> None:
        """Have the workers of a node given no more tasks, or tasks again. What they have goes on.

        Args:
            worker_id: id of their manager, see `managers`.
            hold: False to end it.

        Raises:
            UsageError: there is no such manager.
            EndpointLost: the agent has died.
        """
        self._running().standalone.ask(Hold(str(worker_id), hold), Managers)

    def request_status_info(self) -> EndpointStatus:
        """Return the agent's report about itself, as of now. Raises as `status` does."""
        return self._running().standalone.ask(AskStatus(), Told).status

    def __getstate__(self) -> dict[str, Any]:
        # A copy has the settings. It works by itself, when it is started.
        return {name: value for name, value in self.__dict__.items() if name not in _LIVE}

    # --- inside ----------------------------------------------------------------------------------------------------

    @property
    def _settings(self) -> HighThroughputExecutor:
        return cast("HighThroughputExecutor", self)

    @property
    def _status(self) -> EndpointStatus:
        return EndpointStatus() if self._work is None else self._work.standalone.status

    def _give_up(self) -> None:
        """Somebody pressed Ctrl-C: what is open is cancelled, and nothing is waited for but the end of all processes."""
        object.__setattr__(self, "_is_shut_down", True)
        if self._work is not None:
            self._work.standalone.close()

    def _running(self) -> Calls:
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        work = self._work
        if work is None or work.standalone.is_forked:
            return self._opened()
        return work

    def _opened(self) -> Calls:
        """Start everything, once for each process: a forked child has an agent of its own."""
        # Not with the module: an endpoint's config needs none of this.
        from funcx_endpoint.executors.alone.calls import Calls  # noqa: PLC0415
        from funcx_endpoint.executors.alone.process import Standalone  # noqa: PLC0415

        # Of this executor alone: starting takes seconds.
        with self.__dict__.setdefault("_opening", threading.Lock()):
            work = self._work
            if work is None or work.standalone.is_forked:
                standalone = Standalone(self._settings)
                standalone.start(self._settings)
                work = Calls(standalone)
                # An executor is a frozen setting, too.
                object.__setattr__(self, "_work", work)
                # What is dropped without shutdown() ends with its last task.
                weakref.finalize(self, standalone.close_when_idle).atexit = False
            return work


def _task_id(task_id: str | None = None) -> TaskId | None:
    return None if task_id is None else TaskId(parse_id(str(task_id), "task id"))
