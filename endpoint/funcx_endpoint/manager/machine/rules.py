"""What the manager's machine is told once."""

from __future__ import annotations

import msgspec

from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.machine.room import Room


class Rules(msgspec.Struct, frozen=True):
    """The settings of one manager's machine.

    Attributes:
        workers: how many tasks run at a time.
        heartbeat_period: seconds between heartbeats to the interchange.
        heartbeat_threshold: seconds of silence after which to enrol again.
        walltime: seconds, for tasks that set none; None for no limit.
        hostname: of this node, for errors.
        nodes: of the block, where one manager gives tasks whole ones; empty where each runs on this node.
        launcher: what starts programs on several nodes, see `launchers`.
        room: how the node is divided among workers; None if every task has a worker's share.
        containers: how tasks run in containers; None if they do not.
        is_local: whether the agent's process is watched on this host, so that silence never means its end.
        container: id of the container in which the manager itself runs; empty for none.
        block_ends_at: when the manager's block ends, in monotonic seconds; None if that is not known.
        block_seconds: how long the block may run altogether, if it ends.
    """

    workers: int
    heartbeat_period: float
    heartbeat_threshold: float
    walltime: float | None = None
    hostname: str = ""
    containers: ContainerSettings | None = None
    is_local: bool = True
    container: str = ""
    block_ends_at: float | None = None
    block_seconds: float = 0.0
    nodes: tuple[str, ...] = ()
    launcher: str = ""
    room: Room | None = None
