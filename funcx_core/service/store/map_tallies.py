"""What became of each call of a range that has ended, as one byte per call. Pure."""

from __future__ import annotations

from typing import Final

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.payload import OUTCOMES
from funcx_core.protocol.ranges import CallState, Outcomes
from funcx_core.protocol.task import TaskResult, TaskState

LOST: Final = frozenset({"worker_lost", "manager_lost", "endpoint_lost", "task_poisoned"})
STOPPED: Final = frozenset({"task_cancelled", "task_timeout", "task_expired"})
_CULPRIT: Final = frozenset({"worker_lost", "task_poisoned"})


def tally_of(result: TaskResult, size: int) -> tuple[int, int, int, bytes | None]:
    """Return how many calls of an ended range succeeded, failed, were not run, and their states unless all succeeded."""
    states = states_of(result, size)
    if states is None:
        return size, 0, 0, None
    succeeded, failed = states.count(CallState.SUCCEEDED), states.count(CallState.FAILED)
    return succeeded, failed, size - succeeded - failed, states


def states_of(result: TaskResult, size: int) -> bytes | None:
    """Return a `CallState` for each call of a range that ended with this result; None if all succeeded."""
    if result.value.startswith(OUTCOMES):
        try:
            head = Outcomes(result.value).head
        except RemoteProtocolError:
            return _all(CallState.NOT_RUN, size)  # An endpoint that says nonsense has not done its work.
        if head.count != size:
            return _all(CallState.NOT_RUN, size)
        return None if head.succeeded == size else head.states()
    code = result.error.code if result.error is not None else ""
    if result.state is not TaskState.FAILED or code in STOPPED:
        return _all(CallState.NOT_RUN, size)
    if code in LOST and not (size == 1 and code in _CULPRIT):
        return _all(CallState.NOT_RUN, size)
    return _all(CallState.FAILED, size)  # None of them could begin; or the only one took its worker with it.


def _all(state: CallState, size: int) -> bytes:
    return bytes((state,)) * size
