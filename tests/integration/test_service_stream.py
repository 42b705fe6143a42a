"""The stream of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from funcx_core.ids import new_endpoint_id, new_function_id, new_group_id, new_task_id
from funcx_core.protocol.client import (
    Accepted,
    CancelTasks,
    Limits,
    Poll,
    Refused,
    RegisterFunction,
    StateChange,
    Submit,
    TaskEvents,
    TaskResults,
    TaskStates,
    Watch,
)
from funcx_core.protocol.handoff import CancelRequested, Changed, Ended, Logged
from funcx_core.protocol.task import Call, EventKind, Function, TaskEvent, TaskResult, TaskState
from tests.support.stored import ALICE
from tests.support.webservice import Stream, TestedService, a_service

GROUP = new_group_id()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


async def ready(service: TestedService) -> tuple[str, str, Stream]:
    return await service.an_endpoint(), await service.a_function(), await service.stream()


def a_submit(endpoint_id: str, function_id: str, *payloads: bytes, request: int = 1, group_id: str = GROUP) -> Submit:
    calls = [Call(new_task_id(), function_id, payload) for payload in payloads or (b"x",)]
    return Submit(request, endpoint_id, group_id, calls)


async def results_until(stream: Stream, count: int) -> list[TaskResult]:
    found: list[TaskResult] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            message = await stream.receive()
            if isinstance(message, TaskResults):
                found += message.results
    return found


async def test_a_submit_is_accepted_after_its_commit_and_its_result_arrives(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, b"1", b"2")
    await stream.send(submit)
    assert await stream.receive() == Accepted(1)
    ids = [call.task_id for call in submit.calls]
    assert (await service.store.tasks(ALICE.user_id, ids)).keys() == set(ids)
    offers = await service.offers(2)
    for to, offer in offers:
        await service.end(to, offer, commit=False)  # delivered before it is committed
    assert [result.task_id for result in await results_until(stream, 2)] == ids


async def test_results_of_one_turn_arrive_in_one_frame(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, *[b"x"] * 50)
    await stream.send(submit)
    await stream.receive()
    offers = await service.offers(50)
    await service.tell(
        *[
            Ended(offer.owner_id, offer.group_id, [TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, b"v")])
            for _, offer in offers
        ]
    )
    message = await stream.receive()
    assert len(message.results) == 50


async def test_a_function_registered_on_the_stream_may_be_used_at_once(service: TestedService) -> None:
    endpoint_id = await service.an_endpoint()
    stream = await service.stream()
    function = Function(new_function_id(), "f", b"body")
    await stream.send(RegisterFunction(1, function))
    await stream.send(a_submit(endpoint_id, function.function_id, request=2))
    assert {(await stream.receive()).request, (await stream.receive()).request} == {1, 2}
    (message,) = await service.handed_over()
    assert message.functions == [function]
    await stream.send(RegisterFunction(3, Function(function.function_id, "f", b"other")))
    refused = await stream.receive()
    assert (refused.request, refused.code) == (3, "resource_conflict")


async def test_calls_that_cannot_be_accepted_are_named(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_payload=10)) as service:
        endpoint_id, function_id, stream = await ready(service)
        good, large = Call(new_task_id(), function_id, b"x"), Call(new_task_id(), function_id, b"x" * 11)
        unknown, malformed = Call(new_task_id(), new_function_id(), b"x"), Call("nonsense", function_id, b"x")
        await stream.send(Submit(1, endpoint_id, GROUP, [good, large, unknown, malformed]))
        accepted = await stream.receive()
        assert {(fault.task_id, fault.code) for fault in accepted.rejected} == {
            (large.task_id, "task_payload_too_large"),
            (unknown.task_id, "function_not_found"),
            ("nonsense", "invalid_uuid"),
        }
        ((_, offer),) = await service.offers(1)
        assert offer.task.task_id == good.task_id
        changed = Call(good.task_id, function_id, b"y")
        await stream.send(Submit(2, endpoint_id, GROUP, [changed]))
        ((fault),) = (await stream.receive()).rejected
        assert (fault.task_id, fault.code) == (good.task_id, "resource_conflict")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"endpoint_id": new_endpoint_id()}, "endpoint_not_found"),
        ({"endpoint_id": "nonsense"}, "invalid_uuid"),
        ({"group_id": "nonsense"}, "invalid_uuid"),
        ({"twice": True}, "request_malformed"),
    ],
)
async def test_a_request_that_cannot_be_accepted_is_refused_whole(
    service: TestedService, change: dict[str, Any], code: str
) -> None:
    endpoint_id, function_id, stream = await ready(service)
    call = Call(new_task_id(), function_id, b"x")
    given = {"endpoint_id": endpoint_id, "group_id": GROUP, **change}
    calls = [call, call] if given.pop("twice", False) else [call]
    await stream.send(Submit(7, calls=calls, **given))
    refused = await stream.receive()
    assert isinstance(refused, Refused)
    assert (refused.request, refused.code) == (7, code)


async def test_events_and_changes_arrive(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id)
    await stream.send(submit)
    await stream.receive()
    task_id = submit.calls[0].task_id
    event = TaskEvent(task_id, 1, EventKind.STDOUT, 0, b"hello\n")
    change = StateChange(task_id, TaskState.RUNNING)
    await service.tell(Logged(ALICE.user_id, GROUP, [event]), Changed(ALICE.user_id, GROUP, [change]))
    assert [await stream.receive(), await stream.receive()] == [TaskStates([change]), TaskEvents([event])]


async def test_nobody_hears_of_the_tasks_of_others(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    other = await service.stream(service.bob)
    submit = a_submit(endpoint_id, function_id)
    ids = [call.task_id for call in submit.calls]
    await stream.send(submit)
    await stream.receive()
    ((to, offer),) = await service.offers(1)
    await other.send(Watch(GROUP, ids, {ids[0]: 0}))
    await other.send(CancelTasks(ids))
    await asyncio.sleep(0.1)
    await service.store.append_events(to, [TaskEvent(ids[0], 1, EventKind.STDOUT, 0, b"secret")])
    await service.end(to, offer)
    await results_until(stream, 1)
    await other.send(a_submit(new_endpoint_id(), function_id, request=9))
    assert (await other.receive()).request == 9  # the answer is all that came
    assert (await service.store.tasks(ALICE.user_id, ids))[ids[0]].state is TaskState.SUCCESS


async def test_watch_sends_what_ended_and_follows_what_did_not(service: TestedService) -> None:
    endpoint_id, function_id, first = await ready(service)
    submit = a_submit(endpoint_id, function_id, b"1", b"2", b"3")
    ids = [call.task_id for call in submit.calls]
    await first.send(submit)
    await first.receive()
    offers = await service.offers(3)
    event = TaskEvent(ids[2], 5, EventKind.STDOUT, 0, b"late")
    await service.store.append_events(endpoint_id, [TaskEvent(ids[2], 4, EventKind.STDOUT, 0, b"early"), event])
    await service.end(*offers[0])
    again = await service.stream()
    await again.send(Watch(GROUP, ids, {ids[2]: 4}))
    assert await again.receive() == TaskEvents([event])
    assert [result.task_id for result in await results_until(again, 1)] == ids[:1]
    await service.end(*offers[1])
    assert [result.task_id for result in await results_until(again, 1)] == ids[1:2]
    await service.end(*offers[2])
    assert [result.task_id for result in await results_until(again, 1)] == ids[2:]


async def test_what_happens_while_a_log_is_read_follows_it(service: TestedService) -> None:
    endpoint_id, function_id, first = await ready(service)
    submit = a_submit(endpoint_id, function_id)
    await first.send(submit)
    await first.receive()
    ((to, offer),) = await service.offers(1)
    task_id = offer.task.task_id
    one, two, three = (TaskEvent(task_id, 1 << 32 | n, EventKind.STDOUT, 0, b"%d" % n) for n in (1, 2, 3))
    await service.store.append_events(endpoint_id, [one])
    again = await service.stream()
    await again.send(Watch(GROUP, [task_id], {task_id: 0}))
    assert await again.receive() == TaskEvents([one])
    # Events are published before they are committed: the second one had been published before the stream followed.
    await service.tell(Logged(offer.owner_id, offer.group_id, [three]))
    result = TaskResult(task_id, 1, TaskState.SUCCESS, b"v")
    await service.tell(Ended(offer.owner_id, offer.group_id, [result]))
    await service.store.append_events(endpoint_id, [two, three])
    await service.store.complete(to, [result])
    assert await again.receive() == TaskEvents([two, three])
    assert await again.receive() == TaskResults([result])


async def test_watch_finds_a_result_that_is_committed_a_moment_later(service: TestedService) -> None:
    endpoint_id, function_id, first = await ready(service)
    submit = a_submit(endpoint_id, function_id)
    await first.send(submit)
    await first.receive()
    ((to, offer),) = await service.offers(1)
    result = TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, b"v")
    await service.tell(Ended(offer.owner_id, offer.group_id, [result]))
    await results_until(first, 1)
    again = await service.stream()
    await again.send(Watch(GROUP, [offer.task.task_id]))
    await asyncio.sleep(0.3)
    await service.store.complete(to, [result])
    assert await results_until(again, 1) == [result]


async def test_cancels_go_to_the_forwarder(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, b"1", b"2")
    ids = [call.task_id for call in submit.calls]
    await stream.send(submit)
    await stream.receive()
    await service.handed_over()
    await stream.send(CancelTasks([ids[1], new_task_id()], force=True))
    assert await service.handed_over() == [CancelRequested(endpoint_id, [ids[1]], force=True)]


@pytest.mark.parametrize("garbage", [b"\xc1garbage", b"", "text", b"\x81\xa4type\xa7unknown"])
async def test_garbage_ends_the_stream_and_loses_nothing(service: TestedService, garbage: bytes | str) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, *[b"x"] * 100)
    await stream.send(submit)
    await stream.connection.write_message(garbage, binary=isinstance(garbage, bytes))
    async with asyncio.timeout(5):
        while await stream.receive() is not None:
            pass
    assert stream.connection.close_code == 1003
    assert stream.connection.close_reason
    assert len(await service.offers(100)) == 100  # what came before is done
    assert await service.get("endpoints")


async def test_a_stream_needs_a_token(service: TestedService) -> None:
    for token in ("", "garbage"):
        with pytest.raises(HTTPClientError, match="401"):
            await service.stream(token)


async def test_a_page_of_another_site_cannot_open_a_stream(service: TestedService) -> None:
    address = service.web.address.replace("http", "ws") + "/stream"
    for origin, fine in (("http://evil.test", False), ("http://localhost:8888", True)):
        request = HTTPRequest(address, headers={"Authorization": f"Bearer {service.alice}", "Origin": origin})
        if fine:
            (await websocket_connect(request)).close()
        else:
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(request)


async def test_a_token_that_is_revoked_ends_its_streams(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    await service.tokens.revoke(ALICE, service.alice)
    await stream.send(a_submit(endpoint_id, function_id))
    refused = await stream.receive()
    assert (refused.request, refused.code) == (1, "user_unauthenticated")
    assert await stream.receive() is None
    assert stream.connection.close_code == 1008


async def test_large_results_come_in_frames_that_are_not_larger(service: TestedService) -> None:
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, *[b"x"] * 9)
    await stream.send(submit)
    await stream.receive()
    offers = await service.offers(9)
    value = b"v" * 1_000_000
    for to, offer in offers:
        await service.store.complete(to, [TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, value)])
    await stream.send(Watch(GROUP, [call.task_id for call in submit.calls]))
    sizes = []
    while sum(sizes) < 9:
        sizes.append(len((await stream.receive()).results))
    assert max(sizes) <= 5


async def test_a_client_that_reads_too_slowly_is_told_to_ask(service: TestedService) -> None:
    """F04"""
    endpoint_id, function_id, stream = await ready(service)
    submit = a_submit(endpoint_id, function_id, *[b"x"] * 60)
    ids = [call.task_id for call in submit.calls]
    await stream.send(submit)
    await stream.receive()
    for _, offer in await service.offers(60):
        result = TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, b"v" * 1_000_000)
        await service.store.complete(endpoint_id, [result])
        await service.tell(Ended(offer.owner_id, offer.group_id, [result]))
    found: set[str] = set()
    async with asyncio.timeout(20):
        while not isinstance(message := await stream.receive(), Poll):
            found.update(result.task_id for result in message.results)
        assert len(found) < 60
        await stream.send(Watch(GROUP, [task_id for task_id in ids if task_id not in found]))
        while len(found) < 60:
            found.update(result.task_id for result in (await stream.receive()).results)
    assert found == set(ids)


async def test_a_service_that_stops_finishes_what_was_asked_for(tmp_path: Path) -> None:
    async with a_service(tmp_path) as service:
        endpoint_id, function_id, stream = await ready(service)
        submits = [a_submit(endpoint_id, function_id, *[b"x"] * 20, request=number) for number in range(1, 11)]
        for submit in submits:
            await stream.send(submit)
        while len(await service.store.open_tasks(endpoint_id, at_most=1000)) < 20:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.01)
        await service.web.close()
        accepted = set()
        while (message := await stream.receive()) is not None:
            accepted.add(message.request)
        assert stream.connection.close_code == 1013
        there = set(await service.store.open_tasks(endpoint_id, at_most=1000))
        for submit in submits:
            if submit.request in accepted:
                assert {call.task_id for call in submit.calls} <= there
