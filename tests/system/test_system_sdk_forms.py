"""The client and the executor in the forms of all releases, on a whole fabric."""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import warnings

import pytest

from funcx_core import errors
from funcx_core.ids import new_group_id
from tests.support.fabric import eventually


def add(first, second=0):
    return first + second


def fails_on_purpose(number):
    return {"a": 1}[number]


def pause(seconds):
    import time

    time.sleep(seconds)
    return seconds


def asynchronous_client(fabric, **more):
    from funcx import FuncXClient

    return FuncXClient(funcx_service_address=fabric.address, token=fabric.token, asynchronous=True, **more)


def test_an_asynchronous_client_gives_futures_of_asyncio(fabric):
    async def main():
        with asynchronous_client(fabric) as client:
            function_id = client.register_function(add, description="Adds")
            one = client.run(1, endpoint_id="local", function_id=function_id, second=2)
            batch = client.create_batch()
            for number in range(5):
                batch.add(function_id, fabric.endpoint_id, args=(number,), kwargs={"second": 1})
            many = client.batch_run(batch)
            values = await asyncio.wait_for(asyncio.gather(one, *many), 60)
            assert client.get_task(one.task_id)["status"] == "success"
            failing = client.run("b", endpoint_id="local", function_id=client.register_function(fails_on_purpose))
            with pytest.raises(KeyError):
                await asyncio.wait_for(failing, 60)
            return values

    assert asyncio.run(main()) == [3, 1, 2, 3, 4, 5]


def test_a_cancelled_asyncio_future_cancels_its_task(fabric):
    async def main():
        with asynchronous_client(fabric) as client:
            function_id = client.register_function(pause)
            blockers = [client.run(1.0, endpoint_id="local", function_id=function_id) for _ in range(2)]
            task = client.run(30, endpoint_id="local", function_id=function_id)

            def is_known():
                with contextlib.suppress(errors.TaskNotFound):
                    return client.get_task(task.task_id)

            def is_cancelled():
                return client.get_task(task.task_id)["status"] == "cancelled"

            await asyncio.to_thread(eventually, is_known, "the task is submitted", timeout=20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(eventually, is_cancelled, "the task is cancelled", timeout=20)
            await asyncio.gather(*blockers)

    asyncio.run(main())


def test_futures_of_an_executor_are_awaited_and_waited_for(fabric):
    async def main(executor):
        futures = [executor.submit(add, number) for number in range(4)]
        return [await futures[0], *await asyncio.gather(*map(asyncio.wrap_future, futures[1:]))]

    with fabric.executor(label="mine") as executor:
        assert asyncio.run(main(executor)) == [0, 1, 2, 3]
        futures = [executor.submit(add, number) for number in range(4)]
        assert {future.result() for future in concurrent.futures.as_completed(futures, 60)} == {0, 1, 2, 3}
        assert repr(executor).startswith("FuncXExecutor<mine, ")


def test_endpoint_and_group_may_be_set_later(fabric):
    from funcx import FuncXExecutor

    with FuncXExecutor(funcx_client=fabric.client()) as executor:
        with pytest.raises(errors.UsageError, match="No endpoint"):
            executor.submit(add, 1)
        executor.endpoint_id = "local"
        executor.task_group_id = group = new_group_id()
        future = executor.submit(add, 1)
        assert future.result(30) == 1
        assert executor.task_count_submitted == 1
        assert future.task_id in fabric.client().get_task_group(group)


def test_the_forms_of_notebooks_for_0_3(fabric):
    from funcx.sdk.executor import FuncXExecutor

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        executor = FuncXExecutor(fabric.client(), label="old", batch_enabled=True, batch_interval=1.0, batch_size=10)
    assert [warning.category for warning in caught] == [DeprecationWarning] * 2
    with executor:
        assert executor.submit(add, 1, endpoint_id=fabric.endpoint_id, second=2).result(30) == 3


def test_functions_are_registered_with_words_and_used_by_id(fabric):
    with fabric.executor() as executor:
        function_id = executor.register_function(add, description="Adds two numbers", function_name="plus")
        assert executor.submit(add, 1, second=2).result(30) == 3
        assert executor.submit_to_registered_function(function_id, (4,), {"second": 5}).result(30) == 9
        with pytest.raises(ValueError, match="registered already"):
            executor.register_function(add)
    found = fabric.client().get_function(function_id)
    assert (found["function_name"], found["description"]) == ("plus", "Adds two numbers")


def test_executors_share_a_client(fabric):
    from funcx import FuncXExecutor

    client = fabric.client()
    executors = [FuncXExecutor("local", funcx_client=client) for _ in range(3)]
    futures = [executor.submit(add, number) for number, executor in enumerate(executors)]
    assert [future.result(30) for future in futures] == [0, 1, 2]
    for executor in executors:
        executor.shutdown()


SUBMIT = """
import json, os, time
from funcx import FuncXExecutor

def pause(seconds):
    import time
    time.sleep(seconds)
    return seconds

executor = FuncXExecutor("local")
futures = [executor.submit(pause, seconds) for seconds in (0.0, 3.0, 3.1)]
futures[0].result(30)
while executor.task_count_submitted < 3:
    time.sleep(0.01)
print(json.dumps([executor.task_group_id, [future.task_id for future in futures]]), flush=True)
os._exit(0)
"""


def test_tasks_are_reloaded_after_process_and_service_restarted(fresh_fabric):
    done = fresh_fabric.script(SUBMIT)
    assert done.returncode == 0, done.stderr
    group, task_ids = json.loads(done.stdout)
    fresh_fabric.kill_service()
    fresh_fabric.start_service()
    with fresh_fabric.executor(task_group_id=group) as executor:
        futures = {future.task_id: future for future in executor.reload_tasks()}
        assert set(futures) == set(task_ids)
        assert [futures[task_id].result(60) for task_id in task_ids] == [0.0, 3.0, 3.1]


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from funcx import FuncXExecutor

executor = FuncXExecutor("local")
assert executor.submit(abs, -1).result(30) == 1
pid = os.fork()
if pid == 0:
    code = 1
    try:
        code = 0 if executor.submit(abs, -2).result(30) == 2 else 3
        executor.shutdown()
    finally:
        os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print(executor.submit(abs, -3).result(30))
executor.shutdown()
"""


def test_a_forked_child_works_beside_its_parent(fabric):
    done = fabric.script(FORK)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_the_version_is_checked_and_the_program_named(fabric):
    from funcx import FuncXClient

    client = FuncXClient(funcx_service_address=fabric.address, token=fabric.token, check_endpoint_version=True)
    client.user_app_name = "tests/1.0"
    client.version_check("0.3.9")
    assert client.get_endpoints()
    with pytest.raises(errors.VersionMismatch, match="funcx-endpoint"):
        client.version_check("0.0.0")


def test_a_service_without_a_broker_says_so(fabric):
    with pytest.raises(errors.NoMessageBroker, match="No message broker is configured"):
        fabric.client().get_result_amqp_url()


def test_errors_of_the_service_keep_their_fields(fabric):
    client = fabric.client()
    stranger = new_group_id()
    with pytest.raises(errors.TaskGroupNotFound) as missing:
        client.get_task_group(stranger)
    assert missing.value.name == stranger
    limit = client.get_limits()["max_batch"]
    function_id = client.register_function(add)
    batch = client.create_batch()
    for _ in range(limit + 1):
        batch.add(function_id, "local", (1,))
    with pytest.raises(errors.BatchTooLarge) as large:
        client.batch_run(batch)
    assert (large.value.limit, large.value.size) == (limit, limit + 1)


def test_tokens_in_another_home_are_used_and_forgotten(fabric, tmp_path):
    from funcx import FuncXClient

    other = tmp_path / "home"
    other.mkdir(mode=0o700)
    file = other / "credentials.json"
    file.write_text(json.dumps({fabric.address: {"token": fabric.token}}))
    file.chmod(0o600)
    client = FuncXClient(funcx_service_address=fabric.address, funcx_home=other)
    assert client.get_endpoints()
    client.logout()
    with pytest.raises(errors.AuthRequired):
        FuncXClient(funcx_service_address=fabric.address, funcx_home=os.fspath(other)).get_endpoints()


# --- sharing, locks, containers, search --------------------------------------------------------------------------


def shout(text):
    """Say it louder, for the marmots."""
    return text.upper()


def test_a_whitelist_decides_what_an_endpoint_runs(fresh_fabric):
    client = fresh_fabric.client()
    allowed, other = client.register_function(add), client.register_function(shout)
    assert client.add_to_whitelist("local", [allowed])["result"] == [allowed]
    assert client.get_whitelist(fresh_fabric.endpoint_id)["result"] == [allowed]
    with fresh_fabric.executor() as executor:
        assert executor.submit_to_registered_function(allowed, (1,)).result(30) == 1
        with pytest.raises(errors.PermissionDenied):
            executor.submit_to_registered_function(other, ("a",)).result(30)
        client.add_to_whitelist("local", other)
        assert executor.submit_to_registered_function(other, ("a",)).result(30) == "A"
        assert len(client.delete_from_whitelist("local", [allowed])) == 1
        with pytest.raises(errors.PermissionDenied):
            executor.submit_to_registered_function(allowed, (1,)).result(30)


def test_functions_are_found_by_what_they_are_about(fabric):
    client = fabric.client()
    function_id = client.register_function(shout, description="Speaks to rodents")
    hidden = client.register_function(shout, function_name="hidden_shout", searchable=False)
    found = client.search_function("marmots rodents")
    assert found[0]["function_uuid"] == function_id
    assert "shout" in str(found)
    assert "rodents" in str(found)
    assert client.search_function("name:shout", advanced=True).total >= 1
    assert client.get_function(hidden)["function_name"] == "hidden_shout"
    assert str(client.search_function("nobody wrote this")) == "No function was found."
    client.delete_function(function_id)
    assert function_id not in {row["function_uuid"] for row in client.search_function("rodents", limit=50)}
    with pytest.raises(errors.FunctionNotFound):
        client.get_function(function_id)


def test_containers_are_registered_and_found(fabric):
    client = fabric.client()
    container_id = client.register_container("docker://python:3.12-slim", "docker", name="python", description="Plain")
    found = client.get_container(container_id, "docker")
    assert (found["location"], found["name"]) == ("docker://python:3.12-slim", "python")
    endpoint_id, containers = client.get_containers("local")
    assert endpoint_id == fabric.endpoint_id
    assert container_id in {row["container_uuid"] for row in containers}
    with pytest.raises(errors.NotFound):
        client.get_container(new_group_id(), "docker")


def test_a_locked_endpoint_goes_home_and_comes_back_when_unlocked(fresh_fabric):
    client = fresh_fabric.client()
    client.stop_endpoint("local")
    eventually(lambda: not fresh_fabric.is_online("local"), "the endpoint has gone", timeout=40)
    refused = fresh_fabric.endpoint_cli("start", "local", check=False)
    assert refused.returncode != 0
    client.unlock_endpoint("local")
    eventually(lambda: not fresh_fabric.processes("agent"), "the agent has ended", timeout=20)
    fresh_fabric.start_endpoint("local")
    assert fresh_fabric.is_online("local")


def test_a_deleted_endpoint_is_not_found(fabric):
    client = fabric.client()
    endpoint_id = new_group_id()
    client.register_endpoint("passing", endpoint_id, {"cores": 8}, "1.0.6")
    assert client.find_endpoint("passing") == endpoint_id
    assert client.get_endpoint_status("passing")["status"] == "offline"
    client.delete_endpoint("passing")
    with pytest.raises(errors.EndpointNotFound):
        client.get_endpoint_status("passing")
