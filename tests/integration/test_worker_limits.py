"""A real manager with real workers: what bounds a worker, and what its task's user is told."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core import errors
from funcx_core.protocol.endpoint import GiveBack
from tests.support.fake_interchange import FakeInterchange, fake_interchange


@pytest.fixture
async def ix(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    async with fake_interchange(tmp_path) as interchange:
        yield interchange


async def start(ix: FakeInterchange, **settings: Any) -> None:
    # This interchange sends no heartbeats, and a task that it leases while a manager registers again is lost on it.
    await ix.start_manager(heartbeat_threshold=60.0, **settings)


def pid():
    import os

    return os.getpid()


def nap(seconds):
    import time

    time.sleep(seconds)
    return "rested"


def eat(megabytes):
    import time

    eaten = [bytearray(b"x" * 1_000_000) for _ in range(megabytes)]
    time.sleep(60)
    return len(eaten)


def eat_in_children(megabytes, number):
    import os
    import time

    shared = bytearray(b"x" * 1_000_000 * megabytes)
    for _ in range(number):
        if not os.fork():
            time.sleep(60)
            os._exit(0)
    time.sleep(1)
    return len(shared)


async def test_a_task_over_its_memory_is_stopped_and_no_other(ix: FakeInterchange) -> None:
    """U10: 4 GB are asked for, 512 MB allowed. Within a look or two the worker is gone, and the other one goes on."""
    await start(ix, memory_limit=512_000_000)
    other = ix.submit(nap, 2)
    ended = await ix.ends(ix.submit(eat, 4000), 10)
    assert isinstance(ended, GiveBack)
    assert (ended.reason, ended.details["oom"], ended.details["signal"]) == ("worker_lost", True, signal.SIGKILL)
    assert 512_000_000 == ended.details["memory_limit"] < ended.details["memory_used"] < 4_000_000_000
    assert await ix.value(other) == "rested"
    assert len(ix.lost) == 1
    assert await ix.run(nap, 0) == "rested"


async def test_memory_that_forked_children_share_counts_once(ix: FakeInterchange) -> None:
    """U10: eight children of a task that holds 100 MB do not use 900 MB."""
    await start(ix, memory_limit=400_000_000)
    assert await ix.run(eat_in_children, 100, 8) == 100_000_000


async def test_memory_of_children_counts(ix: FakeInterchange) -> None:
    """U10: what a task's children use is the task's."""

    def eat_in_a_child():
        import subprocess
        import sys

        subprocess.run([sys.executable, "-c", "x = b'x' * 600_000_000; import time; time.sleep(60)"], check=True)

    await start(ix, memory_limit=400_000_000)
    ended = await ix.ends(ix.submit(eat_in_a_child), 10)
    assert isinstance(ended, GiveBack)
    assert ended.details["oom"]


def bomb(number, folder):
    import os
    import time
    from pathlib import Path

    for _ in range(number):
        if not os.fork():
            os.setsid()
            (Path(folder) / str(os.getpid())).touch()
            time.sleep(60)
            os._exit(0)
    time.sleep(60)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_fork_bomb_ends_with_all_its_processes(ix: FakeInterchange, tmp_path: Path) -> None:
    """U14: of 600 sleepers none is left, the limit being 512; the next task runs."""
    sparks = tmp_path / "sparks"
    sparks.mkdir()
    await start(ix)
    ended = await ix.ends(ix.submit(bomb, 600, str(sparks)), 20)
    assert isinstance(ended, GiveBack)
    assert (ended.reason, ended.details["oom"]) == ("worker_lost", False)
    assert 512 == ended.details["processes_limit"] < ended.details["processes_used"]
    assert await ix.run(nap, 0) == "rested"
    began = time.monotonic()
    while left := [spark.name for spark in sparks.iterdir() if is_alive(spark.name)]:
        assert time.monotonic() < began + 10, left
        await asyncio.sleep(0.05)


async def test_a_task_may_have_as_many_processes_as_it_is_allowed(ix: FakeInterchange) -> None:
    """U14: ordinary parallel work is not stopped."""

    def parallel():
        import multiprocessing
        import time

        with multiprocessing.get_context("fork").Pool(8) as pool:
            time.sleep(0.5)
            return pool.map(abs, range(-8, 0))

    await start(ix, process_limit=10)
    assert await ix.run(parallel) == list(range(8, 0, -1))


async def test_a_function_whose_import_hangs_is_an_error_of_loading(ix: FakeInterchange, tmp_path: Path) -> None:
    """U18: a module joins a thread that imports it. Twice the `load_timeout` later the user reads where it waits."""
    module = tmp_path / "joins_itself.py"
    module.write_text(
        "import threading\n"
        "thread = threading.Thread(target=lambda: __import__('joins_itself').missing)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    await start(ix, load_timeout=1.0)
    await ix.run(nap, 0)
    load = f"sys.path.insert(0, {str(tmp_path)!r}); import joins_itself"
    task = task_loaded_by(ix, f"import os, sys\nif os.getpid() != {os.getpid()}: {load}")
    began = time.monotonic()
    with pytest.raises(errors.FunctionLoadError, match="load_timeout") as raised:
        await ix.value(task, 20)
    assert 1 <= time.monotonic() - began < 10
    assert "joins_itself.py" in raised.value.details["stderr"]
    assert not ix.lost
    assert await ix.run(nap, 0) == "rested"


def task_loaded_by(ix: FakeInterchange, text: str) -> Any:
    """Lease a task of a function that runs `text` when it is loaded, here too, where it is packed."""
    from funcx_core.ids import new_function_id, new_task_id
    from funcx_core.protocol.endpoint import TaskBatch
    from funcx_core.protocol.task import Function, Task
    from funcx_core.serialize import pack_call, pack_function

    class LoadedBy:
        def __init__(self, text: str) -> None:
            self.text = text

        def __reduce__(self) -> tuple[Any, ...]:
            return exec, (self.text,)

    loaded_by = LoadedBy(text)

    def function(loaded=loaded_by):
        return loaded

    body = Function(new_function_id(), "function", pack_function(function))
    task = Task(new_task_id(), 1, body.function_id, pack_call((), {}))
    [(_, registration)] = ix.managers.values()
    ix.send(TaskBatch([task], [body], registration.session))
    return task.task_id


async def test_a_worker_is_replaced_after_so_many_tasks(ix: FakeInterchange) -> None:
    """U20, U24: with `max_tasks_per_worker=1` each task has a process of its own, and none is lost by that."""
    await start(ix, max_tasks=1)
    tasks = [ix.submit(pid) for _ in range(10)]
    pids = [await ix.value(task) for task in tasks]
    assert len(set(pids)) == 10
    assert not ix.lost
    assert ix.duplicates == 0


async def test_a_worker_that_is_replaced_takes_nothing_with_it(ix: FakeInterchange) -> None:
    """U20: chunks are dealt to workers that are about to give way; each task runs once all the same."""
    await start(ix, max_tasks=30)
    for _ in range(5):
        await ix.run(pid)
    tasks = [ix.task(pid) for _ in range(300)]
    ix.lease(tasks)
    await ix.until(lambda: all(task.task_id in ix.results for task in tasks), 20)
    assert not ix.lost
    assert ix.duplicates == 0
    pids = [await ix.value(task.task_id) for task in tasks]
    assert max(pids.count(one) for one in pids) <= 30


async def test_a_worker_that_tasks_leave_threads_in_is_replaced(ix: FakeInterchange) -> None:
    """U21: 50 threads that do not end."""

    def leave_threads(number):
        import os
        import threading

        for _ in range(number):
            threading.Thread(target=threading.Event().wait, daemon=False).start()
        return os.getpid()

    await start(ix, workers=1)
    few = await ix.run(leave_threads, 3)
    assert await ix.run(pid) == few
    many = await ix.run(leave_threads, 50)
    assert many == few
    assert await ix.run(pid) != many
    assert not ix.lost


async def test_a_worker_that_has_grown_is_replaced(ix: FakeInterchange) -> None:
    """U21: a task leaves 150 MB in a module; 100 MB are allowed."""

    def grow(megabytes):
        import os
        import sys

        sys.grown = bytearray(b"x" * 1_000_000 * megabytes)
        return os.getpid()

    await start(ix, workers=1, max_growth=100_000_000)
    little = await ix.run(grow, 20)
    await asyncio.sleep(0.3)
    assert await ix.run(pid) == little
    await asyncio.sleep(0.3)
    much = await ix.run(grow, 150)
    assert much == little
    assert await ix.run(pid) != much
    assert not ix.lost
