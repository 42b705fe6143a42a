"""Commands as tasks of a real manager: whatever becomes of their worker, none of their processes is left."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx import ShellFunction
from funcx_core import errors
from funcx_core.protocol.endpoint import GiveBack
from funcx_core.protocol.task import TaskState
from tests.support.fake_interchange import FakeInterchange, fake_interchange

ALL = ("worker", "child", "shell")


@pytest.fixture
async def ix(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    async with fake_interchange(tmp_path) as interchange:
        await interchange.start_manager(workers=1, max_output=10_000)
        yield interchange


def stubborn(folder: Path) -> ShellFunction:
    return ShellFunction(
        f"trap '' TERM INT; sleep 300 & echo $! > {folder}/child; echo $PPID > {folder}/worker; "
        f"echo $$ > {folder}/shell; while true; do sleep 300; done"
    )


def pids(folder: Path, *names: str) -> list[int]:
    files = [folder / name for name in names]
    if not all(file.exists() and file.read_text() for file in files):
        return []
    return [int(file.read_text()) for file in files]


def size_of(path: str) -> int:
    return Path(path).stat().st_size


def all_gone(found: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in found)


async def test_a_command_dies_with_its_worker(ix: FakeInterchange, tmp_path: Path) -> None:
    task_id = ix.submit(stubborn(tmp_path))
    await ix.until(lambda: pids(tmp_path, *ALL), 20)
    worker, *found = pids(tmp_path, *ALL)
    os.kill(worker, signal.SIGKILL)
    assert isinstance(await ix.ends(task_id), GiveBack)
    await ix.until(lambda: all_gone(found), 15)


@pytest.mark.parametrize(("force", "grace"), [(True, 2.0), (False, 0.05)], ids=["at once", "faster than SIGTERM works"])
async def test_a_command_that_ignores_signals_is_cancelled(ix: FakeInterchange, tmp_path, force, grace) -> None:
    task_id = ix.submit(stubborn(tmp_path), interrupt_grace=grace)
    await ix.until(lambda: pids(tmp_path, *ALL), 20)
    _, *found = pids(tmp_path, *ALL)
    ix.cancel(task_id, force=force)
    result = await ix.ends(task_id, 20)
    assert (result.state, result.error.code) == (TaskState.CANCELLED, errors.TaskCancelled.code)
    await ix.until(lambda: all_gone(found), 15)
    assert (await ix.run(ShellFunction("echo next"))).stdout == "next\n"


async def test_a_flood_is_cut_for_its_user_and_whole_in_its_file(ix: FakeInterchange) -> None:
    result = await ix.run(ShellFunction("seq 1000000"))
    assert result.stdout.endswith("\n999999\n1000000\n")
    assert result.stdout.count("\n") == 1000
    assert size_of(result.stdout_path) == 6_888_896
    assert sum(len(event.body) for event in ix.events if event.kind == "stdout") <= 10_000 + 1_250  # the end
    assert [event.kind for event in ix.events].count("truncated") == 1
    assert ix.events[-1].body.endswith(b"\n1000000\n")
