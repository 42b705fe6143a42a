"""How a program is started on several nodes: the words that stand before it, by the launcher of the system. Pure.

Functions find them in their environment, under the names that Parsl gave them: `PARSL_MPI_PREFIX` for the endpoint's launcher, one more for
each other one, and `PARSL_MPI_NODELIST`, `PARSL_NUM_NODES`, `PARSL_NUM_RANKS`, `PARSL_RANKS_PER_NODE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final, NamedTuple

from funcx_core.protocol.resources import Resources


class Launch(NamedTuple):
    """What is to be started where."""

    nodes: Sequence[str]
    ranks: int
    ranks_per_node: int


def launch(nodes: Sequence[str], wanted: Resources) -> Launch:
    """Return what a task asks to have started on its nodes; one process on each if it does not say."""
    if wanted.ranks_per_node is not None:
        return Launch(nodes, wanted.ranks or len(nodes) * wanted.ranks_per_node, wanted.ranks_per_node)
    ranks = wanted.ranks or len(nodes)
    return Launch(nodes, ranks, ceil(ranks / len(nodes)))


def variables(launcher: str, nodes: Sequence[str], wanted: Resources) -> dict[str, str]:
    """Return the environment variables of a task on these nodes."""
    start = launch(nodes, wanted)
    prefixes = {
        f"PARSL_{name.upper()}_PREFIX": f"{prefix(start)} {wanted.launcher_options}".strip()
        for name, prefix in LAUNCHERS.items()
    }
    return {
        **prefixes,
        "PARSL_MPI_PREFIX": prefixes[f"PARSL_{launcher.upper()}_PREFIX"],
        "PARSL_MPI_NODELIST": ",".join(nodes),
        "PARSL_NUM_NODES": str(len(nodes)),
        "PARSL_NUM_RANKS": str(start.ranks),
        "PARSL_RANKS_PER_NODE": str(start.ranks_per_node),
    }


def _mpiexec(start: Launch) -> str:
    return f"mpiexec -n {start.ranks} -ppn {start.ranks_per_node} -hosts {','.join(start.nodes)}"


def _srun(start: Launch) -> str:
    nodes = start.nodes
    return (
        f"srun --ntasks {start.ranks} --ntasks-per-node {start.ranks_per_node} "
        f"--nodelist {','.join(nodes)} --nodes {len(nodes)}"
    )


def _aprun(start: Launch) -> str:
    return f"aprun -n {start.ranks} -N {start.ranks_per_node} -node-list {','.join(start.nodes)}"


def _openmpi(start: Launch) -> str:
    hosts = ",".join(f"{node}:{start.ranks_per_node}" for node in start.nodes)
    return f"mpirun -n {start.ranks} --host {hosts} --map-by ppr:{start.ranks_per_node}:node"


LAUNCHERS: Final[dict[str, Callable[[Launch], str]]] = {
    "aprun": _aprun,
    "mpiexec": _mpiexec,
    "openmpi": _openmpi,
    "srun": _srun,
}
"""``mpiexec`` is that of MPICH and its descendants (Intel MPI, Cray); Open MPI takes other options."""
