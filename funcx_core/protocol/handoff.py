"""Between web services and forwarders, through a `FuncxQueue`. The store is the truth; these are the fast path.

Topic ``endpoint:<endpoint_id>`` is read by the forwarder that holds the endpoint's session; topic ``outcomes:<service>``
is read by one web service, and a forwarder puts to all of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.ids import EndpointId, GroupId, TaskId, UserId
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.task import Function, Task, TaskEvent, TaskResult


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """A committed task, ready to be leased, with what is needed to report on it."""

    task: Task
    owner_id: UserId
    group_id: GroupId


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


ToForwarder = Submitted | More | CancelRequested


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
