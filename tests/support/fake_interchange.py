"""An interchange that a test plays by hand, with real managers as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import zmq

from funcx_core.ids import FunctionId, TaskId, new_function_id, new_task_id
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Cancel, Events, GiveBack, Results, TaskBatch, Transitions
from funcx_core.protocol.manager import (
    Drain,
    Drained,
    ManagerHeartbeat,
    ManagerRefused,
    ManagerRegister,
    ManagerRegistered,
    ReportsAck,
    from_manager,
)
from funcx_core.protocol.task import Function, Lease, Task, TaskEvent, TaskOptions, TaskResult, Transition
from funcx_core.serialize import pack_call, pack_function, rebuild_exception, unpack_value
from funcx_core.transport.zmq import KeyPair, Received, Router, Zap
from funcx_endpoint.manager.settings import ManagerSettings


class FakeInterchange:
    """Binds a ROUTER and keeps all that managers send."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = KeyPair.generate()
        self.manager_keys = KeyPair.generate()
        self.results: dict[TaskId, TaskResult] = {}
        self.duplicates = 0
        self.events: list[TaskEvent] = []
        self.transitions: list[Transition] = []
        self.given_back: list[Lease] = []
        self.lost: dict[TaskId, GiveBack] = {}
        self.managers: dict[str, tuple[bytes, ManagerRegister]] = {}
        self.heartbeats = 0
        self.states: list[str] = []
        self.drained = 0
        self.answers = True
        self.acknowledges = True
        self._reported: dict[bytes, int] = {}
        self._sent_functions: set[FunctionId] = set()
        self._functions: dict[Any, Function] = {}
        self._changed = asyncio.Event()
        self._processes: list[subprocess.Popen[bytes]] = []

    async def open(self) -> None:
        self._context: zmq.Context[Any] = zmq.Context()

        async def authorize(key: str) -> bool:
            return key == self.manager_keys.public

        self._zap = Zap(self._context, authorize)
        self.router = Router(self._context, "127.0.0.1", 0, keys=self.keys, on_messages=self._on_messages)

    async def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()
        self.router.close()
        self._zap.close()
        self._context.term()

    def settings(self, **changes: Any) -> ManagerSettings:
        values: dict[str, Any] = {
            "addresses": [f"tcp://127.0.0.1:{self.router.port}"],
            "server_key": self.keys.public,
            "keys": self.manager_keys,
            "endpoint_id": "11111111-1111-4111-8111-111111111111",
            "endpoint_dir": str(self.folder),
            "log_dir": str(self.folder),
            "agent_host": socket.gethostname(),
            "agent_pid": os.getpid(),
            "workers": 2,
            "heartbeat_period": 0.5,
            "heartbeat_threshold": 2.0,
        }
        return ManagerSettings(**{**values, **changes})

    async def start_manager(self, **changes: Any) -> subprocess.Popen[bytes]:
        before = len(self.managers)
        path = self.folder / f"settings-{len(self._processes)}.json"
        self.settings(**changes).save(path)
        command = [sys.executable, "-m", "funcx_endpoint.manager", "--settings", str(path), "--block-id", "b0"]
        environment = {**os.environ, "FUNCX_TOKEN": "canary-token"}
        process = subprocess.Popen(command, env=environment)  # noqa: ASYNC220 - it returns at once
        self._processes.append(process)
        await self.until(lambda: len(self.managers) > before)
        return process

    def _on_messages(self, messages: list[Received]) -> None:
        for received in messages:
            match from_manager.decode(received.body):
                case ManagerRegister() as message:
                    self.managers[message.manager_id] = (received.route, message)
                    self._reported[received.route] = 0
                    self._sent_functions.clear()
                    if self.answers:
                        self.router.send(received.route, encode(ManagerRegistered(0.5, 2.0, message.session)))
                case Results(results=results):
                    self.duplicates += sum(result.task_id in self.results for result in results)
                    self.results.update((result.task_id, result) for result in results)
                    self._acknowledge(received.route, len(results))
                case Events(events=events):
                    self.events += events
                case Transitions(transitions=transitions):
                    self.transitions += transitions
                case GiveBack() as message:
                    self.given_back += message.unstarted
                    self.lost.update((lease.task_id, message) for lease in message.lost)
                    self._acknowledge(received.route, len(message.lost))
                case ManagerHeartbeat(state=state):
                    self.heartbeats += 1
                    self.states.append(state)
                case Drained():
                    self.drained += 1
        self._changed.set()

    def _acknowledge(self, route: bytes, number: int) -> None:
        self._reported[route] += number
        if self.acknowledges and number:
            session = next(one.session for other, one in self.managers.values() if other == route)
            self.router.send(route, encode(ReportsAck(session, self._reported[route])))

    async def until(self, condition: Callable[[], Any], timeout: float = 10.0) -> float:
        """Wait until `condition` holds; return how long it took."""
        began = time.monotonic()
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._changed.wait()
        return time.monotonic() - began

    # --- what the test does -------------------------------------------------------------------------------------

    def function(self, function: Callable[..., Any]) -> Function:
        known = self._functions.get(function)
        if known is None:
            known = self._functions[function] = Function(new_function_id(), function.__name__, pack_function(function))
        return known

    def task(self, function: Callable[..., Any], *args: Any, attempt: int = 1, **options: Any) -> Task:
        settings = TaskOptions(**options) if options else None
        return Task(new_task_id(), attempt, self.function(function).function_id, pack_call(args, {}), settings)

    def send(self, message: Any, manager: int = -1) -> None:
        route, _ = list(self.managers.values())[manager]
        assert self.router.send(route, encode(message))

    def lease(self, tasks: Sequence[Task], manager: int = -1) -> None:
        used = {task.function_id for task in tasks}
        new = [
            f for f in self._functions.values() if f.function_id in used and f.function_id not in self._sent_functions
        ]
        self._sent_functions.update(f.function_id for f in new)
        session = list(self.managers.values())[manager][1].session
        self.send(TaskBatch(list(tasks), new, session), manager)

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> TaskId:
        task = self.task(function, *args, **options)
        self.lease([task])
        return task.task_id

    async def value(self, task_id: TaskId, timeout: float = 10.0) -> Any:
        """Return the task's value, or raise its error."""
        await self.until(lambda: task_id in self.results or task_id in self.lost, timeout)
        if task_id in self.lost:
            raise AssertionError(f"lost: {self.lost[task_id].details}")
        result = self.results[task_id]
        if result.error is not None:
            raise rebuild_exception(result.error, task_id)
        return unpack_value(result.value)

    async def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return await self.value(self.submit(function, *args, **options))

    async def ends(self, task_id: TaskId, timeout: float = 10.0) -> TaskResult | GiveBack:
        await self.until(lambda: task_id in self.results or task_id in self.lost, timeout)
        return self.results.get(task_id) or self.lost[task_id]

    def cancel(self, *task_ids: TaskId, force: bool = False) -> None:
        self.send(Cancel(list(task_ids), force))

    def drain(self, grace: float) -> None:
        self.send(Drain(grace))

    def refuse(self) -> None:
        self.send(ManagerRefused("superseded", "test"))

    def text(self, task_id: TaskId, *kinds: str) -> str:
        return b"".join(e.body for e in self.events if e.task_id == task_id and (not kinds or e.kind in kinds)).decode()


@asynccontextmanager
async def fake_interchange(folder: Path) -> AsyncIterator[FakeInterchange]:
    """Open one on a free port; kill its managers at the end."""
    interchange = FakeInterchange(folder)
    await interchange.open()
    try:
        yield interchange
    finally:
        await interchange.close()
