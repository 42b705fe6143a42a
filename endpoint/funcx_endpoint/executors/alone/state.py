"""The forwarder's part of the conversation with the one agent of an executor, as a machine.

Theory of operation. A task waits, is leased with an attempt number, and ends. There is one agent, started by the executor, and
nothing outlives the two, so nothing is written down here: the agent's session is settled from what both remember. A
registration names the leases that the agent holds; every other one never arrived and is leased again. What had started and was
lost with its worker or manager fails, because a function may not run twice unasked.

Each method takes one event and returns the effects to perform, in order. No sockets, clocks or files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from funcx_core.ids import FunctionId, TaskId
from funcx_core.protocol.endpoint import (
    Attach,
    Cancel,
    EndpointHeartbeat,
    EndpointStatus,
    GiveBack,
    Goodbye,
    Heartbeat,
    Refused,
    Register,
    Registered,
    Results,
    TaskBatch,
    ToCommands,
    ToResults,
    Transitions,
    Window,
)
from funcx_core.protocol.functions import SentFunctions
from funcx_core.protocol.losses import loss_error
from funcx_core.protocol.task import Function, Lease, Task, TaskError, TaskResult, TaskState
from funcx_endpoint.executors.alone.effects import Effect, Ended, SendAck, SendCommand, SendTasks, Started

BATCH_TASKS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
_REGISTER: Final = Refused("register", "The session is not known; register again.")


@dataclass(slots=True)
class _Channels:
    """One registration of the agent, and by which routes it is reached."""

    number: int
    epoch: int
    commands: bytes
    window: int
    tasks: bytes | None = None
    results: bytes | None = None
    functions: SentFunctions = field(default_factory=SentFunctions)
    known_lost: list[Lease] = field(default_factory=list)  # to be acknowledged as soon as there is a channel for it


class Session:
    """Leases the tasks of one executor to its agent. Pure: perform what each method returns.

    Args:
        heartbeat_period: seconds between heartbeats, as the agent is told.
        heartbeat_threshold: seconds of silence after which the agent looks for its forwarder anew.
    """

    def __init__(self, *, heartbeat_period: float, heartbeat_threshold: float) -> None:
        self.status = EndpointStatus()
        self.late_results = 0
        self._period = heartbeat_period
        self._threshold = heartbeat_threshold
        self._bodies: dict[FunctionId, Function] = {}
        self._waiting: OrderedDict[TaskId, Task] = OrderedDict()
        self._leased: dict[TaskId, Task] = {}
        self._cancelling: dict[TaskId, bool] = {}
        self._channels: _Channels | None = None
        self._registrations = 0

    @property
    def is_open(self) -> bool:
        """Whether the agent is registered."""
        return self._channels is not None

    @property
    def outstanding(self) -> int:
        """Tasks that wait or run."""
        return len(self._waiting) + len(self._leased)

    # --- from the executor -----------------------------------------------------------------------------------------

    def learn(self, function: Function) -> None:
        """A body that later tasks use."""
        self._bodies[function.function_id] = function

    def submitted(self, tasks: Iterable[Task]) -> list[Effect]:
        """New tasks."""
        for task in tasks:
            self._waiting[task.task_id] = task
        return self._deal()

    def cancel(self, task_ids: Sequence[TaskId], *, force: bool = False) -> list[Effect]:
        """The caller wants the end of these tasks. Unknown ones have ended."""
        waiting = [task for task_id in task_ids if (task := self._waiting.pop(task_id, None)) is not None]
        leased = [task_id for task_id in task_ids if task_id in self._leased]
        for task_id in leased:
            self._cancelling[task_id] = force or self._cancelling.get(task_id, False)
        effects: list[Effect] = [Ended([_cancelled(task) for task in waiting])] if waiting else []
        if leased and self._channels is not None:
            effects.append(SendCommand(self._channels.commands, Cancel(leased, force)))
        return effects

    def agent_ended(self, message: str, details: dict[str, Any]) -> list[Effect]:
        """The agent's process is gone, and with it everything that it held."""
        self._channels = None
        self.status = EndpointStatus()
        tasks = [*self._leased.values(), *self._waiting.values()]
        self._leased.clear()
        self._waiting.clear()
        self._cancelling.clear()
        error = TaskError(code="endpoint_lost", message=message, details=details)
        return [Ended([_failed(task, error) for task in tasks])] if tasks else []

    def heartbeat(self) -> list[Effect]:
        """Time passed: tell the agent that its forwarder is alive."""
        return [SendCommand(self._channels.commands, Heartbeat())] if self._channels is not None else []

    # --- from the agent --------------------------------------------------------------------------------------------

    def command(self, route: bytes, message: ToCommands) -> list[Effect]:
        """A message of the commands channel."""
        if isinstance(message, Register):
            return self._register(route, message)
        if self._channels is None or self._channels.commands != route:
            return [SendCommand(route, _REGISTER)]
        match message:
            case EndpointHeartbeat():
                self.status = message.status
            case Window():
                self._channels.window = message.window
                return self._deal()
            case Goodbye():
                self._channels = None
        return []

    def attach_tasks(self, route: bytes, message: Attach) -> list[Effect]:
        """The tasks channel of a session: leases may flow."""
        if self._channels is not None and self._is_current(message):
            self._channels.tasks = route
        return self._deal()

    def result_message(self, route: bytes, message: ToResults) -> list[Effect]:
        """A message of the results channel."""
        if isinstance(message, Attach):
            return self._attach_results(route, message)
        if self._channels is None or self._channels.results != route:
            return []  # What it said is said again after its registration.
        match message:
            case Results():
                return self._results(route, message.results)
            case GiveBack():
                return self._given_back(route, message)
            case Transitions():
                running = [one.task_id for one in message.transitions if one.state is TaskState.RUNNING]
                return [Started(running)] if running else []
        return []

    def _attach_results(self, route: bytes, message: Attach) -> list[Effect]:
        channels = self._channels
        if channels is None or not self._is_current(message):
            return []
        channels.results = route
        known_lost, channels.known_lost = channels.known_lost, []
        return [SendAck(route, known_lost)] if known_lost else []

    def undeliverable(self, send: SendTasks) -> list[Effect]:
        """The agent does not take what is sent: it is made to register again, and says then what it has."""
        channels = self._channels
        if channels is None or channels.number != send.batch.session:
            return []
        self._channels = None
        return [SendCommand(channels.commands, _REGISTER)]

    def _is_current(self, message: Attach) -> bool:
        channels = self._channels
        return channels is not None and (channels.epoch, channels.number) == (message.epoch, message.session)

    def _register(self, route: bytes, message: Register) -> list[Effect]:
        self._registrations += 1
        self._channels = _Channels(
            self._registrations, message.epoch, route, message.window, known_lost=list(message.lost)
        )
        self.status = message.status
        held, lost = set(message.held), set(message.lost)
        ended = [self._end_as_lost(task, "endpoint_lost", {}) for task in self._leased_as(lost)]
        ended += self._lease_again([task for task in self._leased.values() if task.lease not in held])
        unwanted = [lease for lease in message.held if not self._is_leased(lease)]
        registered = Registered(message.epoch, self._period, self._threshold, unwanted, self._registrations)
        effects: list[Effect] = [SendCommand(route, registered)]
        for force in (False, True):
            if again := [task_id for task_id, forced in self._cancelling.items() if forced is force]:
                effects.append(SendCommand(route, Cancel(again, force)))
        return [*effects, Ended(ended)] if ended else effects

    def _results(self, route: bytes, results: Sequence[TaskResult]) -> list[Effect]:
        leased = self._leased
        ended: list[TaskResult] = []
        for result in results:
            task = leased.get(result.task_id)
            if task is None or task.attempt != result.attempt:
                self.late_results += 1
                continue
            del leased[result.task_id]
            ended.append(result)
        if self._cancelling:
            for result in ended:
                self._cancelling.pop(result.task_id, None)
        # The next leases leave first: a worker waits for them, and the caller is busy with what it has.
        effects = self._deal()
        effects.append(SendAck(route, [result.lease for result in results]))
        if ended:
            effects.append(Ended(ended))
        return effects

    def _given_back(self, route: bytes, message: GiveBack) -> list[Effect]:
        lost = [self._end_as_lost(task, message.reason, message.details) for task in self._leased_as(message.lost)]
        unstarted = self._leased_as(message.unstarted)
        if message.missing_functions and self._channels is not None:
            self._channels.functions.forget(task.function_id for task in unstarted)
        ended = lost + self._lease_again(unstarted)
        effects: list[Effect] = [SendAck(route, list(message.lost))] if message.lost else []
        if ended:
            effects.append(Ended(ended))
        return [*effects, *self._deal()]

    # --- leases ----------------------------------------------------------------------------------------------------

    def _is_leased(self, lease: Lease) -> bool:
        task = self._leased.get(lease.task_id)
        return task is not None and task.attempt == lease.attempt

    def _leased_as(self, leases: Iterable[Lease]) -> list[Task]:
        return [self._leased[lease.task_id] for lease in leases if self._is_leased(lease)]

    def _end_as_lost(self, task: Task, reason: str, details: dict[str, Any]) -> TaskResult:
        del self._leased[task.task_id]
        self._cancelling.pop(task.task_id, None)
        return _failed(task, loss_error(reason, details, losses=1))

    def _lease_again(self, tasks: Sequence[Task]) -> list[TaskResult]:
        """These never started: they go first, as another attempt. Return the ends of those that nobody wants any more."""
        cancelled = []
        for task in reversed(tasks):
            del self._leased[task.task_id]
            if self._cancelling.pop(task.task_id, None) is not None:
                cancelled.append(_cancelled(task))
                continue
            again = msgspec.structs.replace(task, attempt=task.attempt + 1)
            self._waiting[task.task_id] = again
            self._waiting.move_to_end(task.task_id, last=False)
        return cancelled

    def _deal(self) -> list[Effect]:
        channels = self._channels
        if not self._waiting or channels is None or channels.tasks is None:
            return []
        room = channels.window - len(self._leased)
        effects: list[Effect] = []
        while room > 0 and self._waiting:
            tasks = self._take(room)
            room -= len(tasks)
            missing = channels.functions.to_send([task.function_id for task in tasks])
            functions = [self._bodies[function_id] for function_id in missing]
            effects.append(SendTasks(channels.tasks, TaskBatch(tasks, functions, channels.number)))
        return effects

    def _take(self, room: int) -> list[Task]:
        waiting, leased = self._waiting, self._leased
        space = BATCH_BYTES
        tasks: list[Task] = []
        for _ in range(min(room, BATCH_TASKS, len(waiting))):
            task_id, task = waiting.popitem(last=False)
            space -= len(task.payload)
            if space < 0 and tasks:
                waiting[task_id] = task
                waiting.move_to_end(task_id, last=False)
                break
            leased[task_id] = task
            tasks.append(task)
        return tasks


def _cancelled(task: Task) -> TaskResult:
    error = TaskError(code="task_cancelled", message="The task was cancelled.")
    return TaskResult(task.task_id, task.attempt, TaskState.CANCELLED, error=error)


def _failed(task: Task, error: TaskError) -> TaskResult:
    return TaskResult(task.task_id, task.attempt, TaskState.FAILED, error=error)
