"""A real manager with real workers: what tasks do, and how they end."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core import errors
from funcx_core.logs import Level
from funcx_core.protocol.endpoint import GiveBack
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.serialize import unpack_value
from tests.support.fake_interchange import FakeInterchange, fake_interchange


@pytest.fixture
async def ix(tmp_path: Path) -> AsyncIterator[FakeInterchange]:
    async with fake_interchange(tmp_path) as interchange:
        await interchange.start_manager(max_result=1_000_000, max_output=100_000)
        yield interchange


def exists(pid: object) -> bool:
    return Path(f"/proc/{pid}").exists()


def add(a, b):
    return a + b


def nap(seconds):
    import time

    time.sleep(seconds)
    return "rested"


def pid():
    import os

    return os.getpid()


async def test_a_task_runs_and_tells_its_times(ix: FakeInterchange) -> None:
    task_id = ix.submit(add, 1, 2)
    assert await ix.value(task_id) == 3
    times = ix.results[task_id].times
    assert 0 < times.manager <= times.started <= times.ended


async def test_many_short_tasks_all_come_back(ix: FakeInterchange) -> None:
    tasks = [ix.task(add, n, n) for n in range(3000)]
    for start in range(0, 3000, 500):
        ix.lease(tasks[start : start + 500])
    await ix.until(lambda: len(ix.results) == 3000, 30)
    assert [await ix.value(task.task_id) for task in tasks] == [2 * n for n in range(3000)]
    assert ix.duplicates == 0
    assert not ix.events
    assert not ix.transitions


async def test_large_arguments_and_results_travel(ix: FakeInterchange) -> None:
    def echo(value):
        return value

    values = [os.urandom(900_000) for _ in range(6)]
    tasks = [ix.submit(echo, value) for value in values]
    assert [await ix.value(task) for task in tasks] == values


async def test_a_chunk_of_calls_gives_a_list_and_fails_at_its_first_exception(ix: FakeInterchange) -> None:
    from funcx_core.ids import new_task_id
    from funcx_core.protocol.task import Task
    from funcx_core.serialize import pack_calls

    function = ix.function(divide)
    good = Task(new_task_id(), 1, function.function_id, pack_calls([(4, 2), (9, 3)]))
    bad = Task(new_task_id(), 1, function.function_id, pack_calls([(4, 2), (9, 0)]))
    ix.lease([good, bad])
    assert await ix.value(good.task_id) == [2, 3]
    with pytest.raises(ZeroDivisionError):
        await ix.value(bad.task_id)


def divide(a, b):
    return a / b


async def test_an_exception_of_the_function_arrives_as_itself(ix: FakeInterchange) -> None:
    """U01"""
    with pytest.raises(ZeroDivisionError) as raised:
        await ix.run(divide, 1, 0)
    assert "return a / b" in raised.value.funcx.traceback
    assert "funcx_endpoint" not in raised.value.funcx.traceback


def exit_3():
    import sys

    sys.exit(3)


def interrupt_itself():
    raise KeyboardInterrupt("mine")


def generator_exit():
    raise GeneratorExit


async def test_exits_are_errors_of_the_task_and_the_worker_lives_on(ix: FakeInterchange) -> None:
    """U08"""
    pids = set()
    for function in (pid, exit_3, interrupt_itself, generator_exit, pid, pid):
        ended = await ix.ends(ix.submit(function))
        assert isinstance(ended, TaskResult)
        if function is pid:
            pids.add(unpack_value(ended.value))
        else:
            assert ended.error.code == "remote_task_error"
    assert len(pids) <= 2  # No worker was replaced: nothing was lost either.
    assert not ix.lost


async def test_what_cannot_be_loaded_or_sent_has_a_type(ix: FakeInterchange) -> None:
    """U05, U07"""

    def lock():
        import threading

        return {"a": [threading.Lock()]}

    with pytest.raises(errors.ResultNotSerializable, match="lock"):
        await ix.run(lock)

    def big():
        return b"x" * 1_000_001

    with pytest.raises(errors.ResultTooLarge) as raised:
        await ix.run(big)
    assert raised.value.details["limit"] == 1_000_000

    broken = ix.task(add)
    ix.lease([type(broken)(broken.task_id, 1, broken.function_id, b"garbage")])
    with pytest.raises(errors.ArgumentLoadError):
        await ix.value(broken.task_id)

    from funcx_core.ids import FunctionId, TaskId
    from funcx_core.protocol.endpoint import TaskBatch
    from funcx_core.protocol.task import Function, Task

    task, function = Task(TaskId("t"), 1, FunctionId("g"), broken.payload), Function(FunctionId("g"), "g", b"??")
    [(_, registration)] = ix.managers.values()
    ix.send(TaskBatch([task], [function], registration.session))
    with pytest.raises(errors.FunctionLoadError):
        await ix.value(TaskId("t"))


async def test_printed_text_and_events_arrive_in_order_before_the_result(ix: FakeInterchange) -> None:
    def talk():
        import sys

        from funcx_core.protocol.task import EventKind
        from funcx_endpoint.worker.capture import emit

        print("one")
        emit(EventKind.DISPLAY, b'{"data":{}}')
        print("two", end="")
        print("three", file=sys.stderr)
        sys.stdout.buffer.write("fünf\n".encode())
        print("\ud800")
        return sys.stdout.fileno()

    task_id = ix.submit(talk)
    assert await ix.value(task_id) == 1
    seen = [(event.kind.value, event.body.decode()) for event in ix.events]
    assert seen == [
        ("stdout", "one\n"),
        ("display", '{"data":{}}'),
        ("stdout", "two"),
        ("stderr", "three\n"),
        ("stdout", "fünf\n\\ud800\n"),
    ]
    sequence = [event.seq for event in ix.events]
    assert sequence == sorted(set(sequence))


async def test_a_line_arrives_while_the_task_runs(ix: FakeInterchange) -> None:
    def slow():
        import time

        for n in range(3):
            print("line", n)
        time.sleep(60)

    task_id = ix.submit(slow)
    await ix.until(lambda: "line 2" in ix.text(task_id))
    assert task_id not in ix.results
    ix.cancel(task_id, force=True)


async def test_output_of_c_code_and_children_belongs_to_its_task(ix: FakeInterchange) -> None:
    def shout(word):
        import ctypes
        import os
        import subprocess

        os.write(1, f"raw {word}\n".encode())
        subprocess.run(["echo", "child", word], check=True)
        ctypes.CDLL(None).printf(f"printf {word}\n".encode())
        os.write(2, f"err {word}\n".encode())

    tasks = {word: ix.submit(shout, word) for word in ("a", "b", "c", "d")}
    for word, task_id in tasks.items():
        await ix.value(task_id)
        assert ix.text(task_id, "stdout") == f"raw {word}\nchild {word}\nprintf {word}\n"
        assert ix.text(task_id, "stderr") == f"err {word}\n"


async def test_short_tasks_in_one_chunk_keep_their_raw_output_apart(ix: FakeInterchange) -> None:
    def mark(n):
        import os

        if n % 7 == 0:
            os.write(1, b"%d" % n)

    tasks = [ix.task(mark, n) for n in range(500)]
    ix.lease(tasks)
    await ix.until(lambda: len(ix.results) == 500)
    assert {ix.text(task.task_id) for task in tasks[::7]} == {str(n) for n in range(0, 500, 7)}
    assert [ix.text(task.task_id) for task in tasks[::7]] == [str(n) for n in range(0, 500, 7)]


async def test_a_flood_of_output_is_cut_and_nothing_blocks(ix: FakeInterchange) -> None:
    """U15"""

    def flood():
        line = "x" * 999
        for _ in range(200_000):
            print(line)

    task_id = ix.submit(flood)
    await ix.value(task_id, 30)
    assert len(ix.text(task_id, "stdout")) == 112_000  # the beginning, and a few lines from the end
    [cut] = [event for event in ix.events if event.kind == "truncated"]
    assert cut.body == b'{"bytes": %d, "lines": %d}' % (200_000_000 - 112_000, 200_000 - 112)


async def test_a_flood_from_a_child_is_cut_too(ix: FakeInterchange) -> None:
    """U15"""

    def flood():
        import os

        os.system("head -c 50000000 /dev/zero | tr '\\0' y")

    task_id = ix.submit(flood)
    await ix.value(task_id, 30)
    assert len(ix.text(task_id, "stdout")) == 100_000
    assert ix.events[-1].kind == "truncated"


async def test_a_task_finds_its_worker_as_if_it_were_new(ix: FakeInterchange) -> None:
    """U20"""
    workers: dict[int, object] = {}
    for step in range(12):
        where = await ix.run(surroundings, step % 3 == 1)
        assert workers.setdefault(where[0], where[1]) == where[1]


def surroundings(pollute):
    import os
    import signal
    import sys
    import warnings
    from pathlib import Path

    mask = os.umask(0)
    os.umask(mask)
    found = (
        str(Path.cwd()),
        os.environ.get("POLLUTED"),
        "HOME" in os.environ,
        mask,
        "/nowhere" in sys.path,
        sys.stdout is None,
        str(warnings.filters[:1]),
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        signal.getsignal(signal.SIGALRM) == signal.SIG_DFL,
        signal.alarm(0),
        len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    )
    if pollute:
        Path("deeper").mkdir(exist_ok=True)
        os.chdir("deeper")
        os.environ["POLLUTED"] = "1"
        os.environ.pop("HOME", None)
        os.umask(0)
        sys.path.insert(0, "/nowhere")
        sys.stdout = None
        warnings.simplefilter("error")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.alarm(100)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    return os.getpid(), found


async def test_secrets_of_the_endpoint_are_not_in_a_workers_environment(ix: FakeInterchange) -> None:
    def environment():
        from pathlib import Path

        return Path("/proc/self/environ").read_bytes()

    assert b"canary-token" not in await ix.run(environment)


async def test_a_child_that_returns_from_the_function_ends_there(ix: FakeInterchange) -> None:
    """U12"""

    def fork():
        import os

        os.fork()
        return os.getpid()

    before = await ix.run(pid)
    assert await ix.run(fork) in {before, await ix.run(pid)}
    await asyncio.sleep(0.3)
    assert ix.duplicates == 0
    assert await ix.run(add, 1, 1) == 2


async def test_multiprocessing_by_fork_works_in_a_task(ix: FakeInterchange) -> None:
    def parallel():
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, [-1, -2, -3])

    assert await ix.run(parallel) == [1, 2, 3]


async def test_orphans_of_a_task_are_killed(ix: FakeInterchange) -> None:
    """U13"""

    def daemonize():
        import os
        import subprocess
        import time

        read, write = os.pipe()
        if not os.fork():
            os.setsid()
            sleeper = subprocess.Popen(["sleep", "987"])
            os.write(write, str(sleeper.pid).encode())
            os._exit(0)
        os.close(write)
        orphan = int(os.read(read, 100))
        time.sleep(0.1)
        return orphan

    orphan = await ix.run(daemonize)
    began = time.monotonic()
    while exists(orphan):
        assert time.monotonic() < began + 1
        await asyncio.sleep(0.02)


def ignore_signals(seconds):
    import signal
    import time

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


async def test_a_running_task_is_cancelled_and_its_worker_stays(ix: FakeInterchange) -> None:
    def show_pid_and_nap():
        import os
        import time

        print(os.getpid())
        time.sleep(60)

    task_id = ix.submit(show_pid_and_nap)
    await ix.until(lambda: ix.transitions and ix.text(task_id))
    assert ix.transitions[0].state is TaskState.RUNNING
    ix.cancel(task_id)
    with pytest.raises(errors.TaskCancelled):
        await ix.value(task_id, 2)
    assert exists(ix.text(task_id).strip())


async def test_a_task_that_ignores_signals_is_killed_in_the_end(ix: FakeInterchange) -> None:
    """U17"""
    task_id = ix.submit(ignore_signals, 60, interrupt_grace=0.3)
    await ix.until(lambda: ix.transitions)
    ix.cancel(task_id)
    began = time.monotonic()
    with pytest.raises(errors.TaskCancelled):
        await ix.value(task_id, 3)
    assert time.monotonic() - began > 0.5
    assert await ix.run(add, 1, 1) == 2


async def test_waiting_tasks_are_cancelled_without_touching_the_others(ix: FakeInterchange) -> None:
    running = [ix.submit(nap, 0.5) for _ in range(2)]
    waiting = [ix.submit(nap, 0.5) for _ in range(3)]
    ix.cancel(*waiting[:2])
    for task_id in waiting[:2]:
        with pytest.raises(errors.TaskCancelled, match="before it started"):
            await ix.value(task_id, 1)
    assert [await ix.value(task_id) for task_id in (*running, waiting[2])] == ["rested"] * 3


async def test_a_task_over_its_walltime_is_stopped(ix: FakeInterchange) -> None:
    """U16"""
    began = time.monotonic()
    polite, stubborn = (
        ix.submit(nap, 60, walltime=0.5),
        ix.submit(ignore_signals, 60, walltime=0.5, interrupt_grace=0.2),
    )
    for task_id in (polite, stubborn):
        with pytest.raises(errors.TaskTimeout):
            await ix.value(task_id, 20)
    assert time.monotonic() - began < 10
    assert await ix.run(add, 1, 1) == 2


def sum_for_ever():
    return sum(range(10**15))


async def test_a_loop_of_c_code_is_stopped_too(ix: FakeInterchange) -> None:
    """U16: no handler of Python runs while it does."""
    began = time.monotonic()
    with pytest.raises(errors.TaskTimeout):
        await ix.run(sum_for_ever, walltime=0.3, interrupt_grace=0.2)
    assert time.monotonic() - began < 10
    assert await ix.run(add, 1, 1) == 2


def is_stopped(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_stopped_worker_cannot_keep_its_task_from_being_cancelled(ix: FakeInterchange) -> None:
    def stop_itself():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGSTOP)

    workers = {await ix.run(pid) for _ in range(20)}
    task_id = ix.submit(stop_itself)
    await ix.until(lambda: any(is_stopped(worker) for worker in workers))
    ix.cancel(task_id)
    with pytest.raises(errors.TaskCancelled):
        await ix.value(task_id, 10)


async def test_tasks_behind_a_stuck_one_go_to_the_other_worker(ix: FakeInterchange) -> None:
    def sometimes(seconds):
        import time

        time.sleep(seconds)

    for _ in range(20):
        await ix.run(sometimes, 0)
    tasks = [ix.task(sometimes, 60 if n == 10 else 0) for n in range(300)]
    ix.lease(tasks)
    rest = [task.task_id for n, task in enumerate(tasks) if n != 10]
    await ix.until(lambda: all(task_id in ix.results for task_id in rest), 20)
    assert tasks[10].task_id not in ix.results
    ix.cancel(tasks[10].task_id)
    ended = await ix.ends(tasks[10].task_id, 10)
    assert isinstance(ended, TaskResult)
    assert ended.state is TaskState.CANCELLED


async def test_ten_millisecond_tasks_keep_both_workers_busy(ix: FakeInterchange) -> None:
    def which():
        import os
        import time

        time.sleep(0.01)
        return os.getpid()

    await ix.run(which)
    tasks = [ix.task(which) for _ in range(100)]
    ix.lease(tasks)
    ran = Counter([await ix.value(task.task_id) for task in tasks])
    assert len(ran) == 2
    assert min(ran.values()) > 20, "how they share 100 tasks depends on what else the machine does"


async def test_a_drain_gives_back_waits_and_ends(ix: FakeInterchange) -> None:
    running = [ix.submit(nap, 0.5) for _ in range(2)]
    waiting = [ix.submit(nap, 0.5) for _ in range(3)]
    await ix.until(lambda: len(ix.transitions) == 2)
    ix.drain(10)
    for task_id in running:
        assert await ix.value(task_id) == "rested"
    await ix.until(lambda: ix.drained)
    assert {lease.task_id for lease in ix.given_back} == set(waiting)
    await ix.until(lambda: ix._processes[0].poll() == 0, 5)
    assert not list((ix.folder / "leases").iterdir())


def test_give_back_is_what_a_lost_task_ends_with() -> None:
    assert GiveBack().reason == "endpoint_lost"


async def test_what_a_worker_writes_stays_on_disk_for_the_owner_of_the_endpoint(tmp_path: Path) -> None:
    def speak():
        import os

        print("through Python")
        os.write(2, b"past Python\n")

    async with fake_interchange(tmp_path) as ix:
        await ix.start_manager(workers=1, log_level=Level.DEBUG, worker_log_root=str(tmp_path / "said"))
        task_id = ix.submit(speak)
        await ix.value(task_id)
        (log,) = (tmp_path / "said").glob("*/worker-0.log")
        text = log.read_text()
    assert "is ready, with Python 3." in text
    assert "through Python\npast Python\n" in text or "past Python\nthrough Python\n" in text
    assert re.search(rf"--- task {task_id} took 0\.\d{{6}} s: success\n", text)
