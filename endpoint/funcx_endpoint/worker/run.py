"""One task from its payload to its result. Whatever goes wrong has a type; nothing a task does ends the worker's loop."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Final

import msgspec

from funcx_core.cells.inputs import inputs_from, remembering
from funcx_core.errors import (
    ArgumentLoadError,
    DeserializationError,
    FunctionLoadError,
    InputLost,
    ResultNotSerializable,
    ResultTooLarge,
    SerializationError,
    TaskFailed,
    ValueNotKept,
)
from funcx_core.ids import FunctionId
from funcx_core.protocol.blob import is_reference, read_reference, without_blobs
from funcx_core.protocol.payload import CALL, CALLS, RANGE, WITH_BLOBS
from funcx_core.protocol.task import Function, Task, TaskError, TaskResult, TaskState, TaskTimes
from funcx_core.serialize import (
    describe_exception,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_function,
)
from funcx_core.serialize.ranges import OutcomesPacker
from funcx_endpoint.large import LargeFolder
from funcx_endpoint.worker import circumstances
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.ranges import RangeRun

_OURS_ALONE: Final = (CALL, CALLS)
"""What a payload of our clients begins with. Others may be of Pythons that are older than any of ours."""
CAPACITY: Final = 1024
"""Loaded functions that a worker keeps; the manager counts on half as many."""


class Functions:
    """The functions this worker has received, loaded when they are first called, inside of `guard`."""

    def __init__(self, guard: AbstractContextManager[None] | None = None) -> None:
        self._guard = guard or nullcontext()
        self._bodies: OrderedDict[FunctionId, bytes] = OrderedDict()
        self._loaded: dict[FunctionId, Callable[..., Any]] = {}

    def add(self, functions: Iterable[Function]) -> None:
        """Remember bodies that came with a chunk."""
        for function in functions:
            self._bodies[function.function_id] = function.body
            self._bodies.move_to_end(function.function_id)
        while len(self._bodies) > CAPACITY:
            self._loaded.pop(self._bodies.popitem(last=False)[0], None)

    def __contains__(self, function_id: FunctionId) -> bool:
        return function_id in self._bodies

    def load(self, function_id: FunctionId) -> Callable[..., Any]:
        """Return the function, ready to be called. Raises whatever its code raises."""
        function = self._loaded.get(function_id)
        if function is None:
            with self._guard:
                function = self._loaded[function_id] = unpack_function(self._bodies[function_id])
        return function


class LargeValues:
    """Arguments and results that do not travel with their task. `limit`: bytes that such a result may have."""

    def __init__(self, folder: LargeFolder, limit: int) -> None:
        self._folder = folder
        self.limit = limit

    def arguments(self, reference: bytes) -> bytes:
        """Return the payload that a reference stands for."""
        return self._folder.read_argument(read_reference(reference))

    def input(self, owner: str, sha256: str) -> bytearray:
        """Return an input of a cell."""
        try:
            return self._folder.read_input(owner, sha256)
        except OSError as error:
            raise InputLost(
                f"An input of the cell cannot be read on the endpoint ({error.strerror or error}). Send the cell again."
            ) from None

    def result(self, value: bytes) -> bytes:
        """Put a result where the agent finds it, and return the reference to it."""
        from funcx_endpoint.worker.refusable import if_refused  # noqa: PLC0415 - most results are small

        try:
            return self._folder.write_result(value, if_refused()).to_payload()
        except OSError as error:
            raise ResultTooLarge(
                f"The function's value has {len(value):,} bytes and cannot be written to the endpoint's disk: {error.strerror}.",
                details={"size": len(value)},
            ) from None


class Runner:
    """Runs tasks of one worker. `enter` makes the folder of a task the current one."""

    def __init__(
        self,
        functions: Functions,
        interrupts: Interrupts,
        *,
        large: LargeValues,
        max_result: int,
        enter: Callable[[Task], None] | None = None,
    ) -> None:
        self._functions = functions
        self._interrupts = interrupts
        self._large = large
        self._max_result = max_result
        self._enter = enter

    def run(self, task: Task, number: int) -> TaskResult:
        """Return how the task ended; its `times` hold start and end. Never raises."""
        started = time.time_ns()
        value, error = (self._run_beside if task.payload.startswith(WITH_BLOBS) else self._run_plain)(task, number)
        state = TaskState.SUCCESS if error is None else TaskState.FAILED
        return TaskResult(
            task.task_id, task.attempt, state, value, error, TaskTimes(started=started, ended=time.time_ns())
        )

    def _run_beside(self, task: Task, number: int) -> tuple[bytes, TaskError | None]:
        """Run a task that has some of its arguments beside it."""
        try:
            payload, _ = _loaded_arguments(without_blobs, task.payload)
        except ArgumentLoadError as error:
            return b"", _described(error)
        read = partial(self._large.input, task.owner)
        # The calls of a range all have the same inputs; reading one means to check all of it.
        with inputs_from(remembering(read) if payload.startswith(RANGE) else read):
            return self._run_plain(msgspec.structs.replace(task, payload=payload), number)

    def _run_plain(self, task: Task, number: int) -> tuple[bytes, TaskError | None]:
        return self._run_range(task, number) if task.payload.startswith(RANGE) else self._run_call(task, number)

    def _run_call(self, task: Task, number: int) -> tuple[bytes, TaskError | None]:
        try:
            self._interrupts.allow(number)
            try:
                return self._value(task), None
            finally:
                self._interrupts.forbid()
        except BaseException as raised:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end the task, not the worker
            self._interrupts.forbid()
            return b"", _described(raised)

    def _run_range(self, task: Task, number: int) -> tuple[bytes, TaskError | None]:
        """Return the outcomes of the calls, and what ended the range before its end."""
        run, error = None, None
        try:
            self._interrupts.allow(number)
            try:
                run = self._range(task)
                run.run()
            finally:
                self._interrupts.forbid()
        except BaseException as raised:  # noqa: BLE001 - see `_run_call`
            self._interrupts.forbid()
            error = _described(raised)
        if run is None:
            return b"", error
        try:
            return run.outcomes(OutcomesPacker(_unsendable, self._too_large_together, self._max_result)), error
        except Exception as raised:  # noqa: BLE001 - memory, most likely
            return b"", _described(raised)

    def _range(self, task: Task) -> RangeRun:
        function = self._load(task)
        try:
            return RangeRun(function, task.payload, is_stopping=self._interrupts.is_stopping, describe=_described)
        except Exception as error:
            raise ArgumentLoadError("The arguments cannot be loaded on this worker") from error

    def _too_large_together(self, size: int) -> TaskError:
        if size > self._max_result:
            return _described(_too_large(size, self._max_result))
        return _described(
            ResultTooLarge(
                f"The values of this range have more than the {self._max_result:,} bytes that this endpoint sends back "
                "at a time. Run it again in smaller ranges: `retry()` does, or choose a smaller chunksize.",
                details={"size": size, "limit": self._max_result},
            )
        )

    def _value(self, task: Task) -> bytes:
        function = self._load(task)
        payload = task.payload
        if is_reference(payload):
            payload = _loaded_arguments(self._large.arguments, payload)
        return self._called(function, payload, task)

    def _called(self, function: Callable[..., Any], payload: bytes, task: Task) -> bytes:
        if payload.startswith(CALLS):
            calls = _loaded_arguments(unpack_calls, payload)
            result: Any = [function(*args) for args in calls]
        else:
            args, kwargs = _loaded_arguments(unpack_call, payload)
            result = function(*args, **kwargs)
        inline = task.options is not None and task.options.inline_result
        return self._packed(result, inline=inline, portable=not payload.startswith(_OURS_ALONE))

    def _load(self, task: Task) -> Callable[..., Any]:
        if self._enter is not None:
            self._enter(task)
        try:
            return self._functions.load(task.function_id)
        except Exception as error:
            raise FunctionLoadError("The function cannot be loaded on this worker") from error

    def _packed(self, result: Any, *, inline: bool, portable: bool) -> bytes:
        try:
            value = pack_value(result, portable=portable)
        except SerializationError as error:
            raise ResultNotSerializable(f"The function's value cannot be sent back. {error}") from None
        except Exception as error:
            raise ResultNotSerializable("The function's value cannot be sent back") from error
        if len(value) <= self._max_result:
            return value
        limit = self._max_result if inline else max(self._max_result, self._large.limit)
        if len(value) > limit:
            from funcx_endpoint.worker.kept_results import keep_packed  # noqa: PLC0415 - see `LargeValues.result`

            raise _too_large(len(value), limit, keep_packed(value))
        return self._large.result(value)


def _too_large(size: int, limit: int, kept: str = "") -> ResultTooLarge:
    advice = kept or "Return less, or write it to a file and return its path."
    return ResultTooLarge(
        f"The function's value has {size:,} bytes; this endpoint sends back at most {limit:,}. {advice}",
        details={"size": size, "limit": limit, **({"kept": True} if kept else {})},
    )


def _loaded_arguments(unpack: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        return unpack(payload)
    except Exception as error:
        raise ArgumentLoadError("The arguments cannot be loaded on this worker") from error


def _unsendable(error: BaseException) -> TaskError:
    if isinstance(error, SerializationError):
        return _described(ResultNotSerializable(f"The function's value cannot be sent back. {error}"))
    failed = ResultNotSerializable("The function's value cannot be sent back")
    failed.__cause__ = error
    return _described(failed)


def _described(raised: BaseException) -> TaskError:
    """Our own errors as themselves, with their cause in words; everything else as the user's exception."""
    if type(raised) not in _OURS:
        return describe_exception(raised, details=circumstances.of(raised))
    assert isinstance(raised, TaskFailed)  # noqa: S101 - all of _OURS are
    cause = raised.__cause__
    if isinstance(cause, DeserializationError) and cause.__cause__ is not None:
        cause = cause.__cause__  # The module that is missing here, say, rather than that something is.
    if cause is None:
        return TaskError(code=raised.code, message=str(raised), details=raised.details)
    described = describe_exception(cause)
    reason = f"{described.type_name}: {described.message}"
    details = {"cause": reason, "traceback": described.traceback}
    return TaskError(code=raised.code, message=f"{raised}: {reason}", details=details)


_OURS: Final = (
    FunctionLoadError,
    ArgumentLoadError,
    InputLost,
    ResultNotSerializable,
    ResultTooLarge,
    ValueNotKept,
)
