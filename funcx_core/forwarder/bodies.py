"""Sending tasks with the function bodies they need, in order, wherever the bodies have to be fetched from."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from funcx_core.forwarder.effects import SendTasks
from funcx_core.ids import EndpointId, FunctionId
from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.task import Function

CAPACITY_BYTES: Final = 64 * 1024 * 1024


class FunctionBodies:
    """The most recently used bodies, of all endpoints, bounded by bytes."""

    def __init__(self, capacity: int = CAPACITY_BYTES) -> None:
        self._capacity = capacity
        self._size = 0
        self._bodies: OrderedDict[FunctionId, Function] = OrderedDict()

    def add(self, functions: Iterable[Function]) -> None:
        """Remember `functions`, each as just used."""
        for function in functions:
            if function.function_id not in self._bodies:
                self._size += len(function.body)
            self._bodies[function.function_id] = function
            self._bodies.move_to_end(function.function_id)
        while self._size > self._capacity and len(self._bodies) > 1:
            _, oldest = self._bodies.popitem(last=False)
            self._size -= len(oldest.body)

    def get(self, function_id: FunctionId) -> Function | None:
        """Return a body and mark it as just used."""
        function = self._bodies.get(function_id)
        if function is not None:
            self._bodies.move_to_end(function_id)
        return function


class TaskSender:
    """Sends batches of each endpoint in order. A batch whose bodies must be read holds back only its own endpoint's.

    Args:
        read: reads bodies from the store, as far as they exist; waits until the store answers.
        send: sends a batch, for the effect it was made from.
        gone: called for functions that have no body anywhere, before the rest of their batch is sent.
        spawn: runs a coroutine beside everything else.
    """

    def __init__(
        self,
        *,
        read: Callable[[Sequence[FunctionId]], Awaitable[list[Function]]],
        send: Callable[[SendTasks, TaskBatch], None],
        gone: Callable[[SendTasks, list[FunctionId]], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._read = read
        self._send = send
        self._gone = gone
        self._spawn = spawn
        self._bodies = FunctionBodies()
        self._waiting: dict[EndpointId, deque[SendTasks]] = {}

    def learn(self, functions: Iterable[Function]) -> None:
        """These bodies came with a hand-over."""
        self._bodies.add(functions)

    def send(self, effect: SendTasks) -> None:
        """Send now if every body is here, else when they are."""
        waiting = self._waiting.get(effect.endpoint_id)
        if waiting is not None:
            waiting.append(effect)
            return
        functions = self._collect(effect.functions)
        if functions is not None:
            self._send(effect, TaskBatch(effect.tasks, functions, effect.session))
            return
        self._waiting[effect.endpoint_id] = deque([effect])
        self._spawn(self._send_waiting(effect.endpoint_id))

    def _collect(self, function_ids: Sequence[FunctionId]) -> list[Function] | None:
        if not function_ids:
            return []
        found = [self._bodies.get(function_id) for function_id in function_ids]
        functions = [function for function in found if function is not None]
        return functions if len(functions) == len(function_ids) else None

    async def _send_waiting(self, endpoint_id: EndpointId) -> None:
        waiting = self._waiting[endpoint_id]
        while waiting:
            await self._read_and_send(waiting[0])
            waiting.popleft()
        del self._waiting[endpoint_id]

    async def _read_and_send(self, effect: SendTasks) -> None:
        functions = self._collect(effect.functions)
        if functions is None:
            functions = await self._read(effect.functions)
            self._bodies.add(functions)
        gone = {*effect.functions} - {function.function_id for function in functions}
        tasks = effect.tasks
        if gone:
            self._gone(effect, sorted(gone))
            tasks = [task for task in tasks if task.function_id not in gone]
        if tasks:
            self._send(effect, TaskBatch(tasks, functions, effect.session))
