"""What a stream has sent, what of it is acknowledged, and which tasks are open. Pure: no sockets, clocks or threads.

Theory of operation. Callers append to `queue`; `next_request` turns its front into one message to send and remembers it
until the service answers. Nothing is forgotten by a lost connection: `resume` returns what has to be said first on a new
one — unanswered requests again, with the same ids, then a `Watch` for every open task whose submit was acknowledged.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from funcx_core.errors import BatchTooLarge, FuncxError, QueueFull, TaskCancelled
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId
from funcx_core.protocol.client import (
    Accepted,
    CancelTasks,
    FromClient,
    Refused,
    Rejection,
    TaskEvents,
    TaskResults,
    TaskStates,
    Watch,
)
from funcx_core.protocol.task import Call, Function, TaskResult, TaskState
from funcx_core.sdk.followers import Followers
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.replays import Replays
from funcx_core.sdk.routes import MapRoute, Request
from funcx_core.sdk.wire_errors import error_from_wire

MOST_CALLS: Final = 500
MOST_BYTES: Final = 1024 * 1024
MOST_UNANSWERED: Final = 8
_CALL_OVERHEAD: Final = 90
_LOOKED_AT: Final = 1000
_WATCH_AT_ONCE: Final = 5_000
_NEVER_SENT: Final = "The task was cancelled before it was sent."


Queued = tuple[FuncXFuture, Call] | Function


class Ledger:
    """Belongs to the stream's thread, except for `queue`, to which any thread may append.

    Attributes:
        is_watched: somebody is about to look at the queue, or will be: who appends to it need not say so.
    """

    def __init__(self, *, most_calls: int = MOST_CALLS) -> None:
        self.queue: deque[Queued] = deque()
        self.open: dict[TaskId, FuncXFuture] = {}
        self.unanswered: dict[int, Request] = {}
        self.acknowledged = 0
        self.is_watched = True
        self._numbers = itertools.count(1)
        self._most_calls = min(most_calls, MOST_CALLS)
        self._cancels: dict[TaskId, bool] = {}  # asked for, and the task has not ended
        self._last_seq: dict[TaskId, int] = {}
        self._endpoints: set[EndpointId] = set()
        self._known_endpoints: set[EndpointId] = set()
        self._unusable: dict[FunctionId, FuncxError] = {}
        self._followers = Followers()
        self._replays = Replays()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent or acknowledged and no task is open."""
        return not self.queue and not self.unanswered and not self.open and not self._followers

    def new_endpoints(self) -> set[EndpointId]:
        """Return the endpoints to which something was sent for the first time since the last call."""
        new = self._endpoints - self._known_endpoints
        self._known_endpoints |= new
        return new

    def waiting_at(self) -> set[EndpointId]:
        """Return the endpoints of the oldest open tasks that are not known to run."""
        oldest = itertools.islice(self.open.values(), _LOOKED_AT)
        waiting = {future.route.endpoint_id for future in oldest if future.route is not None and not future.running()}
        return {endpoint_id for endpoint_id in waiting if endpoint_id}

    @property
    def is_flushed(self) -> bool:
        """Whether everything that was submitted is acknowledged."""
        return not self.queue and not self.unanswered

    @property
    def may_send(self) -> bool:
        """Whether another request may be under way."""
        return len(self.unanswered) < MOST_UNANSWERED

    def next_request(self) -> Request | None:
        """Take the front of the queue as one request, which is unanswered from now on; None if the queue is empty."""
        queue = self.queue
        request: Request | None = None
        size = 0
        while queue:
            front = queue[0]
            if type(front) is Function:
                if request is None:
                    queue.popleft()
                    return self._remember(Request(next(self._numbers), None, front))
                break
            future, call = front  # type: ignore[misc]
            if request is None:
                request = Request(next(self._numbers), future.route)
                self._endpoints.add(future.route.endpoint_id)
            elif future.route is not request.route or size + len(call.payload) > MOST_BYTES:
                break
            queue.popleft()
            if future.done():  # cancelled before it was sent
                self._followers.fail(call.task_id, TaskCancelled(_NEVER_SENT))
                continue
            if self.open.setdefault(call.task_id, future) is not future:
                self._followers.add(call.task_id, future)
            request.futures.append(future)
            request.calls.append(call)
            size += len(call.payload) + _CALL_OVERHEAD
            if len(request.calls) >= self._most_calls:
                break
        if request is None or not request.calls:
            return None
        return self._remember(request)

    def accepted(self, message: Accepted) -> list[FromClient]:
        """A request is committed. Send what is returned."""
        request = self.unanswered.pop(message.request, None)
        if request is None:
            self._end(self._replays.end(message.request))
            return []
        self.acknowledged += len(request.calls) - len(message.rejected)
        for rejection in message.rejected:
            self._reject(rejection, request)
        messages = self._held_cancels(request)
        if request.is_repeated:  # It may have been committed the first time, and its results sent to nobody.
            open_ids = [future.task_id for future in request.futures if future.task_id in self.open]
            messages.extend(self.watches(open_ids))
        return messages

    def refused(self, message: Refused) -> Request | None:
        """A request was not accepted. Returns it if it is to be sent again, after `retry_after` seconds if that is said."""
        request = self.unanswered.get(message.request)
        if request is None:
            self._end(self._replays.end(message.request))
            return None
        if message.retry_after is not None or message.code == BatchTooLarge.code:
            self._drop_ended(request)
            if self._shortened(request, message) or message.retry_after is not None:
                return request
        del self.unanswered[message.request]
        error = error_from_wire(message.code, message.message, message.fields)
        if request.function is not None:
            self._unusable[request.function.function_id] = error
        for call, future in zip(request.calls, request.futures, strict=True):
            self._forget(future.task_id)
            future.fail(error)
            self._followers.fail(call.task_id, error)
        return None

    def resume(self) -> list[FromClient]:
        """Return what has to be said on a new connection, in order."""
        messages: list[FromClient] = []
        self._replays.restart()
        unacknowledged: set[TaskId | None] = set()
        for number, request in list(self.unanswered.items()):
            if request.function is None:
                request.drop_ended()
            message = request.message()
            if message is None:
                del self.unanswered[number]
                continue
            request.is_repeated = True
            unacknowledged.update(future.task_id for future in request.futures)
            messages.append(message)
        messages.extend(self.watches(task_id for task_id in self._watched() if task_id not in unacknowledged))
        messages.extend(
            CancelTasks([task_id], force) for task_id, force in self._cancels.items() if task_id not in unacknowledged
        )
        return messages

    def watches(self, task_ids: Iterable[TaskId] | None = None) -> Iterator[Watch]:
        """Yield the messages that ask for the results of open tasks (all, or these)."""
        groups: dict[GroupId, list[TaskId]] = {}
        for task_id in self._watched() if task_ids is None else task_ids:
            future = self.open.get(task_id)
            group_id = self._followers.group_of(task_id) if future is None else future.route.group_id
            groups.setdefault(group_id, []).append(task_id)
        for group_id, members in groups.items():
            for start in range(0, len(members), _WATCH_AT_ONCE):
                part = members[start : start + _WATCH_AT_ONCE]
                after = {task_id: seq for task_id in part if (seq := self._events_after(task_id)) is not None}
                number = next(self._numbers) if after else 0
                self._replays.begin(number, after)
                yield Watch(group_id, part, after, number)

    def _watched(self) -> Iterable[TaskId]:
        """Return the tasks that somebody here waits for."""
        return dict.fromkeys([*self.open, *self._followers.task_ids()]) if self._followers else self.open

    def _events_after(self, task_id: TaskId) -> int | None:
        """Return the `seq` after which events of a task are wanted; None if nobody listens."""
        future = self.open.get(task_id)
        first = self._last_seq.get(task_id, 0) if future is not None and future.listener is not None else None
        later = self._followers.after(task_id)
        return first if later is None else later if first is None else min(first, later)

    def attach(self, futures: Iterable[FuncXFuture], events_after: dict[TaskId, int]) -> list[Watch]:
        """Follow tasks that were submitted earlier, perhaps by another process. Send what is returned.

        What is open here already has its first future still; both end, and both hear of it.
        """
        queued = {item[1].task_id for item in tuple(self.queue) if isinstance(item, tuple)}
        added: list[TaskId] = []
        for future in futures:
            task_id = future.task_id
            if task_id is None:
                continue
            if task_id in self.open or task_id in queued:
                after, known = events_after.get(task_id, 0), self._last_seq.get(task_id, 0)
                self._followers.add(task_id, future, after=after, known=known)
            else:
                self.open[task_id] = future
                if task_id in events_after:
                    self._last_seq[task_id] = events_after[task_id]
            if task_id not in queued:
                added.append(task_id)
        return list(self.watches(added))

    def cancel(self, task_ids: list[TaskId], *, force: bool) -> list[FromClient]:
        """Ask for the end of tasks; those that are not acknowledged yet are asked for later. Send what is returned."""
        held = {future.task_id for request in self.unanswered.values() for future in request.futures}
        now: list[TaskId] = []
        for task_id in task_ids:
            future = self.open.get(task_id)
            if future is None:
                continue  # It has ended, or was never sent.
            if task_id in held:
                self._cancels[task_id] = force
                continue
            now.append(task_id)
            if future.done():
                self._forget(task_id)
            else:
                self._cancels[task_id] = force
        return [CancelTasks(now, force)] if now else []

    def results(self, message: TaskResults) -> None:
        """Tasks have ended."""
        self._end(self._replays.pass_results(message.results) if self._replays else message.results)

    def _end(self, results: list[TaskResult]) -> None:
        pop = self.open.pop
        for result in results:
            future = pop(result.task_id, None)
            if future is not None:
                future.end(result)
                if future.listener is not None or self._cancels:
                    self._forget(result.task_id)
        if self._followers:
            self._followers.results(results)

    def events(self, message: TaskEvents) -> None:
        """Tasks have printed, shown or reported something."""
        for event in message.events:
            future = self.open.get(event.task_id)
            if future is None or future.listener is None or event.seq <= self._last_seq.get(event.task_id, 0):
                continue
            self._last_seq[event.task_id] = event.seq
            future.listener.on_event(event)
        if self._followers:
            self._followers.events(message.events)

    def states(self, message: TaskStates) -> None:
        """Open tasks have changed state."""
        for change in message.changes:
            future = self.open.get(change.task_id)
            if future is None or change.state.is_terminal:
                continue
            if change.state is TaskState.RUNNING:
                future.started()
            if future.listener is not None:
                future.listener.on_state(change.state)
        if self._followers:
            self._followers.states(change for change in message.changes if not change.state.is_terminal)

    def fail_all(self, error: FuncxError) -> None:
        """Nothing will come any more: end every future."""
        futures = list(self.open.values())
        futures.extend(item[0] for item in self._take_queue() if isinstance(item, tuple))
        self.open.clear()
        self.unanswered.clear()
        self._cancels.clear()
        for future in futures:
            future.fail(error)
        self._followers.fail_all(error)

    def _take_queue(self) -> list[Queued]:
        taken: list[Queued] = []
        while self.queue:  # one by one: other threads append
            taken.append(self.queue.popleft())
        return taken

    def _drop_ended(self, request: Request) -> None:
        if not request.is_repeated:  # else the service may have them, and tells how they ended
            for future in request.futures:
                if future.done() and future.task_id is not None and self.open.get(future.task_id) is future:
                    self._forget(future.task_id)
                    self._followers.fail(future.task_id, TaskCancelled(_NEVER_SENT))
        request.drop_ended()

    def _shortened(self, request: Request, message: Refused) -> bool:
        """Put a part of the request back into the queue if so many calls are never taken at once, or not now; whether that was so."""
        calls = len(request.calls)
        # Of a request that is repeated the service may have some already, which has to be asked about; ranges of a map come in order.
        if calls < 2 or request.is_repeated or isinstance(request.route, MapRoute):  # noqa: PLR2004 - one call is the least
            return False
        if message.code == BatchTooLarge.code:
            limit = message.fields.get("limit", 0)
            keep = self._most_calls = limit if 0 < limit < calls else calls // 2
        elif message.code == QueueFull.code and message.retry_after is not None:
            keep = calls // 2
        else:
            return False
        for future, call in zip(reversed(request.futures[keep:]), reversed(request.calls[keep:]), strict=True):
            if self.open.get(call.task_id) is future:
                del self.open[call.task_id]
            self.queue.appendleft((future, call))
        del request.futures[keep:], request.calls[keep:]
        self.is_watched = True  # The next answer goes on.
        return True

    def _remember(self, request: Request) -> Request:
        self.unanswered[request.number] = request
        return request

    def _reject(self, rejection: Rejection, request: Request) -> None:
        future = self.open.get(rejection.task_id)
        self._forget(rejection.task_id)
        if future is None:
            return
        function_id = next((call.function_id for call in request.calls if call.task_id == rejection.task_id), None)
        # Why the function could not be registered says more than that it is unknown.
        error = self._unusable.get(function_id) if function_id is not None else None
        error = error or error_from_wire(rejection.code, rejection.message, rejection.fields)
        future.fail(error)
        self._followers.fail(rejection.task_id, error)

    def _held_cancels(self, request: Request) -> list[FromClient]:
        if not self._cancels:
            return []
        ready = [future for future in request.futures if future.task_id in self._cancels]
        messages: list[FromClient] = []
        for future in ready:
            task_id = TaskId(str(future.task_id))
            messages.append(CancelTasks([task_id], self._cancels[task_id]))
            if future.done():
                self._forget(task_id)
        return messages

    def _forget(self, task_id: TaskId | None) -> None:
        if task_id is not None:
            self.open.pop(task_id, None)
            self._cancels.pop(task_id, None)
            self._last_seq.pop(task_id, None)
