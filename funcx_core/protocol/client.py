"""Between a client and the web service on the stream (a WebSocket at ``/v2/stream``): binary msgpack both ways.

The stream carries submits, their acknowledgements, results and events. Everything in it can be replayed: ids are made by
the client, a `Submit` that arrives twice creates its tasks once, and after a reconnect the client sends `Watch` with the
tasks it still waits for.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.ids import EndpointId, GroupId, TaskId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.maps import SubmitMap
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    Call,
    Function,
    TaskEvent,
    TaskOptions,
    TaskResult,
    TaskState,
)


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """What a service asks its HTTP clients to keep to, beside what it enforces.

    Attributes:
        requests: at most so many requests,
        seconds: in any so many seconds,
        bytes: of at most so many bytes each.
    """

    requests: int = 5
    seconds: float = 5.0
    bytes: int = 2 * 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the service accepts, so that clients can check before they send. Sizes in bytes.

    Arguments over `max_payload` and results over `max_result` travel as blobs, see `funcx_core.protocol.blob`.

    Attributes:
        max_payload: of one task's function arguments.
        max_result: of one task's result.
        max_function: of a function's body.
        max_frame: of one message on the stream.
        max_batch: tasks in one request.
        max_open_tasks: tasks of one user that have not ended.
        throttle: what well-behaved clients keep to by themselves; None, which is usual on a service of one's own, for no such wish.
        max_blob: of one large value; 0 if the service keeps none.
        max_blob_bytes: of all large values of a user together.
        blob_chunk: in which a large value is uploaded at a time.
    """

    max_payload: int = 10 * 1024 * 1024
    max_result: int = 10 * 1024 * 1024
    max_function: int = 10 * 1024 * 1024
    max_frame: int = 16 * 1024 * 1024
    max_batch: int = 10_000
    max_open_tasks: int = 200_000
    throttle: Throttle | None = None
    max_blob: int = 10 * 1024**3
    max_blob_bytes: int = 100 * 1024**3
    blob_chunk: int = 8 * 1024 * 1024


class ServiceLimits(Limits, frozen=True, kw_only=True):
    """What clients are told when they ask.

    Attributes:
        result_days: days after their end for which tasks are kept, with their results; 0 for ever.
    """

    result_days: float = 0.0


class RegisterFunction(msgspec.Struct, frozen=True, tag="register_function"):
    """Make `function` known under the id that the client chose. Answered by `Accepted`."""

    request: int
    function: Function


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Run these calls on one endpoint. Answered by one `Accepted`, after the commit.

    Results and events of a group go to every stream that submitted to or watches it.
    """

    request: int
    endpoint_id: EndpointId
    group_id: GroupId
    calls: list[Call]
    options: TaskOptions = DEFAULT_OPTIONS


class CancelTasks(msgspec.Struct, frozen=True, tag="cancel"):
    """Cancel these tasks. Their results follow, usually ``cancelled``. Idempotent. `force` starts at SIGKILL."""

    task_ids: list[TaskId]
    force: bool = False


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Send the results of these tasks, at once for those that ended, and follow `group_id` from now on.

    `events_after`: for the tasks named in it, also send the logged events with a higher `seq`.
    `request`: if it is not 0, `Accepted` with this number follows what there was to send.
    """

    group_id: GroupId
    task_ids: list[TaskId]
    events_after: dict[TaskId, int] = {}
    request: int = 0


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """First message of a stream."""

    limits: Limits
    version: str


class Rejection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One call that was not accepted, with the code, text and fields of its error."""

    task_id: TaskId
    code: str
    message: str
    fields: dict[str, Any] = {}


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The answer to a request: everything in it is committed, except what is named in `rejected`."""

    request: int
    rejected: list[Rejection] = []


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A whole request was not accepted. `retry_after` seconds from now it may be."""

    request: int
    code: str
    message: str
    retry_after: float | None = None
    fields: dict[str, Any] = {}


class TaskResults(msgspec.Struct, frozen=True, tag="results"):
    """Tasks that ended."""

    results: list[TaskResult]


class TaskEvents(msgspec.Struct, frozen=True, tag="events"):
    """New entries of event logs."""

    events: list[TaskEvent]


class StateChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An open task reached a state."""

    task_id: TaskId
    state: TaskState


class TaskStates(msgspec.Struct, frozen=True, tag="states"):
    """Open tasks that changed state."""

    changes: list[StateChange]


class Poll(msgspec.Struct, frozen=True, tag="poll"):
    """The client reads too slowly: results were left out. Send `Watch` with what is still open."""


FromClient = RegisterFunction | Submit | SubmitMap | CancelTasks | Watch
ToClient = Welcome | Accepted | Refused | TaskResults | TaskEvents | TaskStates | Poll

from_client: Final[Decoder[FromClient]] = Decoder(FromClient)
to_client: Final[Decoder[ToClient]] = Decoder(ToClient)
