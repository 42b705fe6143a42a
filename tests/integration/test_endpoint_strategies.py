"""Strategies on real endpoints: one that is configured, and one that its owner wrote."""

from __future__ import annotations

import pytest

from tests.support.fabric import Fabric, eventually

CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.strategies import BaseStrategy, SimpleStrategy
from parsl.providers import LocalProvider


class Reluctant(BaseStrategy):
    \"\"\"One block for every three tasks; what it saw is written down.\"\"\"

    def strategize(self, *args, **kwargs):
        seen = self.interchange
        tasks, blocks = seen.get_total_tasks_outstanding(), seen.provider_status()
        with open("seen.txt", "a") as file:
            print(kwargs["kind"], tasks, len(blocks), seen.get_total_live_workers(), file=file)
        if tasks >= 3 and not blocks:
            seen.scale_out(1)
        if not tasks and "RUNNING" in blocks:
            seen.scale_in(1)


config = Config(
    executors=[
        HighThroughputExecutor(
            strategy={strategy},
            max_workers_per_node=1,
            heartbeat_period=0.3,
            heartbeat_threshold=2.0,
            provider=LocalProvider(init_blocks=0, min_blocks=0, max_blocks=2),
        )
    ],
    heartbeat_period=0.3,
    heartbeat_threshold=2.0,
)
"""


@pytest.fixture(scope="module")
def fabric(tmp_path_factory):
    with Fabric(tmp_path_factory.mktemp("fabric"), endpoints=()) as running:
        yield running


@pytest.fixture
def endpoint(fabric):
    started = []

    def start(name, strategy):
        fabric.configure_endpoint(name, CONFIG.replace("{strategy}", strategy))
        fabric.start_endpoint(name)
        started.append(name)

    yield start
    for name in started:
        fabric.stop_endpoint(name)


def double(number):
    return 2 * number


def test_blocks_come_and_go_as_the_configured_strategy_says(endpoint, fabric):
    endpoint("simple", "SimpleStrategy(interval=0.2, max_idletime=0.5)")
    assert fabric.pids("manager") == []
    with fabric.executor("simple") as executor:
        assert [future.result(30) for future in [executor.submit(double, number) for number in range(4)]] == [
            0,
            2,
            4,
            6,
        ]
    eventually(lambda: not fabric.pids("manager"), "idle blocks are given up", timeout=20)


def test_an_owner_can_write_a_strategy(endpoint, fabric):
    endpoint("own", "Reluctant(interval=0.2)")
    with fabric.executor("own") as executor:
        first = [executor.submit(double, number) for number in range(2)]
        seen = fabric.home / "own" / "seen.txt"
        eventually(
            lambda: seen.exists() and "interval 2 0 0" in seen.read_text(),
            "it sees the tasks, and does nothing about two",
            timeout=20,
        )
        assert fabric.pids("manager") == []
        assert [future.result(30) for future in [*first, executor.submit(double, 2)]] == [0, 2, 4]
    eventually(lambda: not fabric.pids("manager"), "it gives its block up", timeout=20)
    assert "Traceback" not in fabric.logs()
