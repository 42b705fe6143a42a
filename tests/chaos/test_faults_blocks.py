"""Blocks that reach their walltime, and blocks in which no worker can start."""

from __future__ import annotations

import logging
import time

import pytest

from tests.support.bounds import check_bound
from tests.support.chaos import Run
from tests.support.fabric import ENDPOINT_CONFIG, Fabric, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("chaos-blocks")]

WALLTIME = 6
SHORT_BLOCKS = f"""
from funcx_endpoint.executors.high_throughput import LAUNCH_COMMAND

executor = config.executors[0]
executor.provider.walltime = "00:00:0{WALLTIME}"
object.__setattr__(executor, "launch_cmd", "timeout --signal=KILL {WALLTIME} " + LAUNCH_COMMAND)
"""
"""What a batch system does: the block is told how long it has, and is killed then."""


@pytest.fixture
def fabric(new_fabric) -> Fabric:
    return new_fabric(endpoints=())


def test_the_end_of_a_block_costs_no_task_and_no_retry(fabric, tmp_path):
    """F24: with LocalProvider."""
    text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=3.0)
    fabric.configure_endpoint("short", text + SHORT_BLOCKS)
    fabric.endpoint_names = ("short",)
    fabric.start_endpoint("short")
    run = Run(fabric, tmp_path, "t")
    first = set(fabric.pids("manager"))
    with fabric.executor() as executor:
        run.submit(executor, 16, 0.8)
        verdict = run.judge(within=60)
    assert (verdict.errors, len(verdict.values)) == ({}, 16)
    assert run.ledger.starts().total() == 16, "each ran once: nothing was lost and tried again"
    assert not first & set(fabric.pids("manager")), "the block did end"


def test_workers_that_cannot_start_are_told_to_who_submits(fabric, tmp_path, caplog):
    """F25"""
    text = ENDPOINT_CONFIG.format(workers=2, period=0.3, threshold=1.0)
    text = text.replace("max_blocks=1)", "max_blocks=1, worker_init='echo no such module >&2; exit 3')")
    fabric.configure_endpoint("sick", text)
    fabric.endpoint_names = ("sick",)
    done = fabric.endpoint_cli("start", "sick", check=False)
    assert (done.returncode, "no such module" in done.stderr) == (1, True)
    assert "no such module" in fabric.endpoint_cli("status", "sick").stdout
    with caplog.at_level(logging.WARNING, "funcx"), fabric.executor() as executor:
        submitted = time.monotonic()
        future = executor.submit(len, "four")
        eventually(lambda: "no such module" in caplog.text, "a warning", timeout=60)
        check_bound(time.monotonic() - submitted, 10, "the warning")
        assert "is unhealthy; its tasks wait" in caplog.text
        assert not future.done(), "it stays queued"
        future.cancel()
