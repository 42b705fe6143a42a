"""`FuncXClient(asynchronous=True)`: futures of asyncio, by the stream."""

from __future__ import annotations

import asyncio

import pytest

from funcx.sdk.asynchronous.funcx_task import FuncXTask
from funcx_core.errors import EndpointNotFound, FunctionNotFound, UsageError
from funcx_core.ids import new_function_id, new_group_id
from funcx_core.sdk.client import FuncXClient
from tests.support.fabric import eventually
from tests.unit.sdk.fake_service import ENDPOINTS, TOKEN, FakeService

THETA = ENDPOINTS[0]["uuid"]


def double(x, plus=0):
    return x * 2 + plus


def fail(x):
    raise KeyError(x)


def stop():
    raise StopIteration(3)


@pytest.fixture
def service():
    with FakeService() as running:
        yield running


@pytest.fixture
def client(service):
    with FuncXClient(funcx_service_address=service.settings.service_address, token=TOKEN, asynchronous=True) as made:
        yield made


def test_run_returns_a_future_that_is_awaited(client, service):
    async def main():
        task = client.run(20, endpoint_id="theta", function_id=client.register_function(double), plus=2)
        assert isinstance(task, FuncXTask)
        assert isinstance(task, asyncio.Future)
        assert task.task_id in str(task)
        return await task, await task.get_result()

    assert asyncio.run(main()) == (42, 42)
    assert not [path for _, path in service.requests if "tasks" in path or "status" in path]


def test_batches_and_maps_are_gathered(client):
    async def main():
        function_id = client.register_function(double)
        batch = client.create_batch()
        for n in range(3):
            batch.add(function_id, THETA, (n,))
        return await asyncio.gather(*client.batch_run(batch))

    assert asyncio.run(main()) == [0, 2, 4]


def test_an_exception_is_raised_as_itself(client):
    async def main():
        with pytest.raises(KeyError):
            await client.run("k", endpoint_id=THETA, function_id=client.register_function(fail))
        with pytest.raises(RuntimeError, match="StopIteration"):
            await client.run(endpoint_id=THETA, function_id=client.register_function(stop))
        with pytest.raises(FunctionNotFound):
            await client.run(1, endpoint_id=THETA, function_id=new_function_id())
        with pytest.raises(EndpointNotFound):
            client.run(1, endpoint_id="nowhere", function_id=new_function_id())

    asyncio.run(main())


def test_cancelling_the_future_cancels_the_task(client, service):
    service.held = True

    async def main():
        task = client.run(1, endpoint_id=THETA, function_id=client.register_function(double))
        await asyncio.to_thread(eventually, lambda: task.task_id in service.waiting, "the task is open")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(eventually, lambda: not service.waiting, "the task is cancelled")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.run(2, endpoint_id=THETA, function_id=client.register_function(double)), 0.1)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_loop_of_ones_own_is_used(service):
    loop = asyncio.new_event_loop()
    address = service.settings.service_address
    with FuncXClient(funcx_service_address=address, token=TOKEN, asynchronous=True, loop=loop) as client:
        task = client.run(4, endpoint_id=THETA, function_id=client.register_function(double))
        assert loop.run_until_complete(task) == 8
        loop.close()
        with pytest.raises(UsageError, match="is closed"):
            client.run(4, endpoint_id=THETA, function_id=new_function_id())


def test_without_a_loop_the_error_says_what_to_do(client):
    with pytest.raises(UsageError, match="in a coroutine, or make the client with loop="):
        client.run(1, endpoint_id=THETA, function_id=new_function_id())


def test_a_closed_client_opens_another_stream(client):
    async def main():
        function_id = client.register_function(double)
        first = await client.run(1, endpoint_id=THETA, function_id=function_id)
        await asyncio.to_thread(client.close)
        return first, await client.run(2, endpoint_id=THETA, function_id=function_id)

    assert asyncio.run(main()) == (2, 4)


def test_a_group_of_its_own_travels(client, service):
    group_id = new_group_id()

    async def main():
        batch = client.create_batch(task_group_id=group_id)
        batch.add(client.register_function(double), THETA, (1,))
        return await client.batch_run(batch)[0]

    assert asyncio.run(main()) == 2
    assert list(service.groups) == [group_id]
