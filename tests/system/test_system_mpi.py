"""Programs on several nodes of a block, by a real launcher. The "nodes" are two names of this machine."""

import shutil
import subprocess

import pytest

from funcx import MPIFunction, ShellFunction
from funcx_core import errors

pytestmark = pytest.mark.xdist_group("mpi")

CONFIG = """
from parsl.launchers import SimpleLauncher
from parsl.providers import LocalProvider

from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor

config = Config(
    executors=[
        HighThroughputExecutor(
            enable_mpi_mode=True,
            mpi_launcher="mpiexec",
            max_workers_per_block=2,
            heartbeat_period=0.5,
            heartbeat_threshold=2,
            provider=LocalProvider(
                init_blocks=1,
                min_blocks=1,
                max_blocks=1,
                launcher=SimpleLauncher(),
                worker_init="export PBS_NODEFILE={nodes}",
            ),
        )
    ],
    heartbeat_period=0.5,
    heartbeat_threshold=2,
)
"""


def has_mpich():
    program = shutil.which("mpiexec")
    return (
        program is not None
        and b"HYDRA" in subprocess.run([program, "--version"], check=False, capture_output=True).stdout
    )


@pytest.fixture(scope="module")
def mpi(tmp_path_factory):
    from tests.support.fabric import Fabric

    if not has_mpich():
        pytest.skip("mpiexec of MPICH is not there: apt-get install mpich")
    folder = tmp_path_factory.mktemp("mpi")
    (folder / "nodes").write_text("localhost\nlocalhost\n127.0.0.1\n127.0.0.1\n")
    with Fabric(folder / "fabric", endpoints=()) as fabric:
        fabric.configure_endpoint("mpi", CONFIG.format(nodes=folder / "nodes"))
        fabric.endpoint_names = ("mpi",)
        fabric.start_endpoint("mpi")
        yield fabric


def test_every_rank_runs_on_the_nodes_of_the_task(mpi):
    hello = MPIFunction("bash -c {script:q}", name="hello")
    with mpi.executor("mpi") as executor:
        executor.resource_specification = {"num_nodes": 2, "ranks_per_node": 2}
        result = executor.submit(hello, script="echo rank $PMI_RANK of $PMI_SIZE").result(60)
    assert result.returncode == 0, result
    assert sorted(result.stdout.splitlines()) == [f"rank {rank} of 4" for rank in range(4)]
    assert result.cmd.startswith("$PARSL_MPI_PREFIX bash -c 'echo rank")


def test_tasks_share_the_nodes_of_a_block_and_none_has_those_of_another(mpi):
    nodes = ShellFunction("echo $PARSL_MPI_NODELIST; sleep 0.5; $PARSL_MPI_PREFIX hostname | wc -l")
    with mpi.executor("mpi") as executor:
        executor.resource_specification = {"num_nodes": 1, "num_ranks": 3}
        small = [executor.submit(nodes) for _ in range(2)]
        executor.resource_specification = {"num_nodes": 2, "ranks_per_node": 1, "launcher_options": "-l"}
        large = executor.submit(nodes)
        small_said = sorted(future.result(60).stdout.split() for future in small)
        assert small_said == [["127.0.0.1", "3"], ["localhost", "3"]]
        assert large.result(60).stdout.split() == ["localhost,127.0.0.1", "2"]


def test_functions_of_python_find_their_nodes_and_the_next_task_does_not(mpi):
    def look():
        import os

        return os.environ["PARSL_NUM_NODES"], os.environ["PARSL_MPI_PREFIX"].split()[0]

    with mpi.executor("mpi", resource_specification={"num_nodes": 2}) as executor:
        assert executor.submit(look).result(60) == ("2", "mpiexec")
        executor.resource_specification = {}
        assert executor.submit(look).result(60) == ("1", "mpiexec")


def test_more_nodes_than_a_block_has_is_told_at_once(mpi):
    with (
        mpi.executor("mpi", resource_specification={"num_nodes": 3}) as executor,
        pytest.raises(errors.ResourcesUnavailable, match="asks for 3 nodes, and a block of this endpoint has 2"),
    ):
        executor.submit(MPIFunction("hostname")).result(60)


def test_cancelling_ends_every_rank(mpi, tmp_path):
    from concurrent.futures import CancelledError

    from tests.support.fabric import eventually

    spin = MPIFunction("bash -c {script:q}")
    script = f"touch {tmp_path}/$PMI_RANK; exec sleep 61.7"
    with mpi.executor("mpi", resource_specification={"num_nodes": 2}) as executor:
        future = executor.submit(spin, script=script)
        eventually(lambda: len(list(tmp_path.iterdir())) == 2, "both ranks run", timeout=30)
        future.best_effort_cancel()
        with pytest.raises((errors.TaskCancelled, CancelledError)):
            future.result(30)
        eventually(lambda: not sleepers(), "no rank is left")
        executor.resource_specification = {"num_nodes": 2}
        assert executor.submit(MPIFunction("echo free")).result(60).stdout == "free\nfree\n"


def sleepers():
    return subprocess.run(["pgrep", "-f", "^sleep 61.7$"], check=False, capture_output=True).stdout


def test_where_tasks_get_no_nodes_it_is_told(fabric):
    with fabric.executor() as executor:
        with pytest.raises(errors.ResourcesUnavailable, match="needs nodes of its own"):
            executor.submit(MPIFunction("hostname")).result(30)
        executor.resource_specification = {"num_nodes": 2}
        with pytest.raises(errors.ResourcesUnavailable, match="gives each task one"):
            executor.submit(MPIFunction("hostname")).result(30)
