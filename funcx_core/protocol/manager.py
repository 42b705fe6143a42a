"""Between an endpoint's interchange and its managers (one per node): one channel, opened by the manager."""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.ids import BlockId, ManagerId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.endpoint import Cancel, Events, GiveBack, Heartbeat, Results, TaskBatch, Transitions


class ManagerRegister(msgspec.Struct, frozen=True, kw_only=True, tag="manager_register"):
    """A manager is ready for leases.

    Attributes:
        capacity: workers, that is tasks it runs at a time.
        epoch: Unix nanoseconds of the manager's start; a message of another epoch is dropped.
    """

    manager_id: ManagerId
    block_id: BlockId
    epoch: int
    capacity: int
    hostname: str
    pid: int
    python_version: str
    version: str
    cores: int
    memory_bytes: int


class ManagerRegistered(msgspec.Struct, frozen=True, tag="manager_registered"):
    """The manager may receive leases now."""

    heartbeat_period: float
    heartbeat_threshold: float


class ManagerRefused(msgspec.Struct, frozen=True, tag="manager_refused"):
    """The interchange does not know (or gave up) this manager: stop its workers and end. Its late results were kept if they still counted."""

    code: str
    message: str


class ManagerHeartbeat(msgspec.Struct, frozen=True, tag="manager_heartbeat"):
    """I am alive. `idle`: workers with nothing to do."""

    idle: int
    running: int


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Take nothing new, give back what has not started, finish what runs within `grace` seconds, then end."""

    grace: float


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing is left here; the manager ends now."""


FromManager = ManagerRegister | ManagerHeartbeat | Results | Events | Transitions | GiveBack | Drained
ToManager = ManagerRegistered | ManagerRefused | TaskBatch | Cancel | Heartbeat | Drain

from_manager: Final[Decoder[FromManager]] = Decoder(FromManager)
to_manager: Final[Decoder[ToManager]] = Decoder(ToManager)
