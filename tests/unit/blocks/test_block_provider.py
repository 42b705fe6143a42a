"""What is believed of what providers say, on providers that say what the test wants."""

from __future__ import annotations

import subprocess
import sys

import pytest

from funcx_core.errors import ConfigError
from funcx_endpoint.blocks.provider import BlockProvider, JobReport, seconds_of
from funcx_endpoint.blocks.records import ProviderState
from funcx_endpoint.config_file import read_config

pytest.importorskip("parsl.providers")
from parsl.jobs.states import JobState, JobStatus


class Slurm:
    """Parsl's SlurmProvider as far as it is asked, with the answers of `squeue` given."""

    label = "slurm"
    walltime = "01:30:00"
    worker_init = "module load python\n"

    def __init__(self, state, queue=(0, "", ""), **more):
        self.statuses = [JobStatus(state, **more)]
        self.queue = queue
        self.asked = []
        self.resources = {"7": {"job_stderr_path": more.get("stderr_path")}}

    def status(self, jobs):
        return self.statuses

    def execute_wait(self, command):
        self.asked.append(command)
        return self.queue


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.RUNNING, JobState.UNKNOWN])
def test_a_job_that_slurm_has_forgotten_has_ended_whatever_parsl_says(state, tmp_path):
    (tmp_path / "err").write_text("its last words\n")
    provider = Slurm(state, queue=(0, "5\n6\n", ""), stderr_path=str(tmp_path / "err"))
    (found,) = BlockProvider(provider).status(["7"])
    assert found == JobReport(ProviderState.ENDED, "Slurm does not have the job any more", "its last words")


@pytest.mark.parametrize(
    "queue", [(0, "5\n7\n", ""), (1, "", "slurm_load_jobs error: Unable to contact slurm controller")]
)
def test_a_job_that_slurm_has_or_says_nothing_about_waits_on(queue):
    (found,) = BlockProvider(Slurm(JobState.PENDING, queue)).status(["7"])
    assert found.state is ProviderState.QUEUED


def test_slurm_is_not_asked_again_about_a_job_that_has_ended():
    provider = Slurm(JobState.FAILED)
    (found,) = BlockProvider(provider).status(["7"])
    assert (found.state, found.words, provider.asked) == (ProviderState.ENDED, "failed", [])


def test_all_clusters_are_asked_that_the_provider_was_told_of():
    provider = Slurm(JobState.PENDING, (0, "CLUSTER: west\n7\n", ""))
    provider.clusters = "east,west"
    assert BlockProvider(provider).status(["7"])[0].state is ProviderState.QUEUED
    assert provider.asked == ["squeue --clusters=east,west --me --noheader --format=%A"]


def test_the_script_notes_when_its_block_began_once(tmp_path):
    provider = Slurm(JobState.PENDING)
    for _ in range(2):
        BlockProvider(provider).open(tmp_path / "scripts")
    assert provider.worker_init == "export FUNCX_BLOCK_STARTED=$(date +%s)\nmodule load python\n"
    said = subprocess.run(
        ["sh", "-c", provider.worker_init.splitlines()[0] + "\necho $FUNCX_BLOCK_STARTED"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(said.stdout) > 1_700_000_000


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("01:30:00", 5400),
        ("00:00:08", 8),
        ("02:15", 8100),
        (None, None),
        ("1-00:30:00", 88200),
        ("2-12", 216000),
        ("1:2:3:4", None),
        ("-1:00", None),
        ("soon", None),
    ],
)
def test_walltimes_are_read_as_providers_take_them(walltime, seconds):
    assert seconds_of(walltime) == seconds


@pytest.mark.parametrize("name", ["CobaltProvider", "JetstreamProvider", "AdHocProvider"])
def test_what_parsl_had_once_is_told_with_what_to_do(name, tmp_path):
    (tmp_path / "config.py").write_text(
        f"from parsl.providers import LocalProvider\nfrom parsl.providers import {name}\n"
    )
    with pytest.raises(ConfigError, match=f"config.py, line 2: {name} is not in Parsl any more. [A-Z]"):
        read_config(tmp_path / "config.py")
    (tmp_path / "config.yaml").write_text(f"engine:\n  provider:\n    type: {name}\n")
    with pytest.raises(ConfigError, match=f"config.yaml, line 3: {name} is not in Parsl any more. [A-Z]"):
        read_config(tmp_path / "config.yaml")


CONSTRUCTED = """
import sys
from parsl import providers
from funcx_endpoint.blocks.provider import BlockProvider
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.blocks.process import BlockRunner
from pathlib import Path

given = {"GridEngineProvider": {}, "LSFProvider": {}, "CondorProvider": {}, "TorqueProvider": {}, "PBSProProvider": {},
         "SlurmProvider": {}, "LocalProvider": {}}
for name, arguments in given.items():
    provider = getattr(providers, name)(init_blocks=0, min_blocks=0, max_blocks=3, **arguments)
    runner = BlockRunner(HighThroughputExecutor(provider=provider), provider, folder=Path(sys.argv[1]), settings=Path("s"))
    runner.open()
    assert runner.state.policy.most == 3
    assert runner.is_local == (name == "LocalProvider")
    assert (runner.walltime is None) == (name == "LocalProvider"), name
    assert provider.worker_init.startswith("export FUNCX_BLOCK_STARTED=") == (name != "LocalProvider"), name
    print(name)
"""


def test_every_provider_for_a_batch_system_fits_the_seam(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CONSTRUCTED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.count("Provider") == 7, done.stderr
