"""What is asked of a provider, and what becomes of its refusals."""

from __future__ import annotations

import asyncio

import pytest

from funcx_core.ids import BlockId, ManagerId
from funcx_endpoint.blocks import process
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.blocks.records import Load
from funcx_endpoint.executors import HighThroughputExecutor
from funcx_endpoint.strategies import KubeSimpleStrategy

pytest.importorskip("parsl.jobs")
from parsl.jobs.states import JobState, JobStatus
from parsl.providers.errors import SubmitException


class Provider:
    """Takes every job; what the test sets goes wrong."""

    label = "batch"
    has_kinds = True
    status_polling_interval = 60
    nodes_per_block = 1
    init_blocks = 0
    min_blocks = 0
    max_blocks = 2
    parallelism = 1.0
    cores_per_node = 1

    def __init__(self):
        self.submitted = []
        self.cancelled = []
        self.refuses = []
        self.states = {}

    def submit(self, command, tasks_per_node, job_name, **more):
        if self.refuses:
            raise self.refuses.pop()
        self.submitted.append((command, more))
        return len(self.submitted)

    def cancel(self, jobs):
        if self.refuses:
            raise self.refuses.pop()
        self.cancelled += jobs

    def status(self, jobs):
        return [self.states.get(job, JobStatus(JobState.PENDING)) for job in jobs]


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
async def runner(provider, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "CANCEL_AGAIN", 0.0)
    executor = HighThroughputExecutor(
        provider=provider,
        max_workers_per_node=1,
        launch_cmd="manager {block_id}",
        strategy=KubeSimpleStrategy(),
    )
    images = {"c1": "sklearn:1"}
    made = BlockRunner(executor, provider, folder=tmp_path, settings=tmp_path / "settings", image_of=images.__getitem__)
    made.open()
    yield made
    await made.close()


async def settle(runner):
    while runner._calls:
        await asyncio.gather(*runner._calls)


async def test_a_block_for_a_container_is_of_its_image_and_its_manager_takes_nothing_else(runner, provider):
    runner.follow(Load(3, kinds={"": 2, "c1": 1}), by_kind=True)
    await settle(runner)
    commands = dict(
        zip(["manager 0 --container ''", "manager 1 --container c1"], [{}, {"task_type": "sklearn:1"}], strict=True)
    )
    assert dict(provider.submitted) == commands


async def test_a_container_without_an_image_is_the_reason_that_its_block_fails(runner, provider):
    runner.follow(Load(1, kinds={"c9": 1}), by_kind=True)
    await settle(runner)
    assert provider.submitted == []
    assert runner.state.failures == 1
    assert "c9" in runner.reason


async def test_what_the_provider_says_about_a_refusal_is_the_reason(runner, provider):
    provider.refuses = [OSError("sbatch: invalid partition")]
    runner.scale_out(1)
    await settle(runner)
    assert runner.reason == "The provider refused the block: sbatch: invalid partition"


async def test_a_refusal_is_told_in_one_line_in_the_words_of_the_program_that_said_it(runner, provider):
    said = "sbatch: error: invalid partition\nsbatch: error: Batch job submission failed\n"
    provider.refuses = [SubmitException("job", "Could not read job ID", stdout="", stderr=said, retcode=1)]
    runner.scale_out(1)
    await settle(runner)
    words = "sbatch: error: invalid partition sbatch: error: Batch job submission failed"
    assert runner.reason == f"The provider refused the block: {words}"


async def test_a_provider_is_awaited_until_it_has_taken_a_block_that_is_wanted(runner, provider):
    assert not runner.state.awaits_provider
    provider.refuses = [OSError("no answer")]
    runner.scale_out(1)
    assert runner.state.awaits_provider
    await settle(runner)
    assert runner.state.awaits_provider
    runner.tick(now=asyncio.get_running_loop().time() + 60)
    await settle(runner)
    assert not runner.state.awaits_provider


async def test_what_could_not_be_cancelled_is_cancelled_again(runner, provider):
    runner.scale_out(1)
    await settle(runner)
    provider.refuses = [OSError("no answer"), OSError("no answer")]
    runner.scale_in(1)
    await settle(runner)
    for _ in range(2):
        assert provider.cancelled == []
        runner.tick(now=asyncio.get_running_loop().time())
        await settle(runner)
    assert provider.cancelled == ["1"]
    runner.tick(now=asyncio.get_running_loop().time())
    await settle(runner)
    assert provider.cancelled == ["1"], "once is enough"


async def test_the_end_of_the_agent_is_another_chance_to_cancel(runner, provider):
    runner.scale_out(1)
    await settle(runner)
    provider.refuses = [OSError("no answer")]
    runner.scale_in(1)
    await settle(runner)
    await runner.close()
    assert provider.cancelled == ["1"]


async def test_a_block_that_had_not_ended_after_all_can_still_be_cancelled(runner, provider):
    runner.scale_out(1)
    await settle(runner)
    provider.states = {"1": JobStatus(JobState.FAILED)}
    runner.tick(now=asyncio.get_running_loop().time() + 1)
    await settle(runner)
    assert runner.state.count == 0
    assert runner.reason == "The block ended (failed)."
    runner.manager_joined(BlockId("0"), ManagerId("m"))
    assert runner.state.count == 1
    runner.scale_in(1)
    await settle(runner)
    assert provider.cancelled == ["1"]


async def test_only_blocks_that_nothing_was_heard_of_are_asked_about(runner, provider):
    runner.scale_out(2)
    await settle(runner)
    runner.manager_joined(BlockId("0"), ManagerId("m"))
    assert runner._to_ask_about() == {BlockId("1"): "2"}
