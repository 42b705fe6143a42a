"""Between the forwarder and an endpoint's agent: three channels, all opened by the endpoint.

============  ==============================================  ===========================================
channel       endpoint → forwarder                            forwarder → endpoint
============  ==============================================  ===========================================
``tasks``     Attach                                          TaskBatch
``results``   Attach, Results, Events, Transitions, GiveBack  ResultsAck
``commands``  Register, EndpointHeartbeat, Window, Goodbye,   Registered, Refused, Cancel, Heartbeat
              Environments
============  ==============================================  ===========================================

A session begins with `Register` on the commands channel, answered by `Registered` (or `Refused`). Then the endpoint
sends `Attach` with the same epoch on the two others, and the forwarder may send tasks. Everything of an older epoch is
dropped: of two agents of one endpoint, the one that registered last is in charge, and the other hears `Refused` with
``superseded``.

An agent registers again, with the same epoch, when any of its three connections was renewed (`Dealer` tells), when the
forwarder was silent for too long, and when it hears `Refused` with ``register``. Whatever was on its way is then settled by
`Register.held` and `Register.lost`: every other lease that the forwarder remembers counts as never started and is leased again.
So a batch that was sent before and arrives after `Register` must not be taken: each registration gets a `session` number; the
agent echoes it in `Attach` and drops every `TaskBatch` of another session.

Function bodies travel once per session: `TaskBatch.functions` holds those that this session has not seen. Both sides
forget in the same order (`FunctionCache`), so the sender always knows what the receiver still has.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.codec import Decoder
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import Function, Lease, Task, TaskEvent, TaskResult, Transition

PROTOCOL_VERSION: Final = 1
"""Counts incompatible changes of the messages below. Peers of another version are refused, alone."""


class TaskBatch(msgspec.Struct, frozen=True, tag="tasks"):
    """Leases. The receiver holds them from now on, until it sends a result or gives them back."""

    tasks: list[Task]
    functions: list[Function] = []
    session: int = 0


class Results(msgspec.Struct, frozen=True, tag="results"):
    """Ended attempts. The sender keeps them until it hears a `ResultsAck`, and sends them again after a reconnect."""

    results: list[TaskResult]


class ResultsAck(msgspec.Struct, frozen=True, tag="ack"):
    """These results are committed (or were dropped as late): forget them.

    It also names leases given back as lost, once what follows from that is committed; until then they belong in the
    `lost` of a `Register`.
    """

    leases: list[Lease]


class Events(msgspec.Struct, frozen=True, tag="events"):
    """Entries for the event logs of open tasks."""

    events: list[TaskEvent]


class Transitions(msgspec.Struct, frozen=True, tag="transitions"):
    """Open tasks that stay in a state for longer than a moment."""

    transitions: list[Transition]


class GiveBack(msgspec.Struct, frozen=True, tag="give_back"):
    """Leases returned by their holder.

    Attributes:
        unstarted: never began: may be sent again freely.
        lost: began, and were lost with their worker, manager or agent: the forwarder applies `retry_on_loss`.
        reason: code of the error class for the lost ones (``worker_lost``, ``manager_lost``, ``endpoint_lost``).
        missing_functions: unstarted because the receiver has no body for their function; the sender forgets that
            it ever sent one.
        details: plain facts about what was lost (``signal``, ``exitcode``, ``oom``, ``hostname``), for the error.
    """

    unstarted: list[Lease] = []
    lost: list[Lease] = []
    reason: str = "endpoint_lost"
    missing_functions: bool = False
    details: dict[str, Any] = {}


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop these tasks: drop them if they have not started, else by signals of rising level.

    `force` starts at SIGKILL. Sending it twice is harmless. The answer is a result, usually of state ``cancelled``.
    """

    task_ids: list[TaskId]
    force: bool = False


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """I am alive."""


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's own report of itself, shown to people and used by pickers. Counts are of now.

    The next one follows within `heartbeat_period` seconds, or the endpoint is not well.
    """

    workers: int = 0
    idle_workers: int = 0
    managers: int = 0
    pending_tasks: int = 0
    running_tasks: int = 0
    blocks: int = 0
    state: str = "ok"
    detail: str = ""
    hostname: str = ""
    python_version: str = ""
    version: str = ""
    heartbeat_period: float = 0.0
    extra: dict[str, Any] = {}


class Register(msgspec.Struct, frozen=True, kw_only=True, tag="register"):
    """Opens a session.

    Attributes:
        endpoint_id: checked against the CURVE key of the connection.
        epoch: rises with every start of an agent of this endpoint (Unix nanoseconds of its start).
        window: how many leases the endpoint holds at most at a time.
        held: leases that the endpoint holds and will report on: running, waiting, or ended with a result that is not
            acknowledged yet.
        lost: leases that had started when an earlier agent died and of which no result exists, and those given back as
            lost without an acknowledgement.
        heartbeat_period: seconds between this endpoint's heartbeats.
    """

    endpoint_id: EndpointId
    epoch: int
    window: int
    heartbeat_period: float
    held: list[Lease] = []
    lost: list[Lease] = []
    status: EndpointStatus = EndpointStatus()
    protocol_version: int = PROTOCOL_VERSION


class Registered(msgspec.Struct, frozen=True, tag="registered"):
    """The session is open. `release`: held leases that the service no longer wants (ended or cancelled meanwhile)."""

    epoch: int
    heartbeat_period: float
    heartbeat_threshold: float
    release: list[Lease] = []
    session: int = 0


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The session is not opened, or ends now. `code`: ``superseded``, ``unknown_endpoint``, ``version_mismatch``, ``deleted``, ``register`` (unknown session: register again)."""

    code: str
    message: str


class Attach(msgspec.Struct, frozen=True, tag="attach"):
    """Binds this channel to the session of that epoch. `session`: the number that `Registered` gave."""

    epoch: int
    session: int = 0


class EndpointHeartbeat(msgspec.Struct, frozen=True, tag="endpoint_heartbeat"):
    """I am alive, and this is how I am."""

    epoch: int
    status: EndpointStatus


class Window(msgspec.Struct, frozen=True, tag="window"):
    """The endpoint now holds at most `window` leases; 0 stops the flow (disk full, draining)."""

    epoch: int
    window: int


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The endpoint stops on purpose; everything it held was given back before."""

    epoch: int


class Environments(msgspec.Struct, frozen=True, tag="environments"):
    """The kinds of nodes of this endpoint; said when it becomes known, and once in each session."""

    epoch: int
    environments: list[Environment]


ToTasks = Attach
FromTasks = TaskBatch
ToResults = Attach | Results | Events | Transitions | GiveBack
FromResults = ResultsAck
ToCommands = Register | EndpointHeartbeat | Window | Goodbye | Environments
FromCommands = Registered | Refused | Cancel | Heartbeat

# What the forwarder reads …
tasks_from_endpoint: Final[Decoder[ToTasks]] = Decoder(ToTasks)
results_from_endpoint: Final[Decoder[ToResults]] = Decoder(ToResults)
commands_from_endpoint: Final[Decoder[ToCommands]] = Decoder(ToCommands)
# … and what the endpoint reads.
tasks_from_forwarder: Final[Decoder[FromTasks]] = Decoder(FromTasks)
results_from_forwarder: Final[Decoder[FromResults]] = Decoder(FromResults)
commands_from_forwarder: Final[Decoder[FromCommands]] = Decoder(FromCommands)


class EndpointRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """The service's answer to ``POST /v2/endpoints``: where the forwarder listens, and its key.

    Field names are those that published endpoints read.
    """

    endpoint_id: EndpointId
    forwarder_pubkey: str
    public_ip: str
    tasks_port: int
    results_port: int
    commands_port: int
