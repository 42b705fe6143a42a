"""Real workers look at what they were given: accelerators, processors, folders."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.fake_interchange import FakeInterchange, fake_interchange


@pytest.fixture
async def ix(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    async with fake_interchange(tmp_path) as interchange:
        yield interchange


def look(seconds):
    import os
    import time

    time.sleep(seconds)
    names = (
        "CUDA_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "HIP_VISIBLE_DEVICES",
        "ZE_AFFINITY_MASK",
        "OMP_NUM_THREADS",
    )
    return {name: os.environ.get(name) for name in names}, sorted(os.sched_getaffinity(0))


async def both(ix: FakeInterchange) -> list[tuple[dict[str, str | None], list[int]]]:
    """Return what each of two workers sees: two tasks at the same time, none of which is over before the other began."""
    tasks = [ix.submit(look, 1) for _ in range(2)]
    return [await ix.value(task) for task in tasks]


async def test_each_worker_sees_its_own_accelerator(ix: FakeInterchange) -> None:
    await ix.start_manager(accelerators=["GPU-a", "GPU-b"])
    seen = [variables for variables, _ in await both(ix)]
    assert {variables["CUDA_VISIBLE_DEVICES"] for variables in seen} == {"GPU-a", "GPU-b"}
    for variables in seen:
        assert variables["CUDA_VISIBLE_DEVICES"] == variables["ROCR_VISIBLE_DEVICES"] == variables["ZE_AFFINITY_MASK"]
        assert variables["HIP_VISIBLE_DEVICES"] == "0"


async def test_workers_are_bound_to_processors_of_their_own(ix: FakeInterchange) -> None:
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        pytest.skip("one processor cannot be shared out")
    await ix.start_manager(cpu_affinity="block")
    (first, one), (_, other) = await both(ix)
    half = len(available) // 2
    assert sorted([one, other]) == [available[:half], available[half : 2 * half]]
    assert first["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS", str(half))


async def test_workers_that_are_not_bound_have_all_processors_and_no_variables(ix: FakeInterchange) -> None:
    await ix.start_manager()
    variables, where = await ix.run(look, 0)
    assert where == sorted(os.sched_getaffinity(0))
    assert variables["CUDA_VISIBLE_DEVICES"] == os.environ.get("CUDA_VISIBLE_DEVICES")


def write(name):
    from pathlib import Path

    if name:
        Path(name).write_text("left")
    return str(Path.cwd()), Path.cwd().stat().st_mode & 0o777, [path.name for path in Path().iterdir()]


async def test_each_task_has_a_folder_of_its_own(ix: FakeInterchange, tmp_path: Path) -> None:
    """U20: mode 0700, named by the task; what is in it stays, and an empty one goes."""
    await ix.start_manager(run_in_sandbox=True, working_dir=str(tmp_path / "tasks"))
    kept, empty = ix.task(write, "result.txt"), ix.task(write, "")
    again = type(kept)(kept.task_id, 2, kept.function_id, kept.payload)
    ix.lease([kept])
    assert await ix.value(kept.task_id) == (str(tmp_path / "tasks" / kept.task_id), 0o700, ["result.txt"])
    ix.lease([empty])
    assert await ix.value(empty.task_id) == (str(tmp_path / "tasks" / empty.task_id), 0o700, [])
    del ix.results[kept.task_id]
    ix.lease([again])
    where, _, files = await ix.value(kept.task_id)
    assert (where, files) == (str(tmp_path / "tasks" / f"{kept.task_id}-2"), ["result.txt"])
    await asyncio.sleep(0.1)
    left = {path.name for path in (tmp_path / "tasks").iterdir() if not path.name.startswith("worker-")}
    assert left == {kept.task_id, f"{kept.task_id}-2"}


async def test_a_folder_that_cannot_be_made_is_the_tasks_error(ix: FakeInterchange, tmp_path: Path) -> None:
    await ix.start_manager(run_in_sandbox=True, working_dir=str(tmp_path / "tasks"))
    await ix.run(write, "")
    task = ix.task(write, "")
    (tmp_path / "tasks" / task.task_id).write_text("in the way")
    ix.lease([task])
    with pytest.raises(OSError, match="File exists"):
        await ix.value(task.task_id)
    assert await ix.run(write, "")
