"""`FuncXExecutor` against a service in this process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, as_completed, wait
from pathlib import Path

import pytest

from funcx_core.errors import (
    AuthRequired,
    ConfigError,
    EndpointNotFound,
    PayloadTooLarge,
    SerializationError,
    ServiceUnavailable,
    TaskCancelled,
    UsageError,
)
from funcx_core.ids import new_function_id, new_group_id, new_task_id
from funcx_core.protocol.client import Refused, RegisterFunction, StateChange, Submit, TaskEvents, TaskStates, Watch
from funcx_core.protocol.task import EventKind, TaskEvent, TaskOptions, TaskState
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.stream import Route, TaskStream
from funcx_core.serialize import pack_call
from tests.unit.sdk.fake_service import ENDPOINTS, TOKEN, FakeService

THETA = ENDPOINTS[0]["uuid"]


def double(x, plus=0):
    return x * 2 + plus


def fail(x):
    raise KeyError(x)


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


@pytest.fixture
def client(service):
    with FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN) as made:
        yield made


@pytest.fixture
def executor(client):
    made = FuncXExecutor("theta", funcx_client=client)
    yield made
    made.shutdown(wait=False, cancel_futures=True)
    made._stream and made._stream.close(1)


def eventually(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen."
        time.sleep(0.005)


def submits(service):
    return [message for message in service.messages if isinstance(message, Submit)]


def test_a_function_runs_and_gives_its_value(executor):
    future = executor.submit(double, 4, plus=1)
    assert future.result(5) == 9
    assert len(future.task_id) == 36
    assert executor.task_count_submitted == 1


def test_an_exception_is_raised_as_itself(executor):
    with pytest.raises(KeyError) as raised:
        executor.submit(fail, 7).result(5)
    assert raised.value.args == (7,)
    assert raised.value.funcx.frames[-1].name == "fail"


def test_a_function_is_registered_once(executor, service):
    wait([executor.submit(double, n) for n in range(50)], timeout=5)
    assert sum(isinstance(message, RegisterFunction) for message in service.messages) == 1
    assert len(submits(service)) < 25


def test_a_changed_function_is_registered_again(executor):
    namespace = {}
    exec("n = 1\ndef f():\n    return n", namespace)
    assert executor.submit(namespace["f"]).result(5) == 1
    namespace["n"] = 2
    assert executor.submit(namespace["f"]).result(5) == 2


def test_map_returns_results_in_order(executor):
    assert list(executor.map(double, range(5), [1] * 5)) == [1, 3, 5, 7, 9]
    assert list(executor.map(double, range(25), chunksize=10)) == [n * 2 for n in range(25)]
    with pytest.raises(KeyError):
        list(executor.map(fail, [1]))
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(double, [1], chunksize=0)


def test_map_gives_up_after_its_timeout(executor, service):
    service.held = True
    with pytest.raises(TimeoutError):
        list(executor.map(double, range(3), timeout=0.05))


def test_many_tasks_all_end(executor):
    futures = [executor.submit(double, n) for n in range(3000)]
    assert sum(future.result(10) for future in as_completed(futures, timeout=20)) == 2 * sum(range(3000))
    assert executor.task_count_submitted == 3000


def test_submits_from_many_threads_all_end(executor):
    found = []

    def work(start):
        found.extend(future.result(10) for future in [executor.submit(double, n) for n in range(start, start + 200)])

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(2 * n for start in range(4) for n in range(start * 1000, start * 1000 + 200))


def test_a_waiting_task_is_cancelled(executor, service):
    service.held = True
    future = executor.submit(double, 1)
    eventually(lambda: service.waiting)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(5)
    eventually(lambda: not service.waiting)


def test_a_running_task_is_stopped(executor, service):
    service.held = True
    future = executor.submit(double, 1)
    eventually(lambda: service.waiting)
    service.say(TaskStates([StateChange(future.task_id, TaskState.RUNNING)]))
    eventually(future.running)
    assert not future.cancel()
    assert future.best_effort_cancel()
    with pytest.raises(TaskCancelled):
        future.result(5)


def test_shutdown_waits_for_open_tasks(client, service):
    executor = FuncXExecutor("theta", funcx_client=client)
    service.held = True
    future = executor.submit(double, 1)
    eventually(lambda: service.waiting)
    threading.Timer(0.1, service.release).start()
    executor.shutdown()
    assert future.done()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(double, 1)


def test_shutdown_may_cancel_or_not_wait(client, service):
    service.held = True
    executor = FuncXExecutor("theta", funcx_client=client)
    futures = [executor.submit(double, n) for n in range(5)]
    executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in futures)

    executor = FuncXExecutor("theta", funcx_client=client)
    future = executor.submit(double, 1)
    executor.shutdown(wait=False)
    assert not future.done()
    eventually(lambda: service.waiting)
    service.release()
    assert future.result(5) == 2
    eventually(lambda: not any(thread.name == "funcx-stream" for thread in threading.enumerate()))


def test_results_survive_a_broken_connection(executor, service):
    service.held = True
    futures = [executor.submit(double, n) for n in range(5)]
    eventually(lambda: len(service.waiting) == 5)
    service.hang_up()
    service.release()
    assert [future.result(10) for future in futures] == [0, 2, 4, 6, 8]
    assert any(isinstance(message, Watch) for message in service.messages)
    assert set(service.runs.values()) == {1}


def test_a_lost_acknowledgement_does_not_run_a_task_twice(executor, service):
    """F02"""
    executor.submit(double, 0).result(5)
    service.drop_accepted = 2
    assert [executor.submit(double, n).result(15) for n in range(3)] == [0, 2, 4]
    assert service.connections == 3
    assert set(service.runs.values()) == {1}


def test_a_full_queue_is_waited_for(executor, service):
    refusals = [1, 2]

    def refuse(message):
        if isinstance(message, Submit) and refusals:
            refusals.pop()
            return Refused(message.request, "queue_full", "Later.", retry_after=0.05)
        return None

    service.refuse = refuse
    assert executor.submit(double, 1).result(5) == 2


def test_a_service_that_is_not_there_is_an_error_in_bounded_time():
    stream = TaskStream(Settings("http://127.0.0.1:9/v2", "t"), connect_timeout=0.3)
    future = stream.submit("f", pack_call((), {}), Route("ep", "g"))
    with pytest.raises(ServiceUnavailable, match=r"127.0.0.1:9"):
        future.result(5)
    with pytest.raises(ServiceUnavailable):
        eventually(lambda: stream.submit("f", pack_call((), {}), Route("ep", "g")) and False)
    stream.close()


def test_a_token_that_is_not_accepted_is_an_error_at_once(service):
    with FuncXExecutor(
        THETA, funcx_client=FuncXClient(funcx_service_address=service.settings.service_address, token="no")
    ) as executor:
        with pytest.raises(AuthRequired, match="No valid token"):  # by the future, or if the answer was quick by submit
            executor.submit(double, 1).result(5)
        with pytest.raises(AuthRequired):
            executor.submit(double, 1)


def test_who_waits_for_a_stream_that_ends_meanwhile_is_released(service, monkeypatch):
    stream = TaskStream(Settings(service.settings.service_address, "no"))
    stream.open()
    monkeypatch.setattr(stream, "_post", lambda action: None)  # as it is while the thread ends
    assert stream.drain(10)
    assert stream.drain(10)


def test_an_address_without_a_stream_is_an_error_at_once(service):
    settings = Settings(service.settings.service_address + "/nowhere", TOKEN)
    stream = TaskStream(settings)
    with pytest.raises(ConfigError, match="no stream"):
        stream.submit("f", b"", Route("ep", "g")).result(5)
    stream.close()


def test_bad_input_is_named_in_the_callers_thread(executor):
    with pytest.raises(SerializationError, match="Argument 1"):
        executor.submit(double, threading.Lock())
    with pytest.raises(PayloadTooLarge, match="at most"):
        executor.submit(double, b"x" * (11 * 1024 * 1024))
    with pytest.raises(ValueError, match="retry_on_loss"):
        FuncXExecutor(THETA, retry_on_loss=11)


def test_an_unknown_endpoint_is_named_with_the_nearest(client):
    with (
        FuncXExecutor("thetta", funcx_client=client) as executor,
        pytest.raises(EndpointNotFound, match="Did you mean"),
    ):
        executor.submit(double, 1)
    with FuncXExecutor(funcx_client=client) as executor, pytest.raises(UsageError, match="No endpoint is named"):
        executor.submit(double, 1)


def test_the_form_of_old_notebooks_works(client, service):
    with FuncXExecutor(client) as executor:
        assert executor.submit(double, 3, endpoint_id=THETA).result(5) == 6
        assert executor.submit(double, 3, endpoint_id="local").result(5) == 6
    assert {message.endpoint_id for message in submits(service)} == {endpoint["uuid"] for endpoint in ENDPOINTS}


def test_options_travel(client, service):
    with FuncXExecutor(THETA, funcx_client=client, walltime=3, retry_on_loss=2) as executor:
        executor.submit(double, 1).result(5)
    assert submits(service)[0].options == TaskOptions(walltime=3, retry_on_loss=2)


def test_a_registered_function_can_be_used(client, executor):
    function_id = client.register_function(double)
    assert executor.submit_to_registered_function(function_id, (2,), {"plus": 1}).result(5) == 5


def test_tasks_of_a_group_are_found_again(client, service):
    group = new_group_id()
    with FuncXExecutor(THETA, funcx_client=client, task_group_id=group) as executor:
        service.held = True
        futures = [executor.submit(double, n) for n in range(3)]
        eventually(lambda: len(service.waiting) == 3)
        with FuncXExecutor(THETA, funcx_client=client, task_group_id=group) as other:
            again = other.reload_tasks()
            assert [future.task_id for future in again] == [future.task_id for future in futures]
            service.release()
            assert [future.result(5) for future in again] == [0, 2, 4]


async def test_futures_can_be_awaited(executor):
    assert await asyncio.gather(*map(asyncio.wrap_future, [executor.submit(double, n) for n in range(3)])) == [0, 2, 4]


class Listener:
    def __init__(self):
        self.heard = []

    def on_event(self, event):
        self.heard.append((event.seq, event.body))

    def on_state(self, state):
        self.heard.append(state)


def test_a_listener_hears_output_and_states(client, executor, service):
    executor.submit(double, 0).result(5)
    service.held = True
    function_id = submits(service)[0].calls[0].function_id
    connections = []
    stream = TaskStream(client.settings, on_connection=connections.append)
    listener = Listener()
    task_id = new_task_id()
    future = stream.submit(
        function_id, pack_call((1,), {}), Route(THETA, new_group_id()), listener=listener, task_id=task_id
    )
    assert future.task_id == task_id
    eventually(lambda: task_id in service.waiting)
    service.say(TaskStates([StateChange(task_id, TaskState.RUNNING)]))
    service.say(TaskEvents([TaskEvent(task_id, n, EventKind.STDOUT, 0, b"hi") for n in (1, 2, 2)]))
    service.release()
    assert future.result(5) == 2
    assert listener.heard == [TaskState.RUNNING, (1, b"hi"), (2, b"hi")]
    assert stream.drain(5)
    stream.close()
    assert connections == [True, False]


@pytest.mark.parametrize("listens", [True, False])
def test_attempts_are_logged_unless_somebody_listens(client, listens, caplog):
    nowhere = Settings("http://127.0.0.1:9/v2", client.settings.token)
    stream = TaskStream(nowhere, connect_timeout=0.5, on_connection=(lambda _: None) if listens else None)
    future = stream.submit(new_function_id(), pack_call((1,), {}), Route(THETA, new_group_id()))
    assert isinstance(future.exception(20), ServiceUnavailable)
    stream.close()
    assert ("Trying again." in caplog.text) is not listens


def test_an_interrupt_within_with_leaves_at_once_and_tasks_go_on(client, service):
    service.held = True
    executor = FuncXExecutor("theta", funcx_client=client)
    future = executor.submit(double, 1)
    eventually(lambda: service.waiting)
    with pytest.raises(KeyboardInterrupt), executor:
        raise KeyboardInterrupt
    assert not future.done()
    service.release()
    assert future.result(5) == 2


@pytest.mark.parametrize("ending", ["", "executor.shutdown(wait=False)"])
def test_a_script_that_falls_off_its_end_exits_soon_and_its_task_is_submitted(service, ending):
    service.held = True
    script = f"""
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
def double(x): return 2 * x
client = FuncXClient(funcx_service_address={service.settings.service_address!r}, token={TOKEN!r})
executor = FuncXExecutor({THETA!r}, funcx_client=client)
executor.submit(double, 1)
{ending}
"""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 6
    assert len(service.waiting) == 1
