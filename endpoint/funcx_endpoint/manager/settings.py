"""What the interchange tells a manager at its start, in a private file: ``python -m funcx_endpoint.manager --settings FILE --block-id ID``."""

from __future__ import annotations

from pathlib import Path

import msgspec

from funcx_core.home import read_private, write_private
from funcx_core.logs import Level
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint.manager.containers.kinds import ContainerSettings


class ManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Written once per agent start, read by every manager of every block.

    Attributes:
        addresses: where the interchange may be reached (``tcp://host:port``), tried in order.
        server_key: CURVE public key of the interchange.
        keys: the key pair that managers of this agent use.
        endpoint_id: the endpoint.
        endpoint_dir: the endpoint's folder; managers keep lease journals in ``leases/<manager id>/`` below it.
        log_dir: folder for manager and worker logs.
        worker_log_root: folder for what workers write, a folder for each manager; empty for ``workers`` in `log_dir`.
        agent_host: host name of the agent: a manager on the same host ends as soon as the process `agent_pid` does.
        agent_pid: process id of the agent.
        workers: tasks run at a time per manager.
        heartbeat_period: seconds between heartbeats.
        heartbeat_threshold: seconds of silence after which the interchange is taken for lost.
        max_result: bytes; a larger result goes by way of a file, see `funcx_endpoint.large`.
        max_large_result: bytes; a larger one becomes `ResultTooLarge`.
        max_kept: bytes of all values that stay on the endpoint, see `funcx_endpoint.kept`; 0 for none.
        kept_lifetime: seconds after its last use until such a value goes.
        max_output: bytes of stdout and stderr kept per task.
        cores: processors of a node that tasks may use; None for those that its manager may use.
        memory: bytes of memory of a node that tasks may use; None for all.
        keep_children: whether processes that a task left behind may live on.
        walltime: default walltime in seconds of tasks that set none; None for no limit.
        block_seconds: how long a block may run by the rules of its batch system; None if that is not limited.
        memory_limit: bytes that a worker may use, with the processes that its task starts; None for no limit.
        process_limit: how many processes a task may have at a time; None for no limit.
        load_timeout: seconds that a function may take to load on a worker.
        max_tasks: tasks after which a worker is replaced; None for never.
        max_growth: bytes of memory by which a worker may grow before it is replaced; None for any.
        containers: how tasks run in containers; None if they do not.
        accelerators: how many the node has, or their names; each worker sees one. 0 for none.
        cpu_affinity: how workers are bound to processors, see `placement`.
        run_in_sandbox: whether each task runs in a folder of its own, named by its id.
        launcher: what starts programs on several nodes, see `launchers`; empty for a manager on each node, that needs none.
        nodes: of the block, where there is a launcher; the manager finds out itself.
        working_dir: where tasks run; a folder per worker is made in it.
        log_level: how much is logged.
    """

    addresses: list[str]
    server_key: str
    keys: KeyPair
    endpoint_id: str
    endpoint_dir: str
    log_dir: str
    agent_host: str
    agent_pid: int
    workers: int
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0
    max_result: int = 10 * 1024 * 1024
    max_large_result: int = 0
    max_kept: int = 0
    kept_lifetime: float = 86400.0
    max_output: int = 3 * 1024 * 1024
    cores: int | None = None
    memory: int | None = None
    keep_children: bool = False
    walltime: float | None = None
    block_seconds: float | None = None
    memory_limit: int | None = None
    process_limit: int | None = 512
    load_timeout: float = 300.0
    max_tasks: int | None = None
    max_growth: int | None = None
    containers: ContainerSettings | None = None
    worker_log_root: str = ""
    accelerators: int | list[str] = 0
    cpu_affinity: str = "none"
    run_in_sandbox: bool = False
    launcher: str = ""
    nodes: list[str] = []
    working_dir: str = ""
    log_level: Level = Level.INFO

    def save(self, path: Path) -> None:
        """Write to `path` with mode 0600."""
        write_private(path, msgspec.json.encode(self))

    @classmethod
    def load(cls, path: Path) -> ManagerSettings:
        """Read what `save` wrote."""
        return msgspec.json.decode(read_private(path), type=cls)
