"""Blocks on a real Slurm of three nodes, with a real service, as an endpoint's owner and its users see them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from funcx import MPIFunction
from funcx_core import errors
from funcx_endpoint.executors import HighThroughputExecutor
from tests.support.fabric import Fabric, eventually
from tests.support.ledger import Ledger
from tests.support.slurm import Slurm, endpoint_config, require_slurm

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    require_slurm()
    with Slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def fabric(slurm, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in slurm.environment.items():
            patch.setenv(name, value)
        with Fabric(tmp_path_factory.mktemp("fabric"), endpoints=()) as running:
            yield running


@pytest.fixture
def endpoint(fabric, slurm):
    """Start an endpoint on Slurm; it is stopped after the test, and then no job is left."""
    started = []

    def start(name, provider, executor="max_workers_per_node=2,", *, check=True, launcher="SrunLauncher"):
        fabric.configure_endpoint(name, endpoint_config(provider, executor, launcher=launcher))
        started.append(name)
        return fabric.endpoint_cli("start", name, check=check)

    yield start
    for name in started:
        fabric.endpoint_cli("stop", name, check=False)
    try:
        slurm.wait_for_jobs(0)
    finally:
        slurm.cancel_all()


def where(seconds=0.3):
    import os

    time.sleep(seconds)
    return os.environ["SLURMD_NODENAME"]


def nap(seconds):

    time.sleep(seconds)
    return seconds


def where_once_all_have_begun(seen, gate):
    import os
    import pathlib
    import time

    node = os.environ["SLURMD_NODENAME"]
    with pathlib.Path(seen).open("a") as file:
        file.write(f"{node}\n")
    while not pathlib.Path(gate).exists():
        time.sleep(0.05)
    return node


def test_blocks_come_with_the_load_and_go_when_idle(endpoint, fabric, slurm):
    endpoint("scales", "init_blocks=0, max_blocks=2, walltime='00:05:00'", "max_workers_per_node=2, max_idletime=1,")
    assert slurm.jobs() == []
    with fabric.executor("scales") as executor:
        futures = [executor.submit(where) for _ in range(12)]
        assert {future.result(timeout=60) for future in futures} <= {"n1", "n2", "n3"}
    assert len(list(fabric.home.glob("scales/logs/manager-*.log"))) == 2
    slurm.wait_for_jobs(0)
    assert "blocks    0" in fabric.endpoint_cli("status", "scales").stdout


def test_a_block_of_two_nodes_has_a_manager_on_each(endpoint, fabric):
    endpoint("wide", "nodes_per_block=2, init_blocks=1, max_blocks=1")
    with fabric.executor("wide") as executor:
        assert len({future.result(timeout=60) for future in [executor.submit(where) for _ in range(8)]}) == 2


def test_programs_run_on_as_many_nodes_of_a_block_as_they_ask_for(endpoint, fabric, tmp_path):
    endpoint(
        "mpi",
        "nodes_per_block=3, init_blocks=1, max_blocks=1",
        "enable_mpi_mode=True, mpi_launcher='srun', max_workers_per_block=3,",
        launcher="SimpleLauncher",
    )
    show = MPIFunction("bash -c {script:q}")
    script = "sleep 1; echo $SLURMD_NODENAME $PARSL_MPI_NODELIST"
    with fabric.executor("mpi", resource_specification={"num_nodes": 2, "ranks_per_node": 2}) as executor:
        two = executor.submit(show, script=script)
        executor.resource_specification = {"num_nodes": 1}
        one = executor.submit(show, script=script)
        executor.resource_specification = {"num_nodes": 4}
        four = executor.submit(show, script=script)
        with pytest.raises(errors.ResourcesUnavailable, match=r"4 nodes.*has 3"):
            four.result(60)
        ranks = [line.split() for line in two.result(60).stdout.splitlines()]
        [(alone, own)] = [line.split() for line in one.result(60).stdout.splitlines()]
        executor.resource_specification = {"num_nodes": 3}
        ranks_of = f"echo $$ > {tmp_path}/$SLURM_PROCID; exec sleep 300"
        cancelled = executor.submit(show, script=ranks_of)
        pids = eventually(lambda: written(tmp_path, 3), "a rank runs on each node", timeout=30)
        cancelled.best_effort_cancel()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "no rank is left", timeout=20)
        assert sorted(executor.submit(show, script="echo free").result(60).stdout.split()) == ["free"] * 3
    assert sorted(node for node, _ in ranks) == sorted(2 * ranks[0][1].split(","))
    assert alone == own
    assert {alone, *ranks[0][1].split(",")} == {"n1", "n2", "n3"}


def written(folder, number):
    """Return what the files of the folder hold when there are so many and each has something."""
    contents = [file.read_text().strip() for file in folder.iterdir()]
    return contents if len(contents) == number and all(contents) else []


def test_a_thousand_tasks_survive_the_death_of_a_block(endpoint, fabric, slurm, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    endpoint("lossless", "init_blocks=2, min_blocks=2, max_blocks=2")
    with fabric.executor("lossless", retry_on_loss=1) as executor:
        names = [f"t{number}" for number in range(1000)]
        futures = [executor.submit(ledger.function, str(ledger.path), name, 0.01) for name in names]
        eventually(lambda: len(ledger.ends()) >= 400, "almost half of it has run", timeout=60)
        victim = slurm.jobs("RUNNING")[0]
        slurm.run("scancel", "--signal=KILL", victim.id)
        slurm.run("scancel", victim.id)
        assert [future.result(timeout=60) for future in futures] == names
    assert set(ledger.ends()) == set(names)
    again = {name: count for name, count in ledger.starts().items() if count > 1}
    assert len(again) <= 2, "what had not started when the block died was started twice"
    assert victim.id not in {job.id for job in slurm.jobs("RUNNING")}


def test_cancelling_a_job_under_load_gives_back_what_has_not_started(endpoint, fabric, slurm, tmp_path):
    """F24: it is cancelled"""
    ledger = Ledger(tmp_path / "ledger")
    endpoint("cancelled", "init_blocks=1, min_blocks=1, max_blocks=1")
    with fabric.executor("cancelled") as executor:
        names = [f"t{number}" for number in range(30)]
        futures = [executor.submit(ledger.function, str(ledger.path), name, 0.2) for name in names]
        eventually(lambda: len(ledger.ends()) >= 4, "some have run", timeout=30)
        slurm.run("scancel", slurm.jobs("RUNNING")[0].id)
        assert [future.result(timeout=60) for future in futures] == names
    assert set(ledger.starts().values()) == {1}


def test_blocks_that_end_by_the_clock_lose_nothing(endpoint, fabric, slurm, tmp_path):
    """F24: with Slurm"""
    ledger = Ledger(tmp_path / "ledger")
    # Slurm counts in minutes; what the managers know of it is what counts here.
    endpoint("short", "init_blocks=1, min_blocks=1, max_blocks=1, walltime='00:00:14'")
    with fabric.executor("short") as executor:
        # 15 seconds of work for two workers: more than a block has.
        names = [f"t{number}" for number in range(60)]
        futures = [executor.submit(ledger.function, str(ledger.path), name, 0.5) for name in names]
        assert [future.result(timeout=120) for future in futures] == names
    assert set(ledger.starts().values()) == {1}
    assert len(list(fabric.home.glob("short/logs/manager-*.log"))) >= 2


def test_a_drained_node_finishes_what_it_has_and_gets_no_new_block(endpoint, fabric, slurm, tmp_path):
    endpoint("drained", "init_blocks=1, min_blocks=1, max_blocks=2")
    with fabric.executor("drained") as executor, contextlib.ExitStack() as undo:
        first = executor.submit(where).result(timeout=60)
        slurm.drain(first)
        undo.callback(slurm.resume, first)
        seen, gate = tmp_path / "seen", tmp_path / "gate"
        futures = [executor.submit(where_once_all_have_begun, str(seen), str(gate)) for _ in range(4)]
        eventually(lambda: seen.exists() and len(seen.read_text().split()) == 4, "all have begun", timeout=60)
        gate.touch()
        assert len({future.result(timeout=60) for future in futures} - {first}) == 1, "the second block is elsewhere"
        slurm.run("scancel", *(job.id for job in slurm.jobs("RUNNING") if job.nodes == first))
        eventually(lambda: first not in {job.nodes for job in slurm.jobs()}, "the first block has ended", timeout=30)
        assert first not in {future.result(timeout=60) for future in [executor.submit(where) for _ in range(4)]}


def test_a_partition_that_does_not_exist_is_told_by_the_start(endpoint):
    done = endpoint("lost", "partition='nosuch', init_blocks=1, max_blocks=1", check=False)
    assert done.returncode == 1
    assert "The provider refused the block: sbatch: error: invalid partition specified: nosuch" in done.stderr
    assert "funcx-endpoint restart lost" in done.stderr


def test_blocks_that_cannot_start_are_told_with_their_words(endpoint, fabric, caplog):
    endpoint("sick", "init_blocks=0, max_blocks=1, worker_init='echo no such module >&2; exit 3'")
    with fabric.executor("sick") as executor:
        future = executor.submit(where)
        eventually(lambda: "unhealthy" in fabric.endpoint_cli("status", "sick").stdout, "unhealthy", timeout=60)
        assert "no such module" in fabric.endpoint_cli("status", "sick").stdout
        eventually(lambda: "no such module" in caplog.text, "the user is warned", timeout=30)
        assert not future.done(), "tasks wait until somebody mends the endpoint"
        assert future.cancel()


def test_an_executor_with_no_service_runs_on_nodes_and_leaves_no_job(slurm, monkeypatch):
    from parsl.launchers import SrunLauncher
    from parsl.providers import SlurmProvider

    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    provider = SlurmProvider(
        "debug", nodes_per_block=2, init_blocks=1, max_blocks=1, walltime="00:05:00", launcher=SrunLauncher()
    )
    with HighThroughputExecutor(provider=provider, max_workers_per_node=2, passthrough=False) as executor:
        futures = [executor.submit(where) for _ in range(8)]
        assert len({future.result(90) for future in futures}) == 2
        assert (executor.connected_workers, len(slurm.jobs("RUNNING"))) == (4, 1)
    slurm.wait_for_jobs(0)
