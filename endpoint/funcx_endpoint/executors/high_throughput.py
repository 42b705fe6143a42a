"""The one way in which tasks run: blocks from a provider, a manager per node, workers. Setting of an endpoint, or executor by itself."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

from funcx_core.errors import ConfigError
from funcx_endpoint.executors.alone.executor import StandaloneExecutor
from funcx_endpoint.executors.containers import container_settings
from funcx_endpoint.executors.mpi import check_mpi
from funcx_endpoint.executors.old_settings import OLD_SETTINGS
from funcx_endpoint.executors.routing import check_routing
from funcx_endpoint.manager.containers.kinds import ContainerSettings
from funcx_endpoint.manager.node.placement import check_affinity
from funcx_endpoint.ports import check_ports, check_range
from funcx_endpoint.settings import checked, positive, without_old
from funcx_endpoint.strategies.base import BaseStrategy

LAUNCH_COMMAND = "{python} -m funcx_endpoint.manager --settings {settings} --block-id {block_id}"


@checked
@dataclasses.dataclass(kw_only=True, frozen=True)
class HighThroughputExecutor(StandaloneExecutor):
    """Many short tasks on the nodes of blocks.

    In an endpoint's `Config` it is a setting. By itself it is a `concurrent.futures.Executor`, see `StandaloneExecutor`.

    Attributes:
        provider: a Parsl provider; None for a `LocalProvider` with one block.
        label: shown in logs.
        max_workers_per_node: tasks run at a time on a node, at most.
        cores_per_worker: processors for each worker; below 1.0 workers share.
        available_accelerators: how many accelerators (GPUs) each node has, or a list of their names, such as ``["0", "1"]``;
            each worker sees one of them, and there are no more workers than accelerators.
        cpu_affinity: how workers are bound to the processors of their node: ``none``, ``block`` (neighbours), ``block-reverse``
            (from the last one), ``alternating``, or ``list:0,1:2,3`` with the processors of each worker.
        container_type: which containers tasks may run in: ``docker``, ``podman``, ``singularity``, ``apptainer``, ``shifter`` or
            ``charliecloud``; None for none.
        container_image: what tasks run in that name no container: a path or name, as the runtime takes it.
        container_cmd_options: text for the runtime's command line, such as ``--volume /scratch:/scratch``. It is split as a shell
            would, and not run by one.
        worker_mode: ``no_container``; ``singularity_reuse``, where a worker stays in its container, whatever the type; or
            ``singularity_single_use`` with a container for each task. None to reuse them if there is a `container_type`.
        worker_max_idletime: seconds after which a worker without tasks leaves a container that tasks asked for.
        mem_per_worker: GB of memory for each worker; a task that uses more, with the processes that it starts, is stopped as
            `WorkerLost`. None for no limit.
        max_processes_per_worker: processes that a task may have at a time; `math.inf` for any number.
        max_tasks_per_worker: tasks after which a worker is replaced by a new process; None for never.
        max_worker_growth: GB of memory by which a worker may grow before it is replaced between two tasks; None for any.
        load_timeout: seconds that a function may take to load, its imports included, on a worker.
        heartbeat_period: seconds between heartbeats of the interchange and its managers.
        heartbeat_threshold: seconds of silence after which a manager is given up.
        address: IP address or host name at which managers reach this machine; None for the loopback with a local provider,
            else this machine's own address.
        worker_ports: ports of this machine of which managers connect to the first that is free; they count more than
            `worker_port_range`.
        worker_port_range: the first of such ports, and the one behind the last, where a firewall lets only those through;
            None for any port.
        interchange_port_range: as `worker_port_range`, for the three ports on which an executor that stands alone listens for its
            agent. An endpoint's agent listens for nobody.
        launch_cmd: how a manager is started, with the fields {python}, {settings} and {block_id}; None for the ordinary way.
        scaling_enabled: whether blocks are asked for and given up as the load changes.
        max_idletime: seconds after which an idle block above `min_blocks` is given up.
        strategy: when blocks are asked for and given up, see `funcx_endpoint.strategies`; None for as the load changes.
        start_timeout: seconds from the start of a block to its first manager, after which the block counts as failed.
        working_dir: where tasks run; None for the endpoint's setting.
        run_in_sandbox: whether each task runs in a folder of its own there, named by its id; empty ones are removed.
        walltime: seconds after which a task that sets none is stopped; None for never.
        max_result: bytes that a result may have to travel with its task.
        max_large_result: bytes that one may have to go by way of the service's store for large values; 0 for none that do.
        max_kept: bytes of all values together that cells leave on the endpoint; 0 to keep none.
        kept_lifetime: seconds after its last use until such a value goes.
        max_kept_inputs: bytes of inputs of notebook cells that are kept for the next cell that has the same; the oldest go first.
        max_output: bytes of what a task prints that are kept.
        keep_children: whether processes that a task leaves behind live on.
        worker_debug: log more, also how long each task took.
        worker_logdir_root: folder for what workers write, on their nodes; None for ``workers`` in the endpoint's `log_dir`.
        enable_mpi_mode: whether one manager runs the tasks of a block and gives each whole nodes of it, as many as its `resources` ask for.
        mpi_launcher: what starts programs on several nodes, in MPI mode: ``mpiexec`` (of MPICH and its kin), ``srun``, ``aprun``, or
            ``openmpi`` (its ``mpirun``).
        max_workers_per_block: tasks run at a time in a block, at most, in MPI mode.
        scheduler_mode: with ``hard``, a node runs tasks of one container at a time; with ``soft``, of any.
        prefetch_capacity: tasks that a node may have beyond those that its workers run; None for as many as keep workers busy:
            none of long functions, many of short ones.
        passthrough: what `submit` takes: True for packed buffers, whose futures give packed results; False for functions and
            values; None for either. An endpoint makes no use of it.
    """

    provider: Any = None
    label: str = "HighThroughputExecutor"
    max_workers_per_node: float = math.inf
    cores_per_worker: float = 1.0
    available_accelerators: int | Sequence[str] = 0
    cpu_affinity: str = "none"
    container_type: str | None = None
    container_image: str | None = None
    container_cmd_options: str | None = None
    worker_mode: str | None = None
    worker_max_idletime: float = 60.0
    mem_per_worker: float | None = None
    max_processes_per_worker: float = 512
    max_tasks_per_worker: int | None = None
    max_worker_growth: float | None = None
    load_timeout: float = 300.0
    heartbeat_period: float = 5.0
    heartbeat_threshold: float = 30.0
    address: str | None = None
    worker_ports: Sequence[int] | None = None
    worker_port_range: Sequence[int] | None = None
    interchange_port_range: Sequence[int] | None = None
    launch_cmd: str | None = None
    scaling_enabled: bool = True
    max_idletime: float = 120.0
    strategy: Any = None
    start_timeout: float = 60.0
    working_dir: str | None = None
    run_in_sandbox: bool = False
    walltime: float | None = None
    max_result: int = 10 * 1024 * 1024
    max_large_result: int = 10 * 1024**3
    max_kept: int = 50 * 1024**3
    kept_lifetime: float = 86400.0
    max_kept_inputs: int = 4 * 1024**3
    max_output: int = 3 * 1024 * 1024
    keep_children: bool = False
    worker_debug: bool = False
    worker_logdir_root: str | None = None
    enable_mpi_mode: bool = False
    mpi_launcher: str = "mpiexec"
    max_workers_per_block: int = 1
    scheduler_mode: str = "soft"
    prefetch_capacity: int | None = None
    passthrough: bool | None = None

    @staticmethod
    def translate_old(given: dict[str, Any]) -> dict[str, Any]:
        """Accept the settings of earlier versions."""
        given = without_old("HighThroughputExecutor", given, OLD_SETTINGS)
        if "max_workers" in given:
            given.setdefault("max_workers_per_node", given.pop("max_workers"))
        return given

    def __post_init__(self) -> None:
        positive(
            self,
            "max_workers_per_node",
            "cores_per_worker",
            "mem_per_worker",
            "max_processes_per_worker",
            "max_tasks_per_worker",
            "max_worker_growth",
            "load_timeout",
            "heartbeat_period",
            "heartbeat_threshold",
            "max_idletime",
            "worker_max_idletime",
            "start_timeout",
            "walltime",
            "max_result",
            "max_output",
            "kept_lifetime",
            "max_workers_per_block",
        )
        self._check_placement()
        self.containers()
        check_routing(self.scheduler_mode, self.prefetch_capacity)
        check_ports("worker_ports", self.worker_ports)
        check_range("worker_port_range", self.worker_port_range)
        check_range("interchange_port_range", self.interchange_port_range)
        if self.enable_mpi_mode:
            check_mpi(self.mpi_launcher, self.provider)
        for name in ("max_large_result", "max_kept", "max_kept_inputs"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or more bytes.")
        if self.heartbeat_threshold <= self.heartbeat_period:
            raise ConfigError("heartbeat_threshold must be longer than heartbeat_period.")
        if self.provider is not None and not all(
            hasattr(self.provider, name) for name in ("submit", "status", "cancel")
        ):
            raise ConfigError(
                f"provider is a {type(self.provider).__name__}; a Parsl provider such as LocalProvider(...) is needed."
            )

        if self.strategy is not None and not isinstance(self.strategy, BaseStrategy):
            raise ConfigError(
                f"strategy is a {type(self.strategy).__name__}; an object is needed, such as SimpleStrategy(max_idletime=300)."
            )

    def _check_placement(self) -> None:
        named = self.available_accelerators
        is_list = (
            isinstance(named, Sequence) and not isinstance(named, str) and all(isinstance(one, str) for one in named)
        )
        if not is_list and (isinstance(named, bool) or not isinstance(named, int) or named < 0):
            raise ConfigError(
                f"available_accelerators is {named!r}; a number is needed, or a list of names such as ['0', '1']."
            )
        try:
            check_affinity(self.cpu_affinity)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def workers(self, cores: int, memory_gb: float) -> int:
        """Return how many workers a node with these resources runs."""
        number = min(self.max_workers_per_node, cores / self.cores_per_worker)
        if self.mem_per_worker is not None:
            number = min(number, memory_gb / self.mem_per_worker)
        if self._accelerators:
            number = min(number, self._accelerators)
        return max(int(min(number, check_affinity(self.cpu_affinity) or number)), 1)

    @property
    def _accelerators(self) -> int:
        named = self.available_accelerators
        return named if isinstance(named, int) else len(named)

    def worker_limits(self) -> dict[str, Any]:
        """Return what bounds each worker, as fields of the manager's settings."""
        processes = self.max_processes_per_worker
        return {
            "memory_limit": _bytes(self.mem_per_worker),
            "process_limit": int(processes) if math.isfinite(processes) else None,
            "load_timeout": self.load_timeout,
            "max_tasks": None if self.max_tasks_per_worker is None else math.ceil(self.max_tasks_per_worker),
            "max_growth": _bytes(self.max_worker_growth),
        }

    def containers(self) -> ContainerSettings | None:
        """Return how tasks run in containers; None if they do not.

        Raises:
            ConfigError: the settings contradict each other.
        """
        return container_settings(
            self.container_type,
            self.container_image,
            self.container_cmd_options,
            self.worker_mode,
            self.worker_max_idletime,
        )

    def placement(self) -> dict[str, Any]:
        """Return where each worker and task runs on its node, as fields of the manager's settings."""
        named = self.available_accelerators
        return {
            "accelerators": named if isinstance(named, int) else list(named),
            "cpu_affinity": self.cpu_affinity,
            "run_in_sandbox": self.run_in_sandbox,
            "launcher": self.mpi_launcher if self.enable_mpi_mode else "",
        }

    def workers_per_block(self, nodes: int) -> int:
        """Return how many workers a block of so many nodes has."""
        if self.enable_mpi_mode:
            return min(self.max_workers_per_block, nodes)
        return nodes * self.workers_per_node()

    def workers_per_node(self) -> int:
        """Return how many workers each manager runs, judged by what the provider asks for, else by this machine."""
        if self.enable_mpi_mode:
            return self.max_workers_per_block
        cores = getattr(self.provider, "cores_per_node", None) or len(os.sched_getaffinity(0))
        memory = getattr(self.provider, "mem_per_node", None)
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return self.workers(int(cores), float(memory) if memory else pages / 1e9)


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else int(gigabytes * 1e9)
