"""Settings of MPI mode."""

from __future__ import annotations

import pytest
from parsl.launchers import MpiExecLauncher, SimpleLauncher
from parsl.providers import LocalProvider

from funcx_core.errors import ConfigError
from funcx_endpoint.executors import HighThroughputExecutor


def test_a_block_has_as_many_workers_as_it_may_run_tasks():
    executor = HighThroughputExecutor(
        enable_mpi_mode=True,
        mpi_launcher="srun",
        max_workers_per_block=3,
        provider=LocalProvider(launcher=SimpleLauncher()),
    )
    assert executor.workers_per_node() == 3
    assert [executor.workers_per_block(nodes) for nodes in (2, 8)] == [2, 3]
    assert executor.placement()["launcher"] == "srun"


def test_without_it_nothing_changes():
    executor = HighThroughputExecutor(max_workers_per_node=1, mpi_launcher="srun")
    assert executor.workers_per_block(8) == 8
    assert executor.placement()["launcher"] == ""


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mpi_launcher": "jsrun"}, "one of aprun, mpiexec, openmpi, srun"),
        ({"provider": LocalProvider(launcher=MpiExecLauncher())}, r"MpiExecLauncher starts more.*SimpleLauncher\(\)"),
        ({"max_workers_per_block": 0}, "max_workers_per_block"),
    ],
)
def test_what_cannot_work_is_told(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        HighThroughputExecutor(enable_mpi_mode=True, **settings)
