"""Light futures keep the semantics of the standard library's, also in races."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    InvalidStateError,
    as_completed,
    wait,
)

import pytest

from funcx_core.errors import ResultLoadError, TaskCancelled, WorkerLost
from funcx_core.protocol.task import TaskError, TaskResult, TaskState, TaskTimes
from funcx_core.sdk import futures as futures_module
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.routes import Route
from funcx_core.sdk.trust import TrustingReader
from funcx_core.serialize import describe_exception, pack_value, unpack_value


def success(value=None, task_id="t"):
    return TaskResult(task_id, 1, TaskState.SUCCESS, pack_value(value), times=TaskTimes(1, 2, 3, 4))


def failure(error, task_id="t"):
    return TaskResult(task_id, 1, TaskState.FAILED, error=describe_exception(error))


class Canceller:
    def __init__(self):
        self.asked = []

    def cancel(self, task_ids, *, force=False):
        self.asked.append((task_ids, force))

    def check_waiting(self):
        pass


def later(action, delay=0.05):
    timer = threading.Timer(delay, action)
    timer.daemon = True
    timer.start()


def test_a_result_is_what_the_task_gave():
    future = FuncXFuture("t")
    assert not future.done()
    assert future.end(success({"a": 1}))
    assert future.done()
    assert (future.result(), future.exception(), future.times) == ({"a": 1}, None, TaskTimes(1, 2, 3, 4))


def test_the_same_object_is_returned_each_time():
    future = FuncXFuture("t")
    future.end(success([1]))
    assert future.result() is future.result()


def test_an_exception_of_the_function_is_raised_as_itself():
    future = FuncXFuture("t")
    future.end(failure(KeyError("k")))
    with pytest.raises(KeyError) as raised:
        future.result()
    assert raised.value.funcx.task_id == "t"
    assert future.exception() is raised.value


def test_a_lost_worker_is_our_own_error():
    future = FuncXFuture("t")
    future.end(
        TaskResult(
            "t", 1, TaskState.FAILED, error=TaskError(code="worker_lost", message="It died.", details={"signal": 9})
        )
    )
    with pytest.raises(WorkerLost) as raised:
        future.result()
    assert (raised.value.task_id, raised.value.details) == ("t", {"signal": 9})


def test_a_result_that_does_not_load_keeps_its_bytes():
    future = FuncXFuture("t", route=Route("e", "g", reader=TrustingReader(lambda _: True)))
    future.end(TaskResult("t", 1, TaskState.SUCCESS, b"pb\n\x80\x05cnowhere\nGone\n."))
    with pytest.raises(ResultLoadError, match="ModuleNotFoundError") as raised:
        future.result()
    assert raised.value.details["raw"].startswith(b"pb\n")


def test_result_waits_for_the_end():
    future = FuncXFuture("t")
    later(lambda: future.end(success(5)))
    assert future.result(timeout=5) == 5


def test_result_gives_up_after_the_timeout():
    future = FuncXFuture("t")
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        future.exception(timeout=0)
    future.end(success(1))
    assert future.result() == 1


def test_cancel_asks_the_service_and_ends_the_future():
    canceller = Canceller()
    future = FuncXFuture("t", canceller)
    called = []
    future.add_done_callback(called.append)
    assert future.cancel()
    assert future.cancel()
    assert (future.cancelled(), future.done(), called, canceller.asked) == (True, True, [future], [(["t"], False)])
    with pytest.raises(CancelledError):
        future.result()
    with pytest.raises(CancelledError):
        future.exception()
    assert not future.end(success())


def test_a_running_task_is_not_cancelled_but_can_be_stopped():
    canceller = Canceller()
    future = FuncXFuture("t", canceller)
    future.started()
    assert future.running()
    assert not future.cancel()
    assert future.best_effort_cancel(force=True)
    assert canceller.asked == [(["t"], True)]
    future.end(TaskResult("t", 1, TaskState.CANCELLED, error=TaskError(code="task_cancelled", message="Cancelled.")))
    assert isinstance(future.exception(), TaskCancelled)
    assert not future.best_effort_cancel()
    assert not future.cancel()


def test_callbacks_run_in_order_once_and_their_errors_hurt_nobody(caplog):
    future = FuncXFuture("t")
    called = []
    future.add_done_callback(lambda _: called.append(1))
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: called.append(2))
    future.end(success())
    future.add_done_callback(lambda _: called.append(3))
    assert called == [1, 2, 3]
    assert "ZeroDivisionError" in caplog.text


def test_callbacks_added_before_and_after_somebody_waits_all_run():
    future = FuncXFuture("t")
    called = []
    future.add_done_callback(lambda _: called.append(1))
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    future.add_done_callback(lambda _: called.append(2))
    future.end(success())
    assert called == [1, 2]


def test_the_interface_for_executors_works():
    future = FuncXFuture("t")
    assert future.set_running_or_notify_cancel()
    future.set_result(4)
    assert future.result() == 4
    with pytest.raises(InvalidStateError):
        future.set_exception(KeyError())
    cancelled = FuncXFuture("t")
    cancelled.cancel()
    with pytest.raises(InvalidStateError):
        cancelled.set_result(1)


def test_fail_gives_each_future_an_object_of_its_own():
    error = WorkerLost("gone", task_id="x", details={"signal": 9})
    one, other = FuncXFuture("a"), FuncXFuture("b")
    assert one.fail(error)
    assert other.fail(error)
    assert not one.fail(error)
    assert one.exception() is not other.exception()
    assert other.exception().details == {"signal": 9}


@pytest.mark.parametrize("mode", [ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION])
def test_wait_works_for_ended_open_and_cancelled_futures(mode):
    futures = [FuncXFuture(str(n)) for n in range(4)]
    later(futures[1].cancel, 0.02)
    later(lambda: futures[2].end(success()), 0.03)
    later(lambda: futures[3].end(failure(KeyError())), 0.04)
    later(lambda: futures[0].end(success()), 0.3)
    done, _ = wait(futures, timeout=5, return_when=mode)
    assert len(done) == 4 if mode == ALL_COMPLETED else 1 <= len(done) <= 4
    assert wait(futures, timeout=5).not_done == set()


def test_wait_gives_up_after_the_timeout():
    ended, never = FuncXFuture("a"), FuncXFuture("b")
    ended.end(success())
    assert wait([ended, never], timeout=0.01) == ({ended}, {never})


def test_as_completed_yields_each_once_in_order_of_completion():
    futures = [FuncXFuture(str(n)) for n in range(3)]
    futures[1].end(success(1))
    later(lambda: (futures[2].end(success(2)), futures[0].end(success(0))), 0.02)
    assert [future.result() for future in as_completed(futures, timeout=5)] == [1, 2, 0]
    with pytest.raises(TimeoutError):
        list(as_completed([FuncXFuture("x")], timeout=0.01))


async def test_a_future_can_be_awaited():
    future = FuncXFuture("t")
    later(lambda: future.end(success(3)), 0.02)
    assert await asyncio.wait_for(future, 5) == 3
    assert await asyncio.wrap_future(future) == 3


def test_a_value_is_loaded_once_by_many_threads():
    for _ in range(50):
        future = FuncXFuture("t")
        future.end(success([1]))
        seen = []
        threads = [threading.Thread(target=lambda f=future, s=seen: s.append(f.result())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(value is seen[0] for value in seen)


class SlowReader:
    """Its first opening takes until `gate` is set, and is interrupted then if `is_interrupted`."""

    def __init__(self, is_interrupted):
        self.is_interrupted = is_interrupted
        self.entered, self.gate = threading.Event(), threading.Event()
        self.openings = 0

    def open(self, outcome):
        self.openings += 1
        if self.openings == 1:
            self.entered.set()
            assert self.gate.wait(10)
            if self.is_interrupted:
                raise KeyboardInterrupt
        return unpack_value(outcome.value), None


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_who_waits_for_the_loading_of_another_thread_sees_its_end(is_interrupted):
    reader, seen = SlowReader(is_interrupted), []
    future = FuncXFuture("t", route=Route("e", "g", reader=reader))
    future.end(success([1]))

    def first():
        try:
            seen.append(future.result())
        except KeyboardInterrupt:
            seen.append("interrupted")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert reader.entered.wait(10)
    threads.append(threading.Thread(target=lambda: seen.append(future.result())))
    threads[1].start()
    while future._made is None:  # the second thread is about to wait
        time.sleep(0.001)
    reader.gate.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert sorted(map(str, seen)) == (["[1]", "interrupted"] if is_interrupted else ["[1]", "[1]"])
    assert reader.openings == (2 if is_interrupted else 1)


def test_a_future_whose_first_waiter_comes_just_before_its_end_ends():
    future = FuncXFuture("t")
    heard = []
    future.add_done_callback(heard.append)
    ending = threading.Thread(target=future.end, args=(success(7),))
    with futures_module._lock:
        ending.start()  # and stops at the lock
        time.sleep(0.05)
        future._waiters = []
        future._done_callbacks = list(future._done_callbacks)
        future._made = threading.Condition()
    assert future.result(5) == 7
    ending.join(5)
    assert heard == [future]


def test_no_waiter_misses_an_end_and_no_end_is_counted_twice():
    deadline = time.monotonic() + 2
    rounds = 0
    while time.monotonic() < deadline and rounds < 300:
        rounds += 1
        futures = [FuncXFuture(str(n)) for n in range(20)]
        barrier = threading.Barrier(4)
        found = []

        def resolve(part, futures=futures, barrier=barrier):
            barrier.wait()
            for future in part:
                future.end(success(1))

        def gather(futures=futures, barrier=barrier, found=found):
            barrier.wait()
            found.append(len(list(as_completed(futures, timeout=10))))

        def wait_all(futures=futures, barrier=barrier, found=found):
            barrier.wait()
            found.append(len(wait(futures, timeout=10).done))

        threads = [
            threading.Thread(target=resolve, args=(futures[::2],)),
            threading.Thread(target=resolve, args=(futures[1::2],)),
            threading.Thread(target=gather),
            threading.Thread(target=wait_all),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [20, 20]


def test_cancel_and_end_never_both_win():
    for _ in range(300):
        future = FuncXFuture("t", Canceller())
        called = []
        future.add_done_callback(called.append)
        outcomes = {}
        barrier = threading.Barrier(2)

        def end(future=future, outcomes=outcomes, barrier=barrier):
            barrier.wait()
            outcomes["end"] = future.end(success())

        thread = threading.Thread(target=end)
        thread.start()
        barrier.wait()
        outcomes["cancel"] = future.cancel()
        thread.join()
        assert outcomes["end"] is not outcomes["cancel"]
        assert future.cancelled() is outcomes["cancel"]
        assert len(called) == 1
