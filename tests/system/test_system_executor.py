"""`FuncXExecutor` on a whole fabric: a faithful `concurrent.futures.Executor`."""

import concurrent.futures
import threading
import time

import pytest

from funcx_core import errors
from tests.support.fabric import eventually
from tests.support.ledger import Ledger


def square(number):
    return number * number


def pause(seconds):
    import time

    time.sleep(seconds)
    return seconds


def test_a_thousand_tasks_come_back_each_with_its_own_result(fabric):
    with fabric.executor() as executor:
        futures = [executor.submit(square, number) for number in range(1000)]
        assert [future.result(60) for future in futures] == [number * number for number in range(1000)]
        assert len({future.task_id for future in futures}) == 1000


@pytest.mark.parametrize("chunksize", [1, 7, 100])
def test_map_keeps_the_order(fabric, chunksize):
    with fabric.executor() as executor:
        assert list(executor.map(square, range(300), chunksize=chunksize, timeout=60)) == [n * n for n in range(300)]


def test_wait_and_as_completed_of_the_standard_library_work(fabric):
    with fabric.executor() as executor:
        futures = {executor.submit(pause, 0.01 * number) for number in range(5)}
        done = list(concurrent.futures.as_completed(futures, timeout=30))
        assert set(done) == futures
        done, left = concurrent.futures.wait(futures, timeout=30)
        assert (done, left) == (futures, set())


def test_closures_and_lambdas_travel(fabric):
    base = 10
    with fabric.executor() as executor:
        assert executor.submit(lambda number: number + base, 5).result(30) == 15


def test_threads_may_share_an_executor(fabric):
    with fabric.executor() as executor:
        results = {}

        def use(name):
            results[name] = [executor.submit(square, number).result(60) for number in range(20)]

        threads = [threading.Thread(target=use, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == {name: [number * number for number in range(20)] for name in range(4)}


def test_an_exception_is_the_original_one(fabric):
    with fabric.executor() as executor, pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 / 0).result(30)


def test_a_task_that_waits_is_cancelled_and_never_runs(fabric, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    with fabric.executor() as executor:
        blockers = [executor.submit(pause, 1.5) for _ in range(fabric.workers)]
        waiting = [executor.submit(ledger.function, str(ledger.path), f"t{number}") for number in range(20)]
        time.sleep(0.2)
        assert all(future.cancel() for future in waiting)
        assert all(future.cancelled() for future in waiting)
        assert [future.result(30) for future in blockers] == [1.5] * fabric.workers
        assert executor.submit(square, 3).result(30) == 9
    assert sum(ledger.starts().values()) <= 1, "at most what had been dealt already"


def test_a_task_that_runs_is_stopped(fabric, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    with fabric.executor() as executor:
        future = executor.submit(ledger.function, str(ledger.path), "long", 60)
        eventually(ledger.running, "the task runs")
        start = time.monotonic()
        assert future.best_effort_cancel()
        with pytest.raises((errors.TaskCancelled, concurrent.futures.CancelledError)):
            future.result(20)
        assert time.monotonic() - start < 10
        assert executor.submit(square, 3).result(30) == 9
    assert ledger.ends() == {}


def test_a_walltime_stops_a_task(fabric):
    with fabric.executor(walltime=0.5) as executor, pytest.raises(errors.TaskTimeout):
        executor.submit(pause, 60).result(20)


def test_an_argument_that_cannot_be_sent_is_refused_by_submit(fabric):
    with fabric.executor() as executor:
        with pytest.raises(errors.SerializationError, match="lock"):
            executor.submit(square, threading.Lock())
        assert executor.submit(square, 3).result(30) == 9


def test_a_result_that_cannot_be_sent_back_is_a_typed_error(fabric):
    def makes_a_lock():
        import threading

        return threading.Lock()

    with fabric.executor() as executor, pytest.raises(errors.ResultNotSerializable):
        executor.submit(makes_a_lock).result(30)


def test_an_oversize_argument_and_an_oversize_result_go_by_reference(fabric):
    """F30"""
    limits = fabric.client().get_limits()
    with fabric.executor() as executor:
        assert executor.submit(len, b"x" * (limits["max_payload"] + 1)).result(60) == limits["max_payload"] + 1
        size = limits["max_result"] + 1
        assert executor.submit(lambda: b"x" * size).result(60) == b"x" * size


def test_a_megabyte_goes_there_and_back(fabric):
    value = bytes(range(256)) * 4096
    with fabric.executor() as executor:
        futures = [executor.submit(lambda data: data[::-1], value) for _ in range(10)]
        assert all(future.result(60) == value[::-1] for future in futures)


def test_sys_exit_in_a_task_is_its_exception_and_not_the_workers_end(fabric):
    def leaves():
        import sys

        sys.exit(3)

    before = sorted(fabric.pids("worker"))
    with fabric.executor() as executor:
        with pytest.raises((SystemExit, errors.RemoteTaskError)):
            executor.submit(leaves).result(30)
        assert executor.submit(square, 3).result(30) == 9
    assert sorted(fabric.pids("worker")) == before


SCRIPT = """
import time
from funcx import FuncXExecutor
{body}
"""


@pytest.mark.parametrize(
    "body",
    [
        "with FuncXExecutor('local') as e:\n    print(e.submit(pow, 2, 5).result())",
        "e = FuncXExecutor('local')\nprint(e.submit(pow, 2, 5).result())",
        "e = FuncXExecutor('local')\nprint(e.submit(pow, 2, 5).result())\ne.shutdown(wait=False)",
    ],
    ids=["with", "never shut down", "shutdown(wait=False)"],
)
def test_a_script_ends_soon_after_its_last_result(fabric, body):
    """F05"""
    start = time.monotonic()
    done = fabric.script(SCRIPT.format(body=body), timeout=30)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "32", "")
    assert time.monotonic() - start < 10  # 5 s after the result, and the interpreter's start


def test_a_script_that_cancels_what_is_left_ends_soon(fabric):
    """F05"""
    body = (
        "e = FuncXExecutor('local')\nf = [e.submit(time.sleep, 30) for _ in range(10)]\ntime.sleep(1)\n"
        "[x.best_effort_cancel(force=True) for x in f]\ne.shutdown(wait=False, cancel_futures=True)\nprint('end')"
    )
    start = time.monotonic()
    done = fabric.script(SCRIPT.format(body=body), timeout=30)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "end", "")
    assert time.monotonic() - start < 12
    with fabric.executor() as executor:
        assert executor.submit(square, 3).result(30) == 9
