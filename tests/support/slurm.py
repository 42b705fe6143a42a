"""A private Slurm cluster: real munged, slurmctld and a slurmd per node, all on this machine, on free loopback ports."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pytest

from tests.support.fabric import eventually

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
ENDPOINT_CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from parsl.launchers import SimpleLauncher, SrunLauncher
from parsl.providers import SlurmProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            heartbeat_period=0.3,
            heartbeat_threshold=2.0,
            {executor}
            provider=SlurmProvider(exclusive=False, cores_per_node=2, launcher={launcher}(), {provider}),
        )
    ],
    heartbeat_period=0.3,
    heartbeat_threshold=2.0,
)
"""


def endpoint_config(provider: str, executor: str = "max_workers_per_node=2,", *, launcher: str = "SrunLauncher") -> str:
    """Return an endpoint's `config.py`; the arguments are Python, such as ``init_blocks=1, max_blocks=2``."""
    return ENDPOINT_CONFIG.format(provider=provider, executor=executor, launcher=launcher)


NODES = ("n1", "n2", "n3")
CPUS_PER_NODE = 4

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait={kill_wait}
# What has ended is soon forgotten, as on a cluster that was busy while nobody asked.
MinJobAge=2
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


class Job(NamedTuple):
    """One job, as squeue shows it."""

    id: str
    state: str
    nodes: str


def require_slurm() -> None:
    """Skip the test where Slurm is not installed."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.skip(f"Slurm is not installed, {missing[0]} is missing: scripts/install-servers installs it")


class Slurm:
    """A running cluster of `NODES`, each with `CPUS_PER_NODE` processors. Use as a context manager."""

    def __init__(self, folder: Path, *, kill_wait: int = 4) -> None:
        self.folder = folder
        self._kill_wait = kill_wait
        self._daemons: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to be a client of this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.close)
            self._write_config()
            self._start_daemons()
            eventually(lambda: len(self.idle_nodes()) == len(NODES), "all nodes of Slurm are idle", timeout=30)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel all jobs, then end the daemons, the last one first."""
        with suppress(subprocess.CalledProcessError, AssertionError):
            self.cancel_all()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(10)
        self._daemons.clear()

    # --- using it ----------------------------------------------------------------------------------------------

    def run(self, *command: str) -> str:
        """Run a client of Slurm and return what it printed."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout

    def jobs(self, *states: str) -> list[Job]:
        """Return the jobs that are in one of these states, or in any in which they are not over."""
        wanted = f"--states={','.join(states)}" if states else "--states=PENDING,RUNNING,COMPLETING"
        lines = self.run("squeue", "--noheader", "--format=%i %T %N", wanted).splitlines()
        return [Job(*[*line.split(), ""][:3]) for line in lines]

    def wait_for_jobs(self, number: int, *states: str, timeout: float = 30) -> list[Job]:
        """Return the jobs in these states as soon as there are exactly so many."""

        def found() -> list[Job] | None:
            jobs = self.jobs(*states)
            return jobs if len(jobs) == number else None

        what = f"{number} jobs {' or '.join(states)}"
        if number:
            return list(eventually(found, what, timeout=timeout, interval=0.2))
        eventually(lambda: found() is not None, what, timeout=timeout, interval=0.2)
        return []

    def cancel_all(self) -> None:
        """Cancel every job, and wait until none is left."""
        for job in self.jobs():
            self.run("scancel", job.id)
        self.wait_for_jobs(0)

    def drain(self, node: str) -> None:
        """Let nothing new start on a node."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Take back `drain`."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def idle_nodes(self) -> list[str]:
        """Return the nodes that run nothing."""
        try:
            return self.run("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").split()
        except subprocess.CalledProcessError:
            return []

    # --- starting it -------------------------------------------------------------------------------------------

    def _write_config(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        host = socket.gethostname().partition(".")[0]
        ctld, *ports = _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS_PER_NODE}"
            for name, port in zip(NODES, ports, strict=True)
        ]
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        text = CONFIG.format(
            host=host,
            ctld_port=ctld,
            user=getpass.getuser(),
            folder=self.folder,
            kill_wait=self._kill_wait,
            nodes="\n".join(nodes),
        )
        (self.folder / "slurm.conf").write_text(text)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)

    def _start_daemons(self) -> None:
        folder = self.folder
        named = ("socket", "key-file", "pid-file", "log-file", "seed-file")
        files = ("munge.socket", "munge.key", "munged.pid", "munged.log", "munged.seed")
        places = [f"--{name}={folder / file}" for name, file in zip(named, files, strict=True)]
        self._start("munged", "--foreground", "--force", "--num-threads=2", *places)
        eventually((folder / "munge.socket").exists, "munged listens", timeout=10)
        self._start("slurmctld", "-D", "-c")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node)

    def _start(self, program: str, *options: str) -> None:
        environment = {**os.environ, **self.environment}
        with (self.folder / f"{program}.out").open("ab") as output:
            self._daemons.append(
                subprocess.Popen(
                    [str(shutil.which(program, path=PATH)), *options],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )


def _free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
