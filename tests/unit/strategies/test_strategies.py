"""Strategies as their users write and configure them."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading

import pytest

from funcx_core.errors import ConfigError
from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks.for_strategies import BlocksForStrategies
from funcx_endpoint.blocks.records import BlockPolicy, Load
from funcx_endpoint.blocks.state import Blocks
from funcx_endpoint.config import Config
from funcx_endpoint.config_file import read_config
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.strategies import BaseStrategy, KubeSimpleStrategy, SimpleStrategy, Timer

LONG = 20.0


class Calls(BaseStrategy):
    def __init__(self, *args, fails=0, **more):
        super().__init__(*args, **more)
        self.kinds = queue.Queue()
        self.fails = fails

    def strategize(self, *args, **kwargs):
        self.kinds.put(kwargs["kind"])
        if self.fails:
            self.fails -= 1
            raise ValueError("no idea")


@pytest.fixture
def started():
    running = []

    def start(strategy):
        strategy.start(None)
        running.append(strategy)
        return strategy

    yield start
    for strategy in running:
        strategy.close()
    assert "funcx-strategy" not in {thread.name for thread in threading.enumerate()}


def test_a_strategy_is_called_after_its_interval(started):
    assert started(Calls(interval=0.01)).kinds.get(timeout=LONG) == "interval"


def test_a_strategy_is_called_after_enough_events(started):
    strategy = started(Calls(threshold=3, interval=1000))
    strategy.notify("t1")
    strategy.notify("t2")
    assert strategy.kinds.empty()
    strategy.notify("t3")
    assert strategy.kinds.get(timeout=LONG) == "threshold"
    strategy.notify_many(5)
    assert strategy.kinds.get(timeout=LONG) == "threshold"


def test_a_strategy_that_raises_is_called_again(started, caplog):
    with caplog.at_level(logging.ERROR):
        strategy = started(Calls(interval=0.01, fails=1))
        for _ in range(2):
            strategy.kinds.get(timeout=LONG)
    assert "no idea" in caplog.text


def test_a_timer_calls_until_it_is_closed():
    calls = queue.Queue()
    timer = Timer(calls.put, "now", interval=0.01)
    assert [calls.get(timeout=LONG) for _ in range(2)] == ["now", "now"]
    timer.close()
    number = calls.qsize()
    assert calls.qsize() == number


def test_a_strategy_can_be_called_by_hand_and_closed_unstarted():
    strategy = Calls()
    strategy.make_callback(kind="by hand")
    assert strategy.kinds.get_nowait() == "by hand"
    strategy.notify("nobody listens")
    strategy.close()


def test_what_is_no_strategy_is_refused():
    with pytest.raises(NotImplementedError, match="BaseStrategy has no method strategize"):
        BaseStrategy().strategize()
    with pytest.raises(ConfigError, match="interval 0; both must be above 0"):
        SimpleStrategy(interval=0)
    with pytest.raises(ConfigError, match="max_idletime is -1"):
        KubeSimpleStrategy(max_idletime=-1)
    with pytest.raises(ConfigError, match=r"strategy is a type; an object is needed, such as SimpleStrategy\("):
        HighThroughputExecutor(strategy=SimpleStrategy)


def test_a_strategy_is_taken_in_both_forms_of_a_config(tmp_path):
    strategy = SimpleStrategy(max_idletime=7)
    assert Config(strategy=strategy).executor.strategy is strategy
    assert Config(executors=[HighThroughputExecutor(strategy=strategy)]).executor.strategy is strategy
    (tmp_path / "config.yaml").write_text("engine:\n  strategy:\n    type: KubeSimpleStrategy\n    max_idletime: 9\n")
    found = read_config(tmp_path / "config.yaml").executor.strategy
    assert (type(found), found.max_idletime, found.interval) == (KubeSimpleStrategy, 9, 1)


class Runner:
    """Blocks without a provider: what the machine wants done is done at once."""

    def __init__(self, **policy):
        self.state = Blocks(BlockPolicy(**policy))
        self.now = 0.0
        self.load = Load()

    def scale_out(self, number, *, kind=""):
        self.state.scale_out(number, kind=kind, now=self.now)

    def scale_in(self, number=0, *, block_ids=(), kind=None):
        self.state.scale_in(number, block_ids=block_ids, kind=kind)

    def follow(self, load, *, idle_time=None, by_kind=False):
        self.state.follow(load, now=self.now, idle_time=idle_time, by_kind=by_kind)

    def work(self, *block_ids):
        for block_id in block_ids:
            self.state.submitted(BlockId(block_id))
            self.state.manager_joined(BlockId(block_id), ManagerId(f"m{block_id}"))


class View:
    def __init__(self, runner):
        self.runner = runner

    def load(self, *, by_kind):
        return self.runner.load

    def breakdown(self):
        return [("interchange", 3, True)]

    def workers(self):
        return 4


async def on_thread(call):
    return await asyncio.to_thread(call)


async def test_a_strategy_of_ones_own_scales_from_its_thread():
    runner = Runner(init=0, most=3)
    blocks = BlocksForStrategies(object(), runner, View(runner), asyncio.get_running_loop())
    assert await on_thread(lambda: blocks.scale_out(2)) == ["0", "1"]
    assert blocks.scale_out(2) == ["2"], "no more than max_blocks, and from the loop's own thread, too"
    runner.work("0")
    assert await on_thread(blocks.provider_status) == ["RUNNING", "PENDING", "PENDING"]
    assert set(await on_thread(lambda: blocks.scale_in(1))) < {"1", "2"}
    assert await on_thread(lambda: blocks.scale_in(block_ids=["0"])) == ["0"]
    assert await on_thread(blocks.get_total_live_workers) == 4
    assert await on_thread(blocks.get_total_tasks_outstanding) == 3
    assert await on_thread(blocks.get_outstanding_breakdown) == [("interchange", 3, True)]
    with pytest.raises(TypeError, match="block_ids is one text"):
        blocks.scale_in(block_ids="0")


async def test_the_simple_strategy_follows_the_load():
    runner = Runner(init=0, most=3, slots=2)
    strategy = SimpleStrategy(max_idletime=10)
    strategy.interchange = BlocksForStrategies(object(), runner, View(runner), asyncio.get_running_loop())
    runner.load = Load(5)
    strategy.strategize()
    assert runner.state.count == 3
    runner.work("0", "1", "2")
    runner.load = Load(1, frozenset({ManagerId("m0")}))
    for runner.now in (0.0, 10.0):
        strategy.strategize()
        assert runner.state.count == 3
    runner.now = 10.1
    strategy.strategize()
    assert runner.state.count == 1
    assert runner.state.phase(BlockId("0")) is not None


async def test_each_kind_of_task_has_blocks_of_its_own():
    runner = Runner(init=0, most=3)
    strategy = KubeSimpleStrategy(max_idletime=10)
    strategy.interchange = BlocksForStrategies(object(), runner, View(runner), asyncio.get_running_loop())
    runner.load = Load(9, kinds={"a": 7, "b": 2})
    strategy.strategize()
    kinds = [runner.state.kind(block_id) for block_id in runner.state.block_ids]
    assert sorted(kinds) == ["a", "a", "b"]
    runner.work(*runner.state.block_ids)
    runner.load = Load(1, kinds={"c": 1})
    strategy.strategize()
    strategy.strategize()
    living = [one for one in runner.state.block_ids if runner.state.phase(one) != "ending"]
    assert "c" in {runner.state.kind(block_id) for block_id in living}, (
        "an idle block of another kind makes room at once"
    )
