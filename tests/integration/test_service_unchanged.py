"""Who asks again how many tasks do is told in a few bytes that nothing has changed, and no task is looked at for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from funcx_core.ids import new_group_id, new_task_id
from funcx_core.protocol.task import TaskError, TaskResult, TaskState, Transition
from funcx_core.sdk.client import FuncXClient
from tests.support.stored import a_call, a_result, a_submission
from tests.support.webservice import TestedService, a_service

OLD = {"User-Agent": "globus-sdk-py-3.1.0/FuncX"}
MANY = 1_000


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


@contextmanager
def queries(service: TestedService) -> Iterator[list[str]]:
    """The statements on tasks that readers of the store run."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_) -> None:
        if "tasks" in statement:
            seen.append(statement)

    engine = service.store._read_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


async def many(service: TestedService, count: int = MANY) -> tuple[list[str], str]:
    endpoint_id = await service.an_endpoint()
    calls = [a_call() for _ in range(count)]
    await service.store.submit(a_submission(*calls, endpoint_id=endpoint_id, group_id=new_group_id()))
    return [call.task_id for call in calls], endpoint_id


async def ask(service: TestedService, task_ids: list[str], tag: str = "", **more):
    headers = {**({"If-None-Match": tag} if tag else {}), **more.pop("headers", {})}
    body = {"task_ids": task_ids, "brief": True}
    return await service.request("POST", "batch_status", body, headers=headers, **more)


async def test_an_answer_that_is_still_good_costs_no_query_and_no_bytes(service: TestedService) -> None:
    task_ids, _ = await many(service)
    first = await ask(service, task_ids)
    assert (first.code, len(first.body) > 300 * MANY) == (200, True)
    with queries(service) as seen:
        for _ in range(3):
            again = await ask(service, task_ids, first.headers["ETag"])
            assert (again.code, again.body) == (304, b"")
            assert again.headers["ETag"] == first.headers["ETag"]
            assert sum(len(name) + len(value) for name, value in again.headers.get_all()) < 500
    assert seen == []


async def test_a_change_is_told_as_a_whole(service: TestedService) -> None:
    (one, other), endpoint_id = await many(service, 2)
    first = await ask(service, [one, other])
    await service.store.complete(endpoint_id, [a_result(one)])
    again = await ask(service, [one, other], first.headers["ETag"])
    assert again.code == 200
    assert again.headers["ETag"] != first.headers["ETag"]
    assert b'"success"' in again.body
    assert other.encode() in again.body
    assert (await ask(service, [one, other], again.headers["ETag"])).code == 304


async def test_a_change_of_other_tasks_costs_queries_and_no_bytes(service: TestedService) -> None:
    (one, other), endpoint_id = await many(service, 2)
    first = await ask(service, [one])
    await service.store.complete(endpoint_id, [a_result(other)])
    with queries(service) as seen:
        again = await ask(service, [one], first.headers["ETag"])
        assert (again.code, again.body, len(seen)) == (304, b"", 1)
        assert (await ask(service, [one], first.headers["ETag"])).code == 304
        assert len(seen) == 1


async def test_a_task_that_is_not_there_yet_is_not_overlooked(service: TestedService) -> None:
    unknown = new_task_id()
    (one,), _ = await many(service, 1)
    first = await ask(service, [one, unknown])
    assert (await ask(service, [one, unknown], first.headers["ETag"])).code == 304
    submission = a_submission(a_call(task_id=unknown), endpoint_id=await service.an_endpoint("other"))
    await service.store.submit(submission)
    assert (await ask(service, [one, unknown], first.headers["ETag"])).code == 200


async def test_an_endpoint_that_goes_away_is_told(service: TestedService) -> None:
    (one,), endpoint_id = await many(service, 1)
    await service.store.endpoint_seen(endpoint_id, None, online=True, epoch=1)
    first = await ask(service, [one])
    assert b"waiting-for-nodes" in first.body
    await service.store.endpoint_seen(endpoint_id, None, online=False, epoch=1)
    again = await ask(service, [one], first.headers["ETag"])
    assert (again.code, b"waiting-for-ep" in again.body) == (200, True)


async def test_nobody_is_told_whether_the_tasks_of_another_have_changed(service: TestedService) -> None:
    task_ids, _ = await many(service, 1)
    tag = (await ask(service, task_ids)).headers["ETag"]
    of_bob = await ask(service, task_ids, tag, token=service.bob)
    assert (of_bob.code, b"Unknown task id" in of_bob.body) == (200, True)


async def test_clients_that_do_not_ask_for_it_get_whole_answers(service: TestedService) -> None:
    (one,), endpoint_id = await many(service, 1)
    await service.store.complete(endpoint_id, [TaskResult(one, 1, TaskState.SUCCESS, b"pb\npickle")])
    for _ in range(2):
        for path in ("/v1/batch_status", "/v2/batch_status"):
            found = await service.post(path, {"task_ids": [one]}, headers=OLD)
            assert found["results"][one]["result"].endswith("\ncGlja2xl\n")


async def test_a_tag_of_another_dialect_is_none(service: TestedService) -> None:
    (one,), endpoint_id = await many(service, 1)
    error = TaskError(code="remote_task_error", message="no", type_name="KeyError")
    await service.store.complete(endpoint_id, [TaskResult(one, 1, TaskState.FAILED, error=error)])
    body = {"task_ids": [one]}
    ours = await service.request("POST", "batch_status", body)
    tag = {"If-None-Match": ours.headers["ETag"]}
    assert (await service.request("POST", "batch_status", body, headers={**tag, **OLD})).code == 200
    assert (await service.request("POST", "batch_status", body, headers=tag)).code == 304


async def test_after_a_restart_the_tag_is_good_for_what_has_not_changed(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        task_ids, endpoint_id = await many(service, 1)
        first = await ask(service, task_ids)
    async with a_service(tmp_path) as service:
        assert (await ask(service, task_ids, first.headers["ETag"])).code == 304
        await service.store.transition(endpoint_id, [Transition(task_ids[0], 1, TaskState.RUNNING, 1)])
        assert (await ask(service, task_ids, first.headers["ETag"])).code == 200


async def test_the_client_asks_for_what_has_changed(service: TestedService) -> None:
    task_ids, endpoint_id = await many(service, 3)
    client = FuncXClient(funcx_service_address=service.web.address, token=service.alice)
    try:
        first = await asyncio.to_thread(client.get_batch_result, task_ids)
        with queries(service) as seen:
            assert await asyncio.to_thread(client.get_batch_result, task_ids) == first
            assert seen == []
        done = TaskResult(task_ids[0], 1, TaskState.CANCELLED)
        await service.store.complete(endpoint_id, [done])
        found = await asyncio.to_thread(client.get_batch_result, task_ids)
        assert [found[task_id]["pending"] for task_id in task_ids] == [False, True, True]
    finally:
        client.close()
