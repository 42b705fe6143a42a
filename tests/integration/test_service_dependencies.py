"""Tasks that wait for others, at a real web service; the forwarder is played by the test."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core.ids import EndpointId, FunctionId, MapId, TaskId, new_group_id, new_map_id, new_task_id
from funcx_core.protocol.client import Accepted, CancelTasks, Refused, Submit, TaskResults
from funcx_core.protocol.handoff import More, Submitted
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.payload import CALLS
from funcx_core.protocol.ranges import a_range
from funcx_core.protocol.task import Call, TaskError, TaskOptions, TaskResult, TaskState
from tests.support.webservice import TestedService, a_service

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from funcx_core.protocol.task import TaskOptions, TaskResult, TaskState
from funcx_core.service.store import SqliteStore
from tests.support.stored import ALICE, ENDPOINT, a_call, a_result, a_submission, an_endpoint


async def main():
    async with SqliteStore(Path(sys.argv[1])) as store:
        await store.ensure_user(ALICE)
        await store.save_endpoint(an_endpoint())
        good, bad, free, doomed, last = [a_call() for _ in range(5)]
        await store.submit(a_submission(good, bad))
        await store.submit(a_submission(free, options=TaskOptions(after=(good.task_id,))))
        await store.submit(a_submission(doomed, options=TaskOptions(after=(good.task_id, bad.task_id))))
        await store.submit(a_submission(last, options=TaskOptions(after=(doomed.task_id,))))
        await store.complete(ENDPOINT, [a_result(good.task_id), TaskResult(bad.task_id, 1, TaskState.FAILED)])
        print(free.task_id, doomed.task_id, last.task_id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main())
"""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path / "service") as service:
        yield service


class Client:
    """Submits to one endpoint and hears what becomes of it."""

    def __init__(self, service: TestedService, stream: Any, endpoint_id: str, function_id: str) -> None:
        self.service = service
        self.stream = stream
        self.endpoint_id = EndpointId(endpoint_id)
        self.function_id = FunctionId(function_id)
        self.group_id = new_group_id()

    async def submit(self, *after: TaskId, task_id: TaskId | None = None) -> Any:
        """Return the task's id, or the answer if it was not accepted."""
        task_id = task_id or new_task_id()
        call = Call(task_id, self.function_id, b"cb\nargs")
        options = TaskOptions(after=after)
        await self.stream.send(Submit(7, self.endpoint_id, self.group_id, [call], options))
        answer = await self.next(Accepted, Refused)
        return task_id if answer == Accepted(7) else answer

    async def next(self, *kinds: type) -> Any:
        async with asyncio.timeout(20):
            while not isinstance(message := await self.stream.receive(), kinds):
                assert message is not None
        return message

    async def status(self, task_id: TaskId) -> Any:
        return await self.service.get(f"tasks/{task_id}")


@pytest.fixture
async def client(service: TestedService) -> Client:
    return Client(service, await service.stream(), await service.an_endpoint(), await service.a_function())


async def test_a_waiting_task_is_handed_over_when_what_it_waits_for_has_succeeded(
    service: TestedService, client: Client
) -> None:
    first = await client.submit()
    waiting = await client.submit(first)
    ((endpoint_id, offer),) = await service.offers(1)
    assert offer.task.task_id == first
    view = await client.status(waiting)
    assert (view["status"], view["waits_for"]) == ("received", [first])
    await service.end(endpoint_id, offer)
    assert await service.handed_over() == [More(client.endpoint_id)]
    assert await service.store.open_tasks(client.endpoint_id, at_most=10) == [waiting]
    assert "waits_for" not in await client.status(waiting)
    after_all = await client.submit(first)
    (message,) = await service.handed_over()
    assert isinstance(message, Submitted)
    assert [each.task.task_id for each in message.offers] == [after_all]


async def test_streams_hear_of_tasks_that_fail_with_what_they_wait_for(service: TestedService, client: Client) -> None:
    first = await client.submit()
    second = await client.submit(first)
    third = await client.submit(second)
    ((endpoint_id, offer),) = await service.offers(1)
    failure = TaskResult(first, 1, TaskState.FAILED, error=TaskError(code="task_failed", message="no"))
    await service.end(endpoint_id, offer, failure)
    found: dict[str, TaskResult] = {}
    while third not in found:
        found.update((result.task_id, result) for result in (await client.next(TaskResults)).results)
    reasons = {task_id: found[task_id].error for task_id in (second, third)}
    assert {task_id: error and error.details["upstream"] for task_id, error in reasons.items()} == {
        second: first,
        third: second,
    }
    assert (await client.status(third))["error"]["code"] == "dependency_error"


async def test_cancelled_while_it_waits(service: TestedService, client: Client) -> None:
    first = await client.submit()
    waiting = await client.submit(first)
    last = await client.submit(waiting)
    await client.stream.send(CancelTasks([waiting]))
    found: list[TaskResult] = []
    while len(found) < 2:
        found += (await client.next(TaskResults)).results
    assert [(result.task_id, result.state) for result in found] == [
        (waiting, TaskState.CANCELLED),
        (last, TaskState.FAILED),
    ]
    messages = await service.handed_over()
    assert not any(hasattr(message, "task_ids") for message in messages)  # The forwarder never heard of it.


async def test_what_cannot_be_waited_for_is_refused(client: Client) -> None:
    unknown, own = new_task_id(), new_task_id()
    assert (await client.submit(unknown)).code == "task_not_found"
    refused = await client.submit(own, task_id=own)
    assert refused.code == "request_malformed"
    assert own in refused.message
    many = [new_task_id() for _ in range(65)]
    assert "at most 64" in (await client.submit(*many)).message
    first = await client.submit()
    assert isinstance(await client.submit(*[first] * 65), str)  # folded


async def a_waiting_map(client: Client, first: TaskId) -> tuple[MapId, list[TaskId]]:
    """Return a map of two ranges with three calls each."""
    map_id = new_map_id()
    calls = [
        RangeCall(new_task_id(), client.function_id, a_range(CALLS + b"args"), 0, 3),
        RangeCall(new_task_id(), client.function_id, a_range(CALLS + b"args"), 3, 3, True),
    ]
    await client.stream.send(
        SubmitMap(
            9,
            map_id,
            client.endpoint_id,
            client.group_id,
            client.function_id,
            calls,
            options=TaskOptions(after=(first,)),
        )
    )
    assert await client.next(Accepted, Refused) == Accepted(9)
    return map_id, [call.task_id for call in calls]


async def test_a_map_waits_for_a_task(service: TestedService, client: Client) -> None:
    first = await client.submit()
    map_id, ranges = await a_waiting_map(client, first)
    ((endpoint_id, offer),) = await service.offers(1)
    assert offer.task.task_id == first
    assert (await service.get(f"maps/{map_id}"))["counts"]["waiting"] == 6
    await service.end(endpoint_id, offer)
    assert await service.handed_over() == [More(client.endpoint_id)]
    assert await service.store.open_tasks(client.endpoint_id, at_most=10) == ranges


async def test_a_map_fails_with_what_it_waits_for_and_can_be_run_all_the_same(
    service: TestedService, client: Client
) -> None:
    first = await client.submit()
    ((endpoint_id, offer),) = await service.offers(1)
    failure = TaskResult(first, 1, TaskState.FAILED, error=TaskError(code="task_failed", message="no"))
    await service.end(endpoint_id, offer, failure)
    map_id, ranges = await a_waiting_map(client, first)  # What it waits for has failed before.
    found: list[TaskResult] = []
    while len(found) < 2:
        found += (await client.next(TaskResults)).results
    assert {result.task_id: result.error and result.error.details["upstream"] for result in found} == dict.fromkeys(
        ranges, first
    )
    assert (await service.get(f"maps/{map_id}"))["counts"]["failed"] == 6
    again = await service.post(f"maps/{map_id}/resume", {"failed": True})
    assert (again["resumed"], again["counts"]["waiting"]) == (6, 6)
    assert len(await service.store.open_tasks(client.endpoint_id, at_most=10)) == 2


async def test_a_map_that_waits_can_be_cancelled_and_waits_again_when_it_is_resumed(
    service: TestedService, client: Client
) -> None:
    first = await client.submit()
    map_id, _ = await a_waiting_map(client, first)
    ((endpoint_id, offer),) = await service.offers(1)
    await service.post(f"maps/{map_id}/cancel", {}, code=202)
    assert (await service.get(f"maps/{map_id}"))["counts"]["cancelled"] == 6
    assert (await service.post(f"maps/{map_id}/resume", {}))["resumed"] == 6
    assert await service.store.open_tasks(client.endpoint_id, at_most=10) == [first]
    await service.end(endpoint_id, offer)
    while len(await service.store.open_tasks(client.endpoint_id, at_most=10)) < 2:
        await service.handed_over()
    assert len(await service.store.open_tasks(client.endpoint_id, at_most=10)) == 2


async def test_deleting_an_endpoint_ends_what_waits_for_it(service: TestedService, client: Client) -> None:
    first = await client.submit()
    elsewhere = Client(service, await service.stream(), await service.an_endpoint("midway"), client.function_id)
    waiting = await elsewhere.submit(first)
    response = await service.request("DELETE", f"endpoints/{elsewhere.endpoint_id}")
    assert response.code < 300
    assert (await client.status(waiting))["status"] == "cancelled"


async def test_a_service_that_was_killed_before_it_could_release_does_it_at_its_start(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path / "service"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL
    free, doomed, last = output.decode().split()
    async with a_service(tmp_path / "service") as service:
        (message, *_) = await service.handed_over()
        assert isinstance(message, More)
        assert await service.store.open_tasks(message.endpoint_id, at_most=10) == [free]
        for _ in range(400):
            found = await service.get(f"tasks/{last}")
            if found["status"] == "failed":
                break
            await asyncio.sleep(0.05)
        assert found["error"]["details"]["upstream"] == doomed
