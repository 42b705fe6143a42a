"""`HighThroughputExecutor` with no service: a faithful `concurrent.futures.Executor` on real processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from parsl.providers import LocalProvider

from funcx_core.errors import (
    ConfigError,
    EndpointLost,
    EndpointStateError,
    ManagerLost,
    TaskCancelled,
    UsageError,
    WorkerLost,
)
from funcx_core.home import home
from funcx_core.serialize import FuncXSerializer
from funcx_endpoint import processes
from funcx_endpoint.executors import HighThroughputExecutor
from tests.support.fabric import eventually


def double(number):
    return 2 * number


def pause(seconds):
    import time

    time.sleep(seconds)
    return seconds


def fail(text):
    raise LookupError(text)


def free_port():
    """Where ports are free in a row, as far as one can know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return min(probe.getsockname()[1], 65000)


def folders():
    return list((home() / ".executors").iterdir())


def left_of(folder):
    return [one.pid for one in processes.of_endpoint(folder)]


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    """One for this file: starting it costs more than most of these tests. Leave it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUNCX_HOME", str(tmp_path_factory.mktemp("home")))
        with HighThroughputExecutor(passthrough=False, max_workers_per_node=2) as running:
            running.start()
            yield running


@pytest.fixture
def own_executor():
    """To be broken."""
    first = free_port()
    ports = {"interchange_port_range": (first, first + 50), "worker_ports": range(first + 50, first + 99)}
    running = HighThroughputExecutor(max_workers_per_node=2, label="mine", **ports)
    info = running.start()
    assert {info.tasks_port, info.results_port, info.commands_port} <= set(range(first, first + 50))
    yield running
    running.shutdown()


def test_the_documented_example_works(executor):
    future = executor.submit(double, 2)
    assert future.result(60) == 4
    assert future.best_effort_cancel() is False


def test_a_thousand_tasks_come_back_each_with_its_own_result(executor):
    futures = [executor.submit(double, number) for number in range(1000)]
    assert [future.result(60) for future in futures] == [2 * number for number in range(1000)]
    assert executor.outstanding == 0


@pytest.mark.parametrize("chunksize", [1, 7])
def test_map_takes_generators_and_keeps_the_order(executor, chunksize):
    results = executor.map(double, (number for number in range(50)), chunksize=chunksize, timeout=60)
    assert list(results) == [2 * number for number in range(50)]
    with pytest.raises(LookupError, match="x"):
        list(executor.map(fail, "xy", chunksize=chunksize))


def test_wait_as_completed_and_await_work(executor):
    futures = {executor.submit(pause, 0.01 * number) for number in range(4)}
    assert set(concurrent.futures.as_completed(futures, timeout=30)) == futures
    assert concurrent.futures.wait(futures, timeout=30) == (futures, set())

    async def awaited():
        return await executor.submit(double, 4)

    assert asyncio.run(awaited()) == 8


def test_an_exception_is_raised_as_itself(executor):
    with pytest.raises(LookupError, match="not here"):
        executor.submit(fail, "not here").result(60)


def test_threads_may_share_it(executor):
    results = {}

    def use(name):
        results[name] = [executor.submit(double, number).result(60) for number in range(20)]

    threads = [threading.Thread(target=use, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert list(results.values()) == [[2 * number for number in range(20)]] * 4


def test_a_running_task_can_be_cancelled(executor):
    future = executor.submit(pause, 60)
    eventually(future.running, "the task runs")
    assert future.cancel() is False
    assert future.best_effort_cancel() is True
    with pytest.raises(TaskCancelled):
        future.result(20)


def test_a_task_that_takes_its_worker_along_fails_typed_and_others_go_on(executor):
    with pytest.raises(WorkerLost, match="exit code 3"):
        executor.submit(os._exit, 3).result(30)
    assert executor.submit(double, 1).result(30) == 2


def test_large_arguments_and_results_travel_without_a_service(executor):
    content = os.urandom(24 * 1024 * 1024)
    assert executor.submit(bytes, content).result(60) == content


def test_the_agent_tells_how_it_is(executor):
    assert executor.wait_for_endpoint(30)
    assert executor.connected_workers == 2
    report = executor.request_status_info()
    assert (report.managers, report.blocks, report.state) == (1, 1, "ok")
    assert executor.status() == {"0": "active"}
    assert executor.connection_info.public_ip == "127.0.0.1"


def test_functions_only_when_it_says_so(executor):
    with pytest.raises(UsageError, match="passthrough=False"):
        executor.submit("12\npacked")


def test_a_callback_may_submit_and_a_forked_child_has_an_executor_of_its_own(executor):
    second = concurrent.futures.Future()
    executor.submit(double, 1).add_done_callback(
        lambda first: second.set_result(executor.submit(double, first.result()))
    )
    assert second.result(30).result(30) == 4
    code = textwrap.dedent(
        """
        import os, sys
        from funcx_endpoint.executors import HighThroughputExecutor

        with HighThroughputExecutor(max_workers_per_node=1) as executor:
            pending = executor.submit(abs, -1)
            assert pending.result(60) == 1
            slow = executor.submit(__import__("time").sleep, 0.5)
            child = os.fork()
            if not child:
                try:
                    slow.result(1)
                except RuntimeError:
                    assert executor.submit(abs, -2).result(60) == 2
                    executor.shutdown()
                    sys.exit(7)
                sys.exit(8)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert executor.submit(abs, -3).result(60) == 3
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- its own ---------------------------------------------------------------------------------------------------------


def test_blocks_come_and_go_as_they_are_asked_for():
    provider = LocalProvider(init_blocks=1, min_blocks=0, max_blocks=2)
    with HighThroughputExecutor(provider=provider, max_workers_per_node=1, scaling_enabled=False) as executor:
        executor.start()
        assert executor.scale_out(5) == ["1"]
        eventually(lambda: executor.status() == {"0": "active", "1": "active"}, "the second block works", timeout=30)
        by_block = {one.block_id: one.manager_id for one in executor.managers()}
        executor.hold_worker(by_block["1"])
        executor.hold_worker(by_block["0"])
        waiting = executor.submit(double, 3)
        assert concurrent.futures.wait([waiting], 0.5).not_done
        assert {one.is_held for one in executor.managers()} == {True}
        executor.hold_worker(by_block["0"], hold=False)
        assert waiting.result(30) == 6
        with pytest.raises(UsageError, match="There is no manager me"):
            executor.hold_worker("me")
        with pytest.raises(UsageError, match="There is no block 9"):
            executor.scale_in(block_ids=["9"])
        executor.shutdown(targets=[1])
        eventually(lambda: executor.status() == {"0": "active"}, "the second block is gone", timeout=30)
        future = executor.submit(pause, 60)
        eventually(future.running, "the task runs")
        assert executor.scale_in(1) == ["0"]
        with pytest.raises(ManagerLost):
            future.result(30)
        later = executor.submit(double, 2)
        assert executor.scale_out() == ["2"]
        assert later.result(30) == 4


def test_packed_buffers_pass_through(own_executor):
    serializer = FuncXSerializer()

    def packed(function, *args):
        return serializer.pack_buffers([serializer.serialize(part) for part in (function, args, {})])

    (folder,) = folders()
    (address,) = json.loads((folder / "managers.json").read_bytes())["addresses"]
    assert int(address.rpartition(":")[2]) in own_executor.worker_ports
    future = own_executor.submit(packed(double, 21), task_id="6f9b2c5e-0d0f-4c77-9b6a-6d7f3bd6c0de")
    assert future.task_id == "6f9b2c5e-0d0f-4c77-9b6a-6d7f3bd6c0de"
    assert serializer.deserialize(future.result(60)) == 42
    assert "LookupError" in str(own_executor.submit(packed(fail, "x").encode()).exception(60))


def test_an_agent_that_is_killed_fails_its_tasks_within_a_second(own_executor):
    futures = [own_executor.submit(pause, 60) for _ in range(5)]
    eventually(lambda: any(future.running() for future in futures), "tasks run")
    (folder,) = folders()
    (agent,) = processes.with_arguments(b"funcx_endpoint.interchange", str(folder).encode())
    began = time.monotonic()
    agent.signal(signal.SIGKILL)
    for future in futures:
        with pytest.raises(EndpointLost, match=r"'mine' has ended by signal 9 \(SIGKILL\)"):
            future.result(10)
    assert time.monotonic() - began < 1.0 + 4.0  # a busy machine
    with pytest.raises(EndpointLost):
        own_executor.submit(double, 1)
    own_executor.shutdown()
    assert not folder.exists()
    assert not left_of(folder)


def test_shutdown_waits_for_its_tasks_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "shapes_beside.py").write_text("class Shape:\n    sides = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    import shapes_beside

    executor = HighThroughputExecutor(max_workers_per_node=1)
    futures = [executor.submit(pause, 0.2) for _ in range(3)]
    sides = executor.submit(lambda shape: shape.sides, shapes_beside.Shape())  # Found where this process finds it.
    (folder,) = folders()
    executor.shutdown()
    assert [future.result(0) for future in futures] == [0.2] * 3
    assert sides.result(0) == 3
    assert not folder.exists()
    assert not left_of(folder)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(double, 1)


def test_a_copy_has_the_settings_and_one_that_is_dropped_ends_with_its_last_task():
    executor = HighThroughputExecutor(max_workers_per_node=1, label="dropped")
    future = executor.submit(pause, 0.5)
    twin = pickle.loads(pickle.dumps(copy.copy(executor)))
    assert (twin.label, twin.outstanding) == ("dropped", 0)
    (folder,) = folders()
    del executor
    gc.collect()
    assert future.result(30) == 0.5
    eventually(lambda: not folder.exists(), "everything ends by itself", timeout=20)


def test_shutdown_need_not_wait_and_cancels_what_has_not_started():
    executor = HighThroughputExecutor(max_workers_per_node=1)
    futures = [executor.submit(pause, 0.5) for _ in range(200)]
    eventually(futures[0].running, "the first one runs")
    (folder,) = folders()
    executor.shutdown(wait=False, cancel_futures=True)
    assert futures[0].result(20) == 0.5
    assert futures[-1].cancelled()
    eventually(lambda: not folder.exists(), "everything ends by itself", timeout=20)


def test_ports_that_are_taken_are_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        executor = HighThroughputExecutor(interchange_port_range=(port, port + 1))
        with pytest.raises(ConfigError, match="No port of interchange_port_range"):
            executor.start()
    assert not folders()


def test_a_start_that_fails_says_why():
    executor = HighThroughputExecutor(launch_cmd="echo no such program >&2; exit 9; {python}{settings}{block_id}")
    with pytest.raises(EndpointStateError, match="did not start"):
        executor.start()
    assert not folders()


SCRIPT = """
    import sys, time
    from funcx_endpoint.executors import HighThroughputExecutor

    executor = HighThroughputExecutor(max_workers_per_node=2)
    futures = [executor.submit(time.sleep, 120) for _ in range(4)]
    print("ready", flush=True)
"""


def test_an_interpreter_that_ends_waits_for_nothing_and_leaves_nothing():
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + "began = time.monotonic()\nprint(began, flush=True)"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    ended = time.monotonic()
    assert (done.returncode, done.stderr) == (0, "")
    assert ended - float(done.stdout.split()[-1]) < 5.0, (began, ended)
    assert not folders()


def test_an_interrupt_within_with_cancels_what_is_open_and_leaves_nothing():
    executor = HighThroughputExecutor(max_workers_per_node=1)
    futures = [executor.submit(time.sleep, 120) for _ in range(2)]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert time.monotonic() - began < 60.0
    assert all(isinstance(future.exception(1), TaskCancelled) for future in futures)
    assert not folders()


def test_a_killed_interpreter_leaves_nothing():
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + "time.sleep(100)"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        (folder,) = folders()
        assert left_of(folder)
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not left_of(folder), "agent, manager and workers end", timeout=20)
    eventually(lambda: not folder.exists(), "the folder is removed", timeout=10)


def test_the_examples_of_its_page_print_what_it_says(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "executor-alone.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, tmp_path / "page.py"], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == re.findall(r"^\s*print\(.*\)  # (.*)$", "\n".join(blocks), re.MULTILINE)
