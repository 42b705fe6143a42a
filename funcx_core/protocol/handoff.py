"""Between web services and forwarders, through a `FuncxQueue`. The store is the truth; these are the fast path.

There is one topic for each forwarder and one for each web service, never one for each endpoint:

- ``forwarder_topic(name)`` is read by one forwarder. An endpoint belongs to the forwarder whose addresses it was given
  when it registered over HTTP, online or not, so a web service always knows where to put `Submitted`, `More`,
  `CancelRequested` and `EndpointClosed`. The embedded fabric has one forwarder, called ``main``.
- ``outcomes_topic(name)`` is read by one web service; a forwarder puts everything to the topics of all of them.

When a topic is full, `put` returns False and the messages are dropped. A web service then puts `More` for the endpoints
concerned as soon as it can; nothing is lost if it never does, because the forwarder also sweeps the store.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from funcx_core.ids import EndpointId, GroupId, TaskId, UserId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.task import Function, Task, TaskEvent, TaskResult


def forwarder_topic(forwarder: str = "main") -> str:
    """Return the topic of `ToForwarder` messages that this forwarder reads."""
    return f"forwarder:{forwarder}"


def outcomes_topic(service: str = "main") -> str:
    """Return the topic of `FromForwarder` messages that this web service reads."""
    return f"outcomes:{service}"


@lru_cache(maxsize=4096)
def owner_tag(endpoint_id: EndpointId, owner_id: UserId) -> str:
    """Return what an endpoint is told of who submitted: the same for all tasks of a user there, another one elsewhere."""
    return blake2b(f"{endpoint_id} {owner_id}".encode(), digest_size=6).hexdigest()


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A committed task, ready to be leased, with what is needed to report on it.

    `cancelling`: its row is in that state, so it must be ended instead of leased.
    """

    task: Task
    owner_id: UserId
    group_id: GroupId
    cancelling: bool = False


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """Committed tasks for one endpoint, in order. `functions` has every body that `offers` refer to."""

    endpoint_id: EndpointId
    offers: list[Offer]
    functions: list[Function]


class More(msgspec.Struct, frozen=True, tag="more"):
    """The store has open tasks for this endpoint that were not handed over: read them from there."""

    endpoint_id: EndpointId


class CancelRequested(msgspec.Struct, frozen=True, tag="cancel"):
    """The owner asked to cancel these tasks of one endpoint. The forwarder decides and ends or forwards."""

    endpoint_id: EndpointId
    task_ids: list[TaskId]
    force: bool = False


class ExpireRequested(msgspec.Struct, frozen=True, tag="expire"):
    """These tasks of one endpoint have waited too long. The forwarder ends those that no endpoint has."""

    endpoint_id: EndpointId
    task_ids: list[TaskId]


class EndpointClosed(msgspec.Struct, frozen=True, tag="closed"):
    """The session of this endpoint must end: its owner deleted or locked it. Its agent hears `code` and `text`, and stops."""

    endpoint_id: EndpointId
    code: str
    text: str


ToForwarder = Submitted | More | CancelRequested | ExpireRequested | EndpointClosed


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Results of one group, all of one owner."""

    owner_id: UserId
    group_id: GroupId
    results: list[TaskResult]


class Logged(msgspec.Struct, frozen=True, tag="logged"):
    """Events of tasks of one group."""

    owner_id: UserId
    group_id: GroupId
    events: list[TaskEvent]


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Open tasks of one group that changed state."""

    owner_id: UserId
    group_id: GroupId
    changes: list[StateChange]


class EndpointChanged(msgspec.Struct, frozen=True, tag="endpoint"):
    """An endpoint went online or offline."""

    endpoint_id: EndpointId
    online: bool


FromForwarder = Ended | Logged | Changed | EndpointChanged

to_forwarder: Final[Decoder[ToForwarder]] = Decoder(ToForwarder)
from_forwarder: Final[Decoder[FromForwarder]] = Decoder(FromForwarder)
