"""How a forwarder is set up."""

from __future__ import annotations

import msgspec

from funcx_core.protocol.handoff import outcomes_topic


class ForwarderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one forwarder.

    Attributes:
        name: its topic is ``forwarder_topic(name)``.
        host: the address its three channels listen on.
        tasks_port: 0 for any free port, also for the two others.
        results_port: see `tasks_port`.
        commands_port: see `tasks_port`.
        heartbeat_period: seconds between heartbeats, both ways.
        heartbeat_threshold: seconds of silence after which an endpoint is offline.
        sweep_period: seconds between looks into the store for tasks that were not handed over.
        outcomes: the topics that results, events and changes are put to, one for each web service.
    """

    name: str = "main"
    host: str = "127.0.0.1"
    tasks_port: int = 0
    results_port: int = 0
    commands_port: int = 0
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0
    sweep_period: float = 5.0
    outcomes: tuple[str, ...] = (outcomes_topic(),)
