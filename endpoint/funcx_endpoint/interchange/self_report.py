"""What an agent says of itself: to the service, to people on its machine, and to who started it."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections import Counter
from typing import NamedTuple

from funcx_core import __version__
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.config import Config
from funcx_endpoint.folder import EndpointFolder, Status
from funcx_endpoint.interchange.floor import Floor
from funcx_endpoint.interchange.large_values import LargeValues
from funcx_endpoint.interchange.readiness import Readiness
from funcx_endpoint.interchange.state import Interchange
from funcx_endpoint.interchange.uplink import Uplink


class Parts(NamedTuple):
    """The parts of an agent that know how it is."""

    state: Interchange
    blocks: BlockRunner
    uplink: Uplink
    floor: Floor
    large: LargeValues


class SelfReport:
    """How an agent is, and who has heard of it.

    Attributes:
        disk_is_full: results cannot be written.
    """

    def __init__(self, folder: EndpointFolder, config: Config, parts: Parts, readiness: Readiness) -> None:
        self.disk_is_full = False
        self._folder = folder
        self._config = config
        self._parts = parts
        self._readiness = readiness
        self._told = ""

    def look(self) -> None:
        """Tell at once what changed."""
        state, detail = self._health()
        now = f"{state} {detail} {self._parts.uplink.is_open} {len(self._parts.state.managers)}"
        if now != self._told:
            self._told = now
            self.write()
            self._parts.uplink.heartbeat(self.status())
        if not self._readiness.is_final:
            self._tell_starter(state, detail)

    def status(self) -> EndpointStatus:
        """Return what the service is told."""
        interchange, blocks, uplink, floor, large = self._parts
        state, detail = self._health()
        managers = interchange.managers
        workers = sum(record.capacity for record in managers)
        busy = sum(min(record.leased, record.capacity) for record in managers)
        containers = self._containers()
        return EndpointStatus(
            workers=workers,
            idle_workers=workers - busy,
            managers=len(managers),
            pending_tasks=interchange.waiting,
            running_tasks=busy,
            blocks=blocks.state.count,
            state=state,
            detail=detail,
            hostname=socket.gethostname(),
            python_version=platform.python_version(),
            heartbeat_period=self._config.heartbeat_period,
            version=__version__,
            extra={
                "late_results": interchange.late_results,
                "malformed_messages": floor.malformed_messages + uplink.malformed_messages,
                "unacknowledged_results": interchange.unacknowledged,
                "uploading_results": large.uploading,
                **({"containers": containers} if containers else {}),
            },
        )

    def write(self) -> None:
        """Tell people on this machine."""
        interchange = self._parts.state
        state, detail = self._health()
        self._folder.write_status(
            Status(
                state=state,
                detail=detail,
                connected=self._parts.uplink.is_open,
                managers=len(interchange.managers),
                workers=interchange.workers,
                containers=self._containers(),
                blocks=self._parts.blocks.state.count,
                waiting_tasks=interchange.waiting,
                running_tasks=interchange.running,
                unacknowledged_results=interchange.unacknowledged,
                grace=self._config.grace,
                updated_at=time.time(),
            )
        )

    def _health(self) -> tuple[str, str]:
        interchange, blocks = self._parts.state, self._parts.blocks
        if interchange.is_draining:
            return "stopping", ""
        if self.disk_is_full:
            return "disk-full", f"Results cannot be written to {self._folder.results}; no new tasks are taken."
        if blocks.state.is_unhealthy:
            return "unhealthy", f"No worker can start. {blocks.reason}"
        if failing := blocks.state.failing_kinds:
            kind, reason = next(iter(failing.items()))
            more = f" (So do tasks in {len(failing) - 1} more.)" if len(failing) > 1 else ""
            return "degraded", f"Tasks in the container '{kind}' wait, because no block of it works: {reason}{more}"
        full = sum(record.is_full for record in interchange.managers)
        if full:
            return (
                "disk-full",
                f"{full} managers cannot write their journals in {self._folder.leases} and take no tasks.",
            )
        return "ok", "root: the endpoint runs as the superuser" if os.geteuid() == 0 else ""

    def _containers(self) -> dict[str, int]:
        """Return how many workers run in which container, by location; empty where there are none."""
        return dict(sum((Counter(record.containers) for record in self._parts.state.managers), Counter[str]()))

    def _tell_starter(self, state: str, detail: str) -> None:
        blocks = self._parts.blocks
        if state == "unhealthy":
            self._readiness.failed(detail, "config_error")
        elif not self._parts.uplink.was_open:
            self._readiness.progress("registering with the service")
        elif self._parts.state.managers:
            workers = self._parts.state.workers
            self._readiness.online(f"{workers} worker{'' if workers == 1 else 's'}")
        elif blocks.state.awaits_provider:
            self._readiness.progress("registered, waiting for the provider to take its first block")
        elif not blocks.is_local or not blocks.state.count:
            self._readiness.online("waiting for its first block")
        else:
            self._readiness.progress("registered, waiting for its workers")
