"""The command lines of launchers, word for word."""

from __future__ import annotations

import subprocess

import pytest

from funcx_core.errors import ConfigError
from funcx_core.protocol.resources import Resources
from funcx_endpoint.manager.node import block_nodes as module
from funcx_endpoint.manager.node.block_nodes import block_nodes
from funcx_endpoint.manager.node.launchers import LAUNCHERS, launch, variables

WANTED = Resources(nodes=2, ranks_per_node=4, launcher_options="--cpu-bind cores")
LINES = {
    "aprun": "aprun -n 8 -N 4 -node-list a,b --cpu-bind cores",
    "mpiexec": "mpiexec -n 8 -ppn 4 -hosts a,b --cpu-bind cores",
    "openmpi": "mpirun -n 8 --host a:4,b:4 --map-by ppr:4:node --cpu-bind cores",
    "srun": "srun --ntasks 8 --ntasks-per-node 4 --nodelist a,b --nodes 2 --cpu-bind cores",
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_task_finds_the_launchers_words_in_its_environment(launcher):
    found = variables(launcher, ["a", "b"], WANTED)
    assert found["PARSL_MPI_PREFIX"] == LINES[launcher]
    assert {name: found[f"PARSL_{name.upper()}_PREFIX"] for name in LAUNCHERS} == LINES
    assert found["PARSL_MPI_NODELIST"] == "a,b"
    assert (found["PARSL_NUM_NODES"], found["PARSL_NUM_RANKS"], found["PARSL_RANKS_PER_NODE"]) == ("2", "8", "4")


@pytest.mark.parametrize(
    ("wanted", "ranks", "per_node"),
    [
        (Resources(), 2, 1),
        (Resources(ranks=5), 5, 3),
        (Resources(ranks_per_node=3), 6, 3),
        (Resources(ranks=6, ranks_per_node=3), 6, 3),
    ],
)
def test_what_is_not_said_follows_from_what_is(wanted, ranks, per_node):
    assert launch(["a", "b"], wanted)[1:] == (ranks, per_node)


def test_slurm_is_asked_for_the_nodes_of_its_job(monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "nid1\nnid2\n", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    assert block_nodes({"SLURM_JOB_NODELIST": "nid[1-2]", "PBS_NODEFILE": "/no"}) == ["nid1", "nid2"]
    assert asked == [["scontrol", "show", "hostnames", "nid[1-2]"]]


def test_a_slurm_without_scontrol_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"nid\[1-2\].*scontrol"):
        block_nodes({"SLURM_JOB_NODELIST": "nid[1-2]"})


def test_pbs_names_a_node_once_for_each_processor(tmp_path):
    (tmp_path / "nodes").write_text("b\nb\na\na\n")
    assert block_nodes({"PBS_NODEFILE": str(tmp_path / "nodes")}) == ["b", "a"]


@pytest.mark.parametrize("content", ["", None])
def test_a_node_file_that_says_nothing_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "nodes").write_text(content)
    with pytest.raises(ConfigError, match="PBS_NODEFILE"):
        block_nodes({"PBS_NODEFILE": str(tmp_path / "nodes")})


def test_without_a_batch_system_there_is_this_node():
    assert block_nodes({}) == ["localhost"]
