"""What every manager of an endpoint is told, by way of a file that its block can read."""

from __future__ import annotations

import os
import socket

from funcx_core.ids import EndpointId
from funcx_core.logs import Level
from funcx_endpoint.config import Config
from funcx_endpoint.executors.routing import said_cores, said_memory
from funcx_endpoint.folder import EndpointFolder
from funcx_endpoint.interchange.floor import Floor
from funcx_endpoint.manager.settings import ManagerSettings


def manager_settings(
    folder: EndpointFolder,
    config: Config,
    *,
    endpoint_id: EndpointId,
    floor: Floor,
    block_seconds: float | None,
    level: Level,
) -> ManagerSettings:
    """Return the settings of the managers that connect to `floor`, which is open.

    Args:
        folder: the endpoint's.
        config: the endpoint's.
        endpoint_id: its id.
        floor: where managers connect to.
        block_seconds: how long a block lasts by its provider; None for no limit.
        level: how much the agent logs; managers log no less.
    """
    executor = config.executor
    of_workers = Level.DEBUG if executor.worker_debug else Level.INFO
    return ManagerSettings(
        addresses=[floor.address],
        server_key=floor.keys.public,
        keys=floor.manager_keys,
        endpoint_id=endpoint_id,
        endpoint_dir=str(folder.path),
        log_dir=config.log_dir or str(folder.logs),
        agent_host=socket.gethostname(),
        agent_pid=os.getpid(),
        workers=executor.workers_per_node(),
        cores=said_cores(executor.provider),
        memory=said_memory(executor.provider),
        heartbeat_period=executor.heartbeat_period,
        heartbeat_threshold=executor.heartbeat_threshold,
        max_result=executor.max_result,
        max_large_result=executor.max_large_result,
        max_kept=executor.max_kept,
        kept_lifetime=executor.kept_lifetime,
        max_output=executor.max_output,
        keep_children=executor.keep_children,
        walltime=executor.walltime,
        block_seconds=block_seconds,
        **executor.worker_limits(),
        **executor.placement(),
        containers=executor.containers(),
        worker_log_root=executor.worker_logdir_root or "",
        working_dir=executor.working_dir or config.working_dir or str(folder.tasks),
        log_level=min(level, of_workers, key=lambda one: one.number),
    )
