"""Between an endpoint's interchange and its managers (one per node): one channel, opened by the manager.

A session begins with `ManagerRegister`, answered by `ManagerRegistered` or `ManagerRefused`. The manager numbers its sessions
and registers again, under the next number, when its connection was renewed, when the interchange was silent for too long, and
when it hears `ManagerRefused` with ``register``. Whatever was on its way is then settled by `ManagerRegister.held`: a lease that
the interchange gave to the manager and that is not in it never arrived there, or was given back unstarted. A `TaskBatch`
of another session may have been given to somebody else and is dropped.

What the manager reports of leases, `Results` and `GiveBack.lost`, it keeps until a `ReportsAck` and sends again, in the same
order, in every new session; the receiver drops what it has.
"""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.ids import BlockId, ManagerId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.endpoint import (
    PROTOCOL_VERSION,
    Cancel,
    Events,
    GiveBack,
    Heartbeat,
    Results,
    TaskBatch,
    Transitions,
)
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import Lease

DISK_FULL: Final = "disk-full"
"""A manager's journal cannot be written; it says so when it can again."""
DRAINING: Final = "draining"
"""A manager takes nothing any more: its block is about to end."""


class ManagerRegister(msgspec.Struct, frozen=True, kw_only=True, tag="manager_register"):
    """A manager is ready for leases.

    Attributes:
        capacity: workers, that is tasks it runs at a time.
        epoch: Unix nanoseconds of the manager's start; a message of another epoch is dropped.
        session: rises with each registration of this manager; echoed in what belongs to the session.
        held: leases that wait or run here, and those whose report is not acknowledged.
        cores: processors that its tasks may use, all together.
        memory_bytes: memory that its tasks may use, all together.
        accelerators: GPUs and their kin that its tasks may use, all together.
        seconds_left: how long its block may still run by the rules of its batch system; None if that is not limited.
        nodes: how many it has to give, each to one task at a time; 1 for its own, on which all its tasks run.
        container: id of the only container whose tasks it runs, because it runs in that itself; empty: only tasks without one;
            None for any.
        container_kinds: kinds of containers that it can start, such as ``podman``; None if it was not asked.
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
    session: int = 0
    held: list[Lease] = []
    accelerators: int = 0
    seconds_left: float | None = None
    container: str | None = None
    container_kinds: list[str] | None = None
    nodes: int = 1
    protocol_version: int = PROTOCOL_VERSION


class ManagerRegistered(msgspec.Struct, frozen=True, tag="manager_registered"):
    """The manager may receive leases now."""

    heartbeat_period: float
    heartbeat_threshold: float
    session: int = 0


class ReportsAck(msgspec.Struct, frozen=True, tag="reports_ack"):
    """The first `count` leases reported in this session, as results or as lost, are safe: forget them."""

    session: int
    count: int


class ManagerRefused(msgspec.Struct, frozen=True, tag="manager_refused"):
    """The interchange gave this manager up: stop its workers and end. Its late results were kept if they still counted.

    With the code ``register`` it only does not know the connection: register again. With ``version_mismatch`` it never had it.
    """

    code: str
    message: str


class ManagerHeartbeat(msgspec.Struct, frozen=True, tag="manager_heartbeat"):
    """I am alive. `idle`: workers with nothing to do. `state`: why no leases can be taken, `DISK_FULL` or `DRAINING`.

    `load` is the node's load average over one minute, `memory_free` how many bytes a new process could have there.
    `containers`: how many workers run in which, by location, empty for none; nothing where there are no containers.
    """

    idle: int
    running: int
    state: str = ""
    load: float = 0.0
    memory_free: int = 0
    containers: dict[str, int] = {}


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Take nothing new, give back what has not started, finish what runs within `grace` seconds, then end."""

    grace: float


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing is left here; the manager ends now."""


class ManagerEnvironment(msgspec.Struct, frozen=True, tag="manager_environment"):
    """What there is on this node, said once in each session."""

    environment: Environment


FromManager = (
    ManagerRegister | ManagerHeartbeat | Results | Events | Transitions | GiveBack | Drained | ManagerEnvironment
)
ToManager = ManagerRegistered | ManagerRefused | ReportsAck | TaskBatch | Cancel | Heartbeat | Drain

from_manager: Final[Decoder[FromManager]] = Decoder(FromManager)
to_manager: Final[Decoder[ToManager]] = Decoder(ToManager)
