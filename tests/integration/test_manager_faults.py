"""A real manager with real workers: what dies, and what becomes of the tasks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from funcx_core.protocol.endpoint import GiveBack
from funcx_core.protocol.task import TaskResult
from funcx_endpoint.manager.journal import forget, recover
from tests.support.fake_interchange import FakeInterchange, fake_interchange


@pytest.fixture
async def ix(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    async with fake_interchange(tmp_path) as interchange:
        await interchange.start_manager()
        yield interchange


def add(a, b):
    return a + b


def nap(seconds):
    import time

    time.sleep(seconds)
    return "rested"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tree(pid: int) -> list[int]:
    return [pid, *(grandchild for child in children(pid) for grandchild in tree(child))]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def gone(pids: list[int], within: float) -> None:
    began = time.monotonic()
    while any(map(is_alive, pids)):
        assert time.monotonic() < began + within, [pid for pid in pids if is_alive(pid)]
        await asyncio.sleep(0.02)


async def idle_workers(ix: FakeInterchange, count: int = 2) -> list[int]:
    [manager] = [process.pid for process in ix._processes]
    await ix.until(lambda: len(children(manager)) == count)
    ends = [ix.submit(nap, 0.05) for _ in range(2 * count)]
    for task_id in ends:
        await ix.ends(task_id)
    return children(manager)


async def test_killing_idle_workers_never_wedges_the_manager(ix: FakeInterchange) -> None:
    """F21"""
    await ix.run(add, 1, 1)
    [manager] = ix._processes
    for step in range(10):
        await ix.until(lambda: len(children(manager.pid)) == 2)
        os.kill(children(manager.pid)[step % 2], signal.SIGKILL)
        tasks = [ix.submit(add, step, n) for n in range(8)]
        for task_id in tasks:
            await ix.ends(task_id, 5)
        for task_id in tasks:
            if task_id in ix.lost:
                # Only if it had begun within the microseconds of the kill.
                assert ix.lost[task_id].details["signal"] == 9
    assert len(ix.lost) <= 2


async def test_killing_a_busy_worker_loses_its_task_alone_and_at_once(ix: FakeInterchange) -> None:
    """F22"""
    busy, other = ix.submit(nap, 60), ix.submit(nap, 1.5)
    await ix.until(lambda: len(ix.transitions) == 2)
    behind = ix.submit(add, 1, 2)
    workers = children(ix._processes[0].pid)
    os.kill(workers[0], signal.SIGKILL)
    assert await ix.until(lambda: ix.lost, 2) < 1
    [(lost, message)] = ix.lost.items()
    assert lost in {busy, other}
    assert (message.reason, message.details["signal"], message.details["oom"]) == ("worker_lost", 9, False)
    assert message.details["hostname"]
    assert await ix.value(behind, 3) == 3
    if lost == busy:
        assert await ix.value(other, 3) == "rested"


def crash():
    import ctypes

    ctypes.string_at(0)


def exit_hard():
    import os

    os._exit(7)


def close_everything():
    import os
    import time

    os.closerange(3, 65536)
    time.sleep(60)


def close_the_usual():
    import os

    os.closerange(3, 256)
    return "fine"


async def test_a_crash_says_what_happened_and_where(ix: FakeInterchange) -> None:
    """U09"""
    ended = await ix.ends(ix.submit(crash))
    assert isinstance(ended, GiveBack)
    assert ended.details["signal"] == signal.SIGSEGV
    assert "Segmentation fault" in ended.details["stderr"]
    ended = await ix.ends(ix.submit(exit_hard))
    assert isinstance(ended, GiveBack)
    assert (ended.details["signal"], ended.details["exitcode"]) == (None, 7)
    assert await ix.run(add, 1, 1) == 2


async def test_a_crash_takes_no_result_of_an_earlier_task_with_it(ix: FakeInterchange) -> None:
    await ix.run(add, 0, 0)
    for _ in range(3):
        await ix.ends(ix.submit(exit_hard))
    tasks = [ix.task(exit_hard) if n % 20 == 19 else ix.task(add, n, n) for n in range(200)]
    ix.lease(tasks)
    await ix.until(lambda: len(ix.lost) == 3 + 10, 30)
    for n, task in enumerate(tasks):
        if n % 20 != 19:
            assert await ix.value(task.task_id, 20) == 2 * n
    assert ix.duplicates == 0


async def test_closing_descriptors_ends_in_a_loss_and_not_in_a_hang(ix: FakeInterchange) -> None:
    """U19"""
    assert await ix.run(close_the_usual) == "fine"
    ended = await ix.ends(ix.submit(close_everything), 3)
    assert isinstance(ended, GiveBack)
    assert await ix.run(add, 1, 1) == 2


async def test_a_kill_around_the_end_of_a_task_gives_exactly_one_end(ix: FakeInterchange) -> None:
    """F22"""
    for step in range(15):
        workers = await idle_workers(ix)
        task_id = ix.submit(nap, 0.02)
        await asyncio.sleep(0.002 * step)
        os.kill(workers[step % 2], signal.SIGKILL)
        await ix.ends(task_id, 5)
    await asyncio.sleep(0.3)
    assert ix.duplicates == 0
    assert not ix.results.keys() & ix.lost.keys()


@pytest.fixture
def agent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the endpoint's agent."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


async def test_everything_is_gone_two_seconds_after_the_agent(tmp_path: Path, agent: subprocess.Popen[bytes]) -> None:
    """F15"""
    async with fake_interchange(tmp_path) as ix:
        manager = await ix.start_manager(agent_pid=agent.pid)

        def sleep_in_child():
            import subprocess

            subprocess.run(["sleep", "978"], check=True)

        ix.submit(sleep_in_child)
        await ix.until(lambda: ix.transitions)
        pids = tree(manager.pid)
        assert len(pids) == 4
        agent.kill()
        agent.wait()
        await gone(pids, 2)


async def test_a_manager_without_its_agent_does_not_even_begin(tmp_path: Path, agent: subprocess.Popen[bytes]) -> None:
    agent.kill()
    agent.wait()
    async with fake_interchange(tmp_path) as ix:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await ix.start_manager(agent_pid=agent.pid)
        assert ix._processes[0].poll() == 0


async def test_the_workers_die_with_their_manager(ix: FakeInterchange) -> None:
    ix.submit(nap, 60)
    await ix.until(lambda: ix.transitions)
    pids = tree(ix._processes[0].pid)
    ix._processes[0].kill()
    await asyncio.to_thread(ix._processes[0].wait)
    await gone(pids, 1)


async def test_after_everything_was_killed_the_journal_knows_what_had_started(ix: FakeInterchange) -> None:
    await ix.run(add, 1, 1)
    running = [ix.submit(nap, 60) for _ in range(2)]
    waiting = [ix.submit(nap, 60) for _ in range(2)]
    await ix.until(lambda: len(ix.transitions) == 2)
    [manager] = ix._processes
    manager.kill()
    await asyncio.to_thread(manager.wait)
    found = {recovered.lease.task_id: recovered.started for recovered in recover(ix.folder / "leases")}
    assert {task_id for task_id, started in found.items() if started} >= set(running)
    assert not [task_id for task_id in waiting if found.get(task_id)]
    forget(ix.folder / "leases")
    assert recover(ix.folder / "leases") == []


async def test_a_silent_interchange_costs_nothing_but_time(tmp_path: Path) -> None:
    async with fake_interchange(tmp_path) as ix:
        manager = await ix.start_manager(heartbeat_period=0.2, heartbeat_threshold=0.5)
        workers = await idle_workers(ix)
        task_id = ix.submit(nap, 1)
        await asyncio.sleep(2)  # Four thresholds of silence: this interchange sends no heartbeats.
        assert await ix.value(task_id) == "rested"
        assert len(ix.managers) == 1
        assert children(manager.pid) == workers


async def test_a_refused_manager_ends_with_its_workers(ix: FakeInterchange) -> None:
    ix.submit(nap, 60)
    await ix.until(lambda: ix.transitions)
    pids = tree(ix._processes[0].pid)
    ix.refuse()
    assert await asyncio.to_thread(ix._processes[0].wait, 3) == 0
    await gone(pids, 1)


async def test_a_stopped_manager_goes_on_where_it_was(ix: FakeInterchange) -> None:
    """F20"""
    await ix.run(add, 1, 1)
    task_id = ix.submit(nap, 0.2)
    [manager] = ix._processes
    os.kill(manager.pid, signal.SIGSTOP)
    await asyncio.sleep(1.5)
    os.kill(manager.pid, signal.SIGCONT)
    assert await ix.value(task_id) == "rested"
    assert ix.duplicates == 0


async def test_garbage_from_the_interchange_is_dropped(ix: FakeInterchange) -> None:
    """F28"""
    route, _ = next(iter(ix.managers.values()))
    assert ix.router.send(route, b"\xff\x00 garbage")
    assert await ix.run(add, 2, 2) == 4


async def test_a_sigterm_gives_back_what_waits_and_finishes_what_runs(ix: FakeInterchange) -> None:
    running = [ix.submit(nap, 0.6) for _ in range(2)]
    waiting = [ix.submit(nap, 0.6) for _ in range(2)]
    await ix.until(lambda: len(ix.transitions) == 2)
    ix._processes[0].send_signal(signal.SIGTERM)
    for task_id in running:
        ended = await ix.ends(task_id, 3)
        assert isinstance(ended, TaskResult)
    await ix.until(lambda: ix.drained)
    assert {lease.task_id for lease in ix.given_back} == set(waiting)


async def test_a_manager_removes_its_empty_folders(ix: FakeInterchange, tmp_path: Path) -> None:
    def leave_a_file():
        from pathlib import Path

        Path("kept").write_text("by its user")

    assert len(list((tmp_path / "work").iterdir())) == 1
    await ix.run(add, 1, 1)
    ix.drain(1)
    assert await asyncio.to_thread(ix._processes[0].wait, 5) == 0
    assert list((tmp_path / "work").iterdir()) == []
    assert list((tmp_path / "leases").iterdir()) == []
    await ix.start_manager()
    await ix.run(leave_a_file)
    ix.drain(1)
    assert await asyncio.to_thread(ix._processes[1].wait, 5) == 0
    assert [path.name for path in (tmp_path / "work").rglob("*") if path.is_file()] == ["kept"]


async def test_a_sigterm_at_any_time_of_the_start_ends_the_manager_cleanly(tmp_path: Path) -> None:
    async with fake_interchange(tmp_path) as ix:
        ix.settings().save(tmp_path / "settings.json")
        command = [sys.executable, "-m", "funcx_endpoint.manager", "--block-id", "b"]
        for wait in (0.2, 0.35, 0.5, 0.65, 0.8):
            process = await asyncio.create_subprocess_exec(*command, "--settings", str(tmp_path / "settings.json"))
            await asyncio.sleep(wait)
            below = tree(process.pid)
            process.terminate()
            # Before its first line of code it is ended by the signal itself.
            assert await asyncio.wait_for(process.wait(), 5) in {0, -signal.SIGTERM}
            await gone(below, 2)
            assert not list((tmp_path / "leases").glob("*"))


async def test_what_is_not_acknowledged_is_remembered_on_disk(ix: FakeInterchange, tmp_path: Path) -> None:
    ix.acknowledges = False
    task_id = ix.submit(add, 1, 1)
    await ix.value(task_id)
    [manager] = ix._processes
    manager.kill()
    await asyncio.to_thread(manager.wait)
    assert [(found.lease.task_id, found.started) for found in recover(tmp_path / "leases")] == [(task_id, True)]


async def test_what_is_acknowledged_is_forgotten_on_disk(ix: FakeInterchange, tmp_path: Path) -> None:
    for number in range(3):
        await ix.run(add, number, 1)
    await ix.until(lambda: recover(tmp_path / "leases") == [])
    [manager] = ix._processes
    manager.kill()
    await asyncio.to_thread(manager.wait)
    assert recover(tmp_path / "leases") == []


async def test_a_full_disk_under_the_journal_ends_nothing(ix: FakeInterchange) -> None:
    """F31"""
    await ix.run(add, 1, 1)
    running = ix.submit(nap, 1.0)
    await ix.until(lambda: ix.transitions)
    [manager] = ix._processes
    # No file of the manager may grow: what a full disk does, without one.
    await asyncio.to_thread(subprocess.run, ["prlimit", f"--pid={manager.pid}", "--fsize=1:unlimited"], check=True)
    refused = ix.submit(add, 2, 2)
    await ix.until(lambda: [lease for lease in ix.given_back if lease.task_id == refused])
    assert ix.states[-1] == "disk-full"
    assert await ix.value(running) == "rested"
    await asyncio.to_thread(subprocess.run, ["prlimit", f"--pid={manager.pid}", "--fsize=unlimited"], check=True)
    await ix.until(lambda: ix.states[-1] == "")
    assert await ix.run(add, 3, 3) == 6
