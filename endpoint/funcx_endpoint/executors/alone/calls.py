"""Functions and packed buffers as tasks of an executor that stands alone, and their results as values."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from funcx_core.errors import SerializationError
from funcx_core.ids import FunctionId, TaskId, new_function_id
from funcx_core.protocol.payload import as_text, pack_buffers
from funcx_core.protocol.task import Function, TaskError, TaskResult, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.registry import FunctionRegistry
from funcx_core.sdk.trust import TrustingReader
from funcx_core.serialize import FuncXSerializer, pack_call, pack_calls
from funcx_endpoint.executors.alone.process import Standalone

_VALUES: Final = TrustingReader(lambda _: True)
"""The workers run as the user who submits."""
_PACKED_PARTS: Final = 3


class Calls:
    """What callers hand in, as tasks. Methods may be called from any thread."""

    def __init__(self, standalone: Standalone) -> None:
        self.standalone = standalone
        self._registry = FunctionRegistry(standalone.register)
        self._packed: dict[bytes, FunctionId] = {}

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> FuncXFuture:
        """Run one call."""
        return self.standalone.submit(self._registry.function_id(fn), pack_call(args, kwargs), _VALUES)

    def submit_packed(self, buffers: str | bytes, task_id: TaskId | None) -> FuncXFuture:
        """Run a function that was packed together with its arguments.

        Raises:
            SerializationError: the buffers are not those of a function, its arguments and its keyword arguments.
        """
        text = buffers.decode() if isinstance(buffers, bytes) else buffers
        parts = FuncXSerializer().unpack_buffers(text)
        if len(parts) != _PACKED_PARTS:
            raise SerializationError(
                f"{len(parts)} packed buffers were submitted; a function, its arguments and its keyword arguments are needed."
            )
        body, payload = pack_buffers(parts[:1]).encode(), pack_buffers(parts[1:]).encode()
        return self.standalone.submit(self._function_id(body), payload, _PACKED, task_id)

    def map(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], timeout: float | None, chunksize: int
    ) -> Iterator[Any]:
        """Run many calls as tasks of `chunksize` calls; return their results in order, as they come."""
        end = None if timeout is None else time.monotonic() + timeout
        function_id = self._registry.function_id(fn)
        calls = iter(calls)
        chunks = iter(lambda: list(itertools.islice(calls, chunksize)), [])
        return _values([self.standalone.submit(function_id, pack_calls(chunk), _VALUES) for chunk in chunks], end)

    def _function_id(self, body: bytes) -> FunctionId:
        function_id = self._packed.get(body)
        if function_id is None:
            function_id = new_function_id()
            self.standalone.register(Function(function_id, "packed", body))
            self._packed[body] = function_id
        return function_id


class _PackedReader:
    """Hands results on as they are, without opening anything."""

    def open(self, outcome: TaskResult) -> tuple[Any, BaseException | None]:
        """Return the packed value, or None and an error that tells what is known in plain fields."""
        if outcome.state is TaskState.SUCCESS:
            return as_text(outcome.value), None
        error = outcome.error or TaskError(code="task_failed", message=f"The task ended as {outcome.state.value}.")
        return None, error.to_exception(outcome.task_id)


_PACKED: Final = _PackedReader()


def _values(futures: list[FuncXFuture], end: float | None) -> Iterator[Any]:
    futures.reverse()
    try:
        while futures:
            yield from futures.pop().result(None if end is None else end - time.monotonic())
    finally:
        for future in futures:
            future.cancel()
