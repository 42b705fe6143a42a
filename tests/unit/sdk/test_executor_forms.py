"""The executor in the forms of all releases: attributes, registration, groups, shutdown, forked children."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from funcx_core.errors import EndpointNotFound, InvalidId, UsageError
from funcx_core.ids import new_function_id, new_group_id
from funcx_core.protocol.client import RegisterFunction, Submit
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.executor import FuncXExecutor
from tests.unit.sdk.fake_service import ENDPOINTS, TOKEN, FakeService

THETA, LOCAL = (endpoint["uuid"] for endpoint in ENDPOINTS)


def double(x, plus=0):
    return x * 2 + plus


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
    with FuncXExecutor("theta", funcx_client=client) as made:
        yield made


def submits(service):
    return [message for message in service.messages if isinstance(message, Submit)]


def test_the_endpoint_may_be_changed_between_submits(executor, service):
    assert executor.submit(double, 1).result(10) == 2
    executor.endpoint_id = LOCAL
    assert executor.submit(double, 2).result(10) == 4
    assert [submit.endpoint_id for submit in submits(service)] == [THETA, LOCAL]
    executor.endpoint_id = None
    with pytest.raises(UsageError, match="No endpoint"):
        executor.submit(double, 3)
    executor.endpoint_id = "nowhere"
    with pytest.raises(EndpointNotFound):
        executor.submit(double, 3)


def test_container_and_group_may_be_changed_between_submits(executor, service):
    container, group = "cccccccc-0000-4000-8000-000000000000", new_group_id()
    executor.submit(double, 1).result(10)
    executor.container_id, executor.task_group_id = container, group
    future = executor.submit(double, 2)
    assert future.result(10) == 4
    last = submits(service)[-1]
    assert (last.options.container_id, last.group_id) == (container, group)
    assert (executor.container_id, executor.task_group_id, future.task_group_id) == (container, group, group)
    for name in ("container_id", "task_group_id"):
        with pytest.raises(InvalidId):
            setattr(executor, name, "nonsense")


def test_the_endpoint_of_a_call_in_an_old_notebook(client, service):
    with FuncXExecutor(client, "a label") as executor:
        assert executor.submit(double, 1, endpoint_id=THETA).result(10) == 2
        assert executor.submit(double, 1, endpoint_id=LOCAL, plus=1).result(10) == 3
        assert repr(executor) == "FuncXExecutor<a label, endpoint None>"
    assert {submit.endpoint_id for submit in submits(service)} == {THETA, LOCAL}


@pytest.mark.parametrize("name", ["batch_enabled", "batch_interval", "batch_mode", "results_ws_uri"])
def test_keywords_without_a_meaning_are_warned_of(client, name):
    with pytest.warns(DeprecationWarning, match=f"'{name}' has no effect any more"):
        FuncXExecutor("theta", funcx_client=client, **{name: 1})


def test_unknown_keywords_and_sizes_are_refused(client):
    with pytest.raises(TypeError, match="unexpected keyword argument 'batch_sise'"):
        FuncXExecutor("theta", funcx_client=client, batch_sise=1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        FuncXExecutor("theta", funcx_client=client, batch_size=0)


def test_batch_size_bounds_what_is_sent_together(client, service):
    with FuncXExecutor("theta", funcx_client=client, batch_size=3) as executor:
        assert [future.result(10) for future in [executor.submit(double, n) for n in range(10)]] == list(
            range(0, 20, 2)
        )
        assert executor.task_count_submitted == 10
    assert max(len(submit.calls) for submit in submits(service)) <= 3


def test_a_function_is_registered_with_words_of_ones_own(executor, service):
    function_id = executor.register_function(double, description="Doubles.", function_name="twice")
    body = next(body for body in service.bodies if isinstance(body, dict) and "function_code" in body)
    assert (body["description"], body["function_name"]) == ("Doubles.", "twice")
    assert executor.submit(double, 4).result(10) == 8
    assert submits(service)[-1].calls[0].function_id == function_id
    assert not [message for message in service.messages if isinstance(message, RegisterFunction)]
    with pytest.raises(ValueError, match=f"registered already, as {function_id}"):
        executor.register_function(double)


def test_a_function_that_is_registered_elsewhere_is_not_sent(executor, client, service):
    function_id = client.register_function(double)
    assert executor.register_function(double, function_id=function_id) == function_id
    assert executor.submit(double, 4).result(10) == 8
    assert submits(service)[-1].calls[0].function_id == function_id
    with pytest.raises(InvalidId):
        executor.register_function(len, function_id="nonsense")


def test_a_registered_function_runs_without_its_code(executor, client):
    function_id = client.register_function(double)
    assert executor.submit_to_registered_function(function_id).exception(10).args
    assert executor.submit_to_registered_function(function_id, (3,), {"plus": 1}).result(10) == 7
    assert executor.submit_to_registered_function(function_id=function_id, args=[3]).result(10) == 6


def test_executors_may_share_a_client(client):
    with FuncXExecutor("theta", funcx_client=client) as one, FuncXExecutor("local", funcx_client=client) as other:
        assert [one.submit(double, 1).result(10), other.submit(double, 2).result(10)] == [2, 4]
        assert one.task_group_id != other.task_group_id
        one.shutdown()
        assert other.submit(double, 3).result(10) == 6


def test_reloading_keeps_the_futures_that_are_open(executor, service):
    service.held = True
    futures = {future.task_id: future for future in [executor.submit(double, n) for n in range(3)]}
    executor._stream.flush(10)
    again = executor.reload_tasks()
    assert {future.task_id: future for future in again} == futures
    service.release()
    assert sorted(future.result(10) for future in futures.values()) == [0, 2, 4]
    assert sorted(future.result(10) for future in executor.reload_tasks()) == [0, 2, 4]


def test_shutdown_may_be_called_again_and_nothing_is_taken_after_it(client, service):
    executor = FuncXExecutor("theta", funcx_client=client)
    service.held = True
    future = executor.submit(double, 1)
    executor._stream.flush(10)
    executor.shutdown(wait=False)
    for call in (
        lambda: executor.submit(double, 1),
        lambda: executor.submit_to_registered_function(new_function_id()),
        lambda: executor.register_function(double),
        lambda: executor.map(double, [1], chunksize=2),
        executor.reload_tasks,
    ):
        with pytest.raises(RuntimeError, match="after shutdown"):
            call()
    executor.shutdown(wait=False, cancel_futures=True)
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(CancelledError):
        future.result(10)


def test_an_executor_that_never_ran_is_shut_down(client):
    executor = FuncXExecutor("theta", funcx_client=client)
    executor.shutdown()
    assert executor.task_count_submitted == 0


def test_a_dropped_executor_leaves_no_thread_and_loses_no_task(client, service):
    service.held = True
    future = FuncXExecutor("theta", funcx_client=client).submit(double, 21)
    gc.collect()
    thread = future._canceller._thread
    service.release()
    assert future.result(10) == 42
    thread.join(10)
    assert not thread.is_alive()


def test_a_future_is_awaited(executor):
    async def main():
        future = executor.submit(double, 21)
        return await future, await asyncio.wrap_future(executor.submit(double, 1))

    assert asyncio.run(main()) == (42, 2)


def test_a_callback_that_would_wait_for_ever_is_told_so(executor):
    told = Future()

    def wait_for_another(_):
        try:
            executor.submit(double, 2).result(10)
        except RuntimeError as error:
            executor.shutdown()  # returns at once
            told.set_result(str(error))

    executor.submit(double, 1).add_done_callback(wait_for_another)
    assert "Give the other future a callback" in told.result(5)


FORKS = """
import os, sys, warnings
warnings.simplefilter("ignore")
from funcx import FuncXClient, FuncXExecutor
from funcx_core.ids import new_task_id
client = FuncXClient(funcx_service_address=sys.argv[1], token=sys.argv[2])
executor = FuncXExecutor("theta", funcx_client=client)
executor.submit(abs, -1).result(20)
held = executor._stream.watch(executor.task_group_id, [new_task_id()])[0]
if os.fork() == 0:
    executor.shutdown()  # What is open is the parent's.
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
pid = os.fork()
if pid == 0:
    try:
        try:
            held.result(20)
        except RuntimeError as error:
            assert "was forked" in str(error), error
        else:
            raise AssertionError("the parent's future ended")
        assert executor.submit(abs, -7).result(20) == 7
        assert len(client.get_endpoints()) == 2
        executor.shutdown()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert executor.submit(abs, -3).result(20) == 3
print("both worked")
os._exit(0)
"""


def test_a_forked_child_has_a_stream_of_its_own(service):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, service.settings.service_address, TOKEN],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stdout) == (0, "both worked\n"), done.stderr
