"""Further futures of tasks that are open in this client already: all of them end, and each hears what it asked for. Pure.

Theory of operation. The first future of a task is in the ledger; those that come later are here, so a task that has one costs nothing.
A later one may want the log from an earlier entry than the first has heard. The service tells that log again, in order, when it is asked
to; what it tells meanwhile, because the first listens, may be ahead of it, and is held back until the log has come so far.
"""

from __future__ import annotations

from collections.abc import Iterable

from funcx_core.errors import FuncxError
from funcx_core.ids import GroupId, TaskId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.task import TaskEvent, TaskResult, TaskState
from funcx_core.sdk.futures import FuncXFuture, TaskListener


class _Follower:
    """A further future. It has heard up to `last`; the log comes again from there up to `known`, at least."""

    def __init__(self, future: FuncXFuture, last: int, known: int) -> None:
        self.future = future
        self.last = last
        self._known = known
        self._waits = known > last
        self._held: dict[int, TaskEvent] = {}

    def on_event(self, event: TaskEvent) -> None:
        listener = self.future.listener
        if listener is None or event.seq <= self.last:
            return
        if self._waits and event.seq > self._known and event.seq not in self._held:
            self._held[event.seq] = event
            return
        self._waits = False  # Here is the log: an entry from before, or one that was told already.
        self._release(listener, event.seq)
        self._tell(listener, event)

    def end(self, result: TaskResult) -> None:
        if self.future.listener is not None:
            self._release(self.future.listener, None)
        self.future.end(result)

    def _release(self, listener: TaskListener, before: int | None) -> None:
        for seq in sorted(self._held):
            if before is None or seq < before:
                event = self._held.pop(seq)
                if seq > self.last:
                    self._tell(listener, event)

    def _tell(self, listener: TaskListener, event: TaskEvent) -> None:
        self.last = event.seq
        listener.on_event(event)


class Followers:
    """By task, in the order in which they came."""

    def __init__(self) -> None:
        self._of: dict[TaskId, list[_Follower]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._of

    def task_ids(self) -> list[TaskId]:
        """Return the tasks that have some."""
        return list(self._of)

    def add(self, task_id: TaskId, future: FuncXFuture, *, after: int = 0, known: int = 0) -> None:
        """Let a future follow a task that is open.

        Args:
            task_id: the task.
            future: its listener wants events with a higher `seq` than `after`.
            after: 0 for all.
            known: up to which `seq` this client has heard events of the task.
        """
        self._of.setdefault(task_id, []).append(_Follower(future, after, known))

    def group_of(self, task_id: TaskId) -> GroupId:
        """Return the group of a task that has some."""
        group_id: GroupId = self._of[task_id][0].future.route.group_id
        return group_id

    def after(self, task_id: TaskId) -> int | None:
        """Return the `seq` after which events are still wanted; None if nobody listens."""
        return min((each.last for each in self._of.get(task_id, ()) if each.future.listener), default=None)

    def events(self, events: Iterable[TaskEvent]) -> None:
        """Tasks have printed, shown or reported something."""
        for event in events:
            for each in self._of.get(event.task_id, ()):
                each.on_event(event)

    def states(self, changes: Iterable[StateChange]) -> None:
        """Open tasks have changed state."""
        for change in changes:
            for each in self._of.get(change.task_id, ()):
                if change.state is TaskState.RUNNING:
                    each.future.started()
                if each.future.listener is not None:
                    each.future.listener.on_state(change.state)

    def results(self, results: Iterable[TaskResult]) -> None:
        """Tasks have ended."""
        for result in results:
            for each in self._of.pop(result.task_id, ()):
                each.end(result)

    def fail(self, task_id: TaskId, error: FuncxError) -> None:
        """Nothing will become of this task."""
        for each in self._of.pop(task_id, ()):
            each.future.fail(error)

    def fail_all(self, error: FuncxError) -> None:
        """Nothing will come any more."""
        for task_id in self.task_ids():
            self.fail(task_id, error)
