"""An endpoint's agent reduced to its three channels, for tests of the forwarder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import zmq

from funcx_core.ids import EndpointId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointStatus,
    FromCommands,
    GiveBack,
    Register,
    Registered,
    Results,
    commands_from_forwarder,
    results_from_forwarder,
    tasks_from_forwarder,
)
from funcx_core.protocol.task import Lease, Task, TaskResult, TaskState
from funcx_core.transport.zmq import Dealer, KeyPair


class FakeEndpoint:
    """Runs every task at once (or never, when `runs` is False) and follows the rules of `protocol.endpoint`."""

    def __init__(
        self,
        endpoint_id: EndpointId,
        keys: KeyPair,
        *,
        window: int = 100,
        epoch: int = 1,
        period: float = 0.1,
        runs: bool = True,
        run: Callable[[Task], bytes] = lambda task: task.payload,
    ) -> None:
        self.endpoint_id = endpoint_id
        self.keys = keys
        self.window = window
        self.epoch = epoch
        self.period = period
        self.runs = runs
        self.run = run
        self.held: dict[Lease, Task] = {}
        self.unacknowledged: dict[Lease, TaskResult] = {}
        self.acknowledged: list[Lease] = []
        self.started: list[Lease] = []
        self.functions: dict[str, bytes] = {}
        self.commands: list[FromCommands] = []
        self.session = 0
        self.registered = asyncio.Event()
        self._context: zmq.Context[Any] = zmq.Context()

    async def connect(self, ports: tuple[int, int, int], server_key: str, *, register: bool = True) -> None:
        def dealer(port: int, on_messages: Callable[[list[bytes]], None]) -> Dealer:
            address = f"tcp://127.0.0.1:{port}"
            return Dealer(
                self._context,
                address,
                server_key=server_key,
                keys=self.keys,
                on_messages=on_messages,
                on_renewed=self.register,
            )

        self.tasks = dealer(ports[0], self._on_tasks)
        self.results = dealer(ports[1], self._on_results)
        self.command_channel = dealer(ports[2], self._on_commands)
        self._beating = asyncio.get_running_loop().create_task(self._beat())
        if register:
            self.register()
            async with asyncio.timeout(5):
                await self.registered.wait()

    async def close(self) -> None:
        self._beating.cancel()
        for dealer in (self.tasks, self.results, self.command_channel):
            dealer.close(100)
        self._context.term()

    def register(self, lost: tuple[Lease, ...] = ()) -> None:
        self.session = -1  # Batches of the old session are dropped from now on.
        self.command_channel.send(
            encode(
                Register(
                    endpoint_id=self.endpoint_id,
                    epoch=self.epoch,
                    window=self.window,
                    heartbeat_period=self.period,
                    held=[*self.held, *self.unacknowledged],
                    lost=list(lost),
                )
            )
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.period)
            self.command_channel.send(encode(EndpointHeartbeat(self.epoch, EndpointStatus(workers=2))))

    def _on_tasks(self, bodies: list[bytes]) -> None:
        for body in bodies:
            batch = tasks_from_forwarder.decode(body)
            if batch.session != self.session:
                continue
            self.functions.update({function.function_id: function.body for function in batch.functions})
            self.held.update({task.lease: task for task in batch.tasks})
        if self.runs:
            self.finish(list(self.held))

    def finish(self, leases: list[Lease]) -> None:
        results = []
        for lease in leases:
            task = self.held.pop(lease)
            self.started.append(lease)
            results.append(TaskResult(task.task_id, task.attempt, TaskState.SUCCESS, value=self.run(task)))
        self.unacknowledged.update({result.lease: result for result in results})
        if results:
            self.results.send(encode(Results(results)))

    def give_back(self, **fields: Any) -> None:
        message = GiveBack(**fields)
        for lease in (*message.unstarted, *message.lost):
            del self.held[lease]
        self.results.send(encode(message))

    def _on_results(self, bodies: list[bytes]) -> None:
        for body in bodies:
            for lease in results_from_forwarder.decode(body).leases:
                self.unacknowledged.pop(lease, None)
                self.acknowledged.append(lease)

    def _on_commands(self, bodies: list[bytes]) -> None:
        for body in bodies:
            message = commands_from_forwarder.decode(body)
            self.commands.append(message)
            if isinstance(message, Registered):
                self._attach(message)
            elif isinstance(message, Cancel):
                self._cancel(message)
            elif getattr(message, "code", "") == "register":
                self.register()

    def _cancel(self, message: Cancel) -> None:
        stopped = [lease for lease in self.held if lease.task_id in message.task_ids]
        for lease in stopped:
            del self.held[lease]
        results = [TaskResult(lease.task_id, lease.attempt, TaskState.CANCELLED) for lease in stopped]
        self.unacknowledged.update({result.lease: result for result in results})
        self.results.send(encode(Results(results)))

    def _attach(self, message: Registered) -> None:
        self.session = message.session
        for lease in message.release:
            self.held.pop(lease, None)
            self.unacknowledged.pop(lease, None)
        for dealer in (self.tasks, self.results):
            dealer.send(encode(Attach(self.epoch, message.session)))
        if self.unacknowledged:
            self.results.send(encode(Results(list(self.unacknowledged.values()))))
        self.registered.set()
