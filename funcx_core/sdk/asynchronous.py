"""Results as asyncio futures: what `FuncXClient(asynchronous=True)` returns. Results come by the stream; nothing polls."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from funcx_core.errors import FuncxError, UsageError
from funcx_core.sdk.futures import FuncXFuture


class FuncXTask(asyncio.Future[Any]):
    """The result of a task to come, for coroutines. Cancelling it cancels a task that is not known to run.

    Attributes:
        task_id: the task.
    """

    def __init__(self, task_id: str, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(loop=loop)
        self.task_id = task_id

    async def get_result(self) -> Any:
        """Return the value of the task, or raise its exception, once it has ended."""
        return await self

    def __str__(self) -> str:
        return f"FuncX Task ID {self.task_id}"


def loop_for(chosen: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
    """Return the event loop for futures: the chosen one, else the running one.

    Raises:
        UsageError: there is none, or it is closed.
    """
    if chosen is None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError(
                "asynchronous=True needs an event loop, and none runs here. Call this in a coroutine, or make the client with loop=."
            ) from None
    if chosen.is_closed():
        raise UsageError("The event loop that this client was made with is closed. Make a client with another loop=.")
    return chosen


def follow(future: FuncXFuture, loop: asyncio.AbstractEventLoop) -> FuncXTask:
    """Return an asyncio future on `loop` that ends as `future` does. May be called from any thread."""
    task = FuncXTask(str(future.task_id), loop=loop)

    def settle() -> None:
        if future.is_to_be_fetched and not task.done():
            # A large value is fetched beside the loop, which goes on meanwhile.
            loop.run_in_executor(None, _fetch, future).add_done_callback(copy)
        else:
            copy()

    def copy(_: object = None) -> None:
        if not task.done():
            _copy(future, task)

    def ended(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # The loop was closed: nobody waits any more.
            loop.call_soon_threadsafe(settle)

    def cancelled(_: asyncio.Future[Any]) -> None:
        if task.cancelled():
            future.cancel()

    task.add_done_callback(cancelled)
    future.add_done_callback(ended)
    return task


def _fetch(future: FuncXFuture) -> None:
    with suppress(FuncxError):  # It is raised again when the outcome is copied.
        future.exception()


def _copy(future: FuncXFuture, task: FuncXTask) -> None:
    if future.cancelled():
        task.cancel()
        return
    try:
        error = future.exception()
    except FuncxError as failure:  # A large value cannot be fetched now.
        error = failure
    if error is None:
        task.set_result(future.result())
    elif isinstance(error, StopIteration):  # A coroutine cannot let it through.
        wrapped = RuntimeError("The function raised StopIteration.")
        wrapped.__cause__ = error
        task.set_exception(wrapped)
    else:
        task.set_exception(error)


__all__ = ["FuncXTask", "follow", "loop_for"]
