"""One task from its payload to its result. Whatever goes wrong has a type; nothing a task does ends the worker's loop."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from funcx_core.errors import (
    ArgumentLoadError,
    FunctionLoadError,
    ResultNotSerializable,
    ResultTooLarge,
    SerializationError,
    TaskFailed,
)
from funcx_core.ids import FunctionId
from funcx_core.protocol.payload import CALLS
from funcx_core.protocol.task import Function, Task, TaskError, TaskResult, TaskState, TaskTimes
from funcx_core.serialize import (
    describe_exception,
    pack_value,
    unpack_call,
    unpack_calls,
    unpack_function,
)
from funcx_endpoint.worker.interrupts import Interrupts

CAPACITY: Final = 1024
"""Loaded functions that a worker keeps; the manager counts on half as many."""


class Functions:
    """The functions this worker has received, loaded when they are first called."""

    def __init__(self) -> None:
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
            function = self._loaded[function_id] = unpack_function(self._bodies[function_id])
        return function


class Runner:
    """Runs tasks of one worker."""

    def __init__(self, functions: Functions, interrupts: Interrupts, *, max_result: int) -> None:
        self._functions = functions
        self._interrupts = interrupts
        self._max_result = max_result

    def run(self, task: Task, number: int) -> TaskResult:
        """Return how the task ended; its `times` hold start and end. Never raises."""
        started = time.time_ns()
        state, value, error = TaskState.SUCCESS, b"", None
        try:
            self._interrupts.allow(number)
            try:
                value = self._value(task)
            finally:
                self._interrupts.forbid()
        except BaseException as raised:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end the task, not the worker
            self._interrupts.forbid()
            state, error = TaskState.FAILED, _described(raised)
        return TaskResult(
            task.task_id, task.attempt, state, value, error, TaskTimes(started=started, ended=time.time_ns())
        )

    def _value(self, task: Task) -> bytes:
        function = self._load(task)
        payload = task.payload
        if payload.startswith(CALLS):
            calls = _loaded_arguments(unpack_calls, payload)
            result: Any = [function(*args) for args in calls]
        else:
            args, kwargs = _loaded_arguments(unpack_call, payload)
            result = function(*args, **kwargs)
        return self._packed(result)

    def _load(self, task: Task) -> Callable[..., Any]:
        try:
            return self._functions.load(task.function_id)
        except Exception as error:
            raise FunctionLoadError("The function cannot be loaded on this worker") from error

    def _packed(self, result: Any) -> bytes:
        try:
            value = pack_value(result)
        except SerializationError as error:
            raise ResultNotSerializable(f"The function's value cannot be sent back. {error}") from None
        except Exception as error:
            raise ResultNotSerializable("The function's value cannot be sent back") from error
        if len(value) > self._max_result:
            size = {"size": len(value), "limit": self._max_result}
            raise ResultTooLarge(
                f"The function's value has {len(value):,} bytes; this endpoint sends back at most {self._max_result:,}. "
                "Return less, or write it to a file and return its path.",
                details=size,
            )
        return value


def _loaded_arguments(unpack: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        return unpack(payload)
    except Exception as error:
        raise ArgumentLoadError("The arguments cannot be loaded on this worker") from error


def _described(raised: BaseException) -> TaskError:
    """Our own errors as themselves, with their cause in words; everything else as the user's exception."""
    if type(raised) not in _OURS:
        return describe_exception(raised)
    assert isinstance(raised, TaskFailed)  # noqa: S101 - all of _OURS are
    cause = raised.__cause__
    if cause is None:
        return TaskError(code=raised.code, message=str(raised), details=raised.details)
    described = describe_exception(cause)
    reason = f"{described.type_name}: {described.message}"
    details = {"cause": reason, "traceback": described.traceback}
    return TaskError(code=raised.code, message=f"{raised}: {reason}", details=details)


_OURS: Final = (FunctionLoadError, ArgumentLoadError, ResultNotSerializable, ResultTooLarge)
