"""Maps over HTTP and the stream, against a real web service with a fake forwarder."""

from __future__ import annotations

import base64
import pickle
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core.ids import call_id, new_group_id, new_map_id, new_task_id, split_call_id
from funcx_core.protocol.client import Accepted, Refused, Watch
from funcx_core.protocol.handoff import CancelRequested, More
from funcx_core.protocol.maps import MAX_ABOUT, RangeCall, SubmitMap
from funcx_core.protocol.payload import CALLS
from funcx_core.protocol.ranges import Failure, Head, Segment, a_range, read_listed, read_range, write_outcomes
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from tests.support.webservice import TestedService, a_service

ERROR = TaskError(code="remote_task_error", message="no", type_name="ValueError", exception=b"pb\n\xff")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


def outcomes(
    values: list[object], *, failed: tuple[int, ...] = (), alone: bool = False, ran: int | None = None
) -> bytes:
    count = len(values) + len(failed)
    pickles = [pickle.dumps(value) for value in values] if alone else [pickle.dumps(values)][: len(values)]
    segments = [Segment(1 if alone else len(values), len(each)) for each in pickles]
    return write_outcomes(Head(ran or count, count, segments, [Failure(place, ERROR) for place in failed]), pickles)


async def a_map(service: TestedService, count: int, **more: object) -> tuple[str, str]:
    body = {
        "endpoint_id": await service.an_endpoint(),
        "function_id": await service.a_function(),
        "payloads": [f"payload {number}" for number in range(count)],
        **more,
    }
    return (await service.post("maps", body))["map_id"], body["endpoint_id"]


async def end(service: TestedService, count: int, value: bytes, error: TaskError | None = None) -> None:
    state = TaskState.SUCCESS if error is None else TaskState.CANCELLED
    for endpoint_id, offer in await service.offers(count):
        result = TaskResult(offer.task.task_id, 1, state, value, error)
        await service.end(endpoint_id, offer, result)


async def test_a_map_over_http(service: TestedService) -> None:
    map_id, _ = await a_map(service, 5, chunksize=3, name="five")
    (endpoint_id, first), (_, second) = await service.offers(2)
    assert read_listed(read_range(first.task.payload)[1]) == [b"payload 0", b"payload 1", b"payload 2"]
    found = await service.get(f"maps/{map_id}")
    assert (found["size"], found["name"], found["counts"]["waiting"]) == (5, "five", 5)
    value = outcomes([10, 12], failed=(1,), alone=True)
    await service.end(endpoint_id, first, TaskResult(first.task.task_id, 1, TaskState.SUCCESS, value))
    counts = (await service.get(f"maps/{map_id}"))["counts"]
    assert (counts["succeeded"], counts["failed"], counts["waiting"], counts["ranges"]) == (2, 1, 2, 2)
    page = await service.get(f"maps/{map_id}/results")
    assert [each["indices"] for each in page["segments"]] == [[0], [2]]
    assert page["failures"]["1"]["type_name"] == "ValueError"
    assert page["others"] == {"received": [3, 4]}
    assert page["next"] is None
    assert list((await service.get(f"maps/{map_id}/failures"))["failures"]) == ["1"]
    assert (await service.get(f"maps/{map_id}/failures?start=2"))["failures"] == {}
    one = await service.get(f"maps/{map_id}/2")
    assert pickle.loads(base64.b64decode(one["result"].split("\n", 1)[1])) == 12
    assert (await service.get(f"maps/{map_id}/1"))["error"]["message"] == "no"
    assert (await service.get(f"maps/{map_id}/4"))["status"] == "received"
    for path in ("5", "-1", "x", "99999999999999"):
        assert (await service.request("GET", f"maps/{map_id}/{path}")).code == 404
    ranges = (await service.get(f"maps/{map_id}/ranges"))["ranges"]
    assert [(each["start"], each["size"], each["failed"]) for each in ranges] == [(0, 3, 1), (3, 2, 0)]
    assert (await service.get(f"maps/{map_id}/ranges?after={ranges[0]['number']}"))["ranges"] == ranges[1:]
    assert (await service.get("maps"))["maps"][0]["map_id"] == map_id
    assert second.task.function_id == found["function_id"]


async def test_values_of_one_pickle_are_told_with_their_place(service: TestedService) -> None:
    map_id, _ = await a_map(service, 4, chunksize=4)
    await end(service, 1, outcomes(["a", "b", "c"], failed=(0,)))
    (segment,) = (await service.get(f"maps/{map_id}/results?start=2&count=5"))["segments"]
    assert segment["indices"] == [None, 2, 3]
    assert pickle.loads(base64.b64decode(segment["pickle"])) == ["a", "b", "c"]
    one = await service.get(f"maps/{map_id}/3")
    assert pickle.loads(base64.b64decode(one["pickle"]))[one["position"]] == "c"


async def test_calls_are_told_like_tasks(service: TestedService) -> None:
    body = {
        "endpoints": [await service.an_endpoint()],
        "func": await service.a_function(),
        "payload": ["first", "second", "third"],
        "is_async": True,
    }
    answer = await service.post("submit_batch", body)
    ids = answer["task_uuids"]
    assert (answer["status"], len(set(ids))) == ("Success", 3)
    assert {split_call_id(task_id)[0] for task_id in ids} == {split_call_id(ids[0])[0]}
    assert (await service.get(f"tasks/{ids[0]}"))["status"].startswith("waiting")
    offers = await service.offers(3)  # so few calls run side by side
    for (endpoint_id, offer), value in zip(
        offers, [outcomes([1], alone=True), outcomes([], failed=(0,)), outcomes([3], alone=True)], strict=True
    ):
        await service.end(endpoint_id, offer, TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, value))
    found = (await service.post("batch_status", {"task_ids": [*ids, new_task_id()]}))["results"]
    states = [found[task_id]["status"] for task_id in ids]
    assert states == ["success", "failed", "success"]
    assert pickle.loads(base64.b64decode(found[ids[2]]["result"].split("\n", 1)[1])) == 3
    assert "ValueError" in found[ids[1]]["exception"]
    assert (await service.request("GET", f"tasks/{ids[0]}", token=service.bob)).code == 404


async def test_cancel_and_resume(service: TestedService) -> None:
    map_id, endpoint_id = await a_map(service, 6, chunksize=3)
    (_, first), (_, second) = await service.offers(2)
    cancelled = TaskError(code="task_cancelled", message="The task was cancelled while it ran.")
    assert (await service.post(f"maps/{map_id}/cancel", {}, code=202))["counts"]["cancelling"] == 6
    (request,) = await service.handed_over()
    assert isinstance(request, CancelRequested)
    assert set(request.task_ids) == {first.task.task_id, second.task.task_id}
    assert (await service.post(f"maps/{map_id}/resume", {}))["resumed"] == 0
    value = outcomes([0], ran=3)
    await service.end(endpoint_id, first, TaskResult(first.task.task_id, 1, TaskState.CANCELLED, value, cancelled))
    await service.end(endpoint_id, second, TaskResult(second.task.task_id, 1, TaskState.CANCELLED, b"", cancelled))
    answer = await service.post(f"maps/{map_id}/resume", {"failed": True})
    assert (answer["resumed"], answer["ranges"], answer["counts"]["succeeded"]) == (5, 2, 1)
    assert await service.handed_over() == [More(endpoint_id)]
    assert (await service.request("DELETE", f"maps/{map_id}")).code == 409
    open_ones = await service.store.open_tasks(endpoint_id, at_most=10)
    payloads = [read_range(offer.task.payload) for offer in await service.store.offers(open_ones)]
    assert [positions for positions, _ in payloads] == [[1, 2], [0, 1, 2]]


async def test_a_map_that_ended_can_be_deleted(service: TestedService) -> None:
    map_id, _ = await a_map(service, 2)
    await end(service, 2, outcomes([1]))
    assert (await service.request("DELETE", f"maps/{map_id}")).code == 200
    assert (await service.request("GET", f"maps/{map_id}")).code == 404


async def test_what_is_somebody_elses_is_not_there(service: TestedService) -> None:
    map_id, _ = await a_map(service, 2)
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("GET", "/0"), ("GET", "/results"), ("GET", "/failures"), ("GET", "/ranges"),
        ("POST", "/cancel"), ("POST", "/resume"),
    ):  # fmt: skip
        response = await service.request(method, f"maps/{map_id}{path}", token=service.bob)
        assert response.code == 404, path
    assert (await service.get("maps", token=service.bob))["maps"] == []
    assert (await service.get(f"maps/{map_id}"))["counts"]["waiting"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"map_id": new_task_id()},  # no room for the ids of its calls
        {"map_id": "x"},
        {"chunksize": -1},
        {"start": -1},
        {"start": 1 << 32},
        {"name": "n" * 300},
        {"function_id": new_task_id()},
        {"endpoint_id": new_task_id()},
    ],
)
async def test_what_cannot_be_is_refused(service: TestedService, change: dict[str, object]) -> None:
    body = {
        "endpoint_id": await service.an_endpoint(), "function_id": await service.a_function(), "payloads": ["p"], **change
    }  # fmt: skip
    assert (await service.request("POST", "maps", body)).code in {400, 404}
    assert (await service.get("maps"))["maps"] == []


async def test_a_map_that_is_submitted_in_parts_and_twice(service: TestedService) -> None:
    endpoint_id, function_id, map_id, group = (
        await service.an_endpoint(), await service.a_function(), new_map_id(), new_group_id(),
    )  # fmt: skip
    body = {
        "endpoint_id": endpoint_id,
        "function_id": function_id,
        "map_id": map_id,
        "task_group_id": group,
        "chunksize": 2,
    }
    for _ in range(2):
        await service.post("maps", {**body, "payloads": ["0", "1"], "is_last": False})
    assert (await service.get(f"maps/{map_id}"))["size"] is None
    for _ in range(2):
        await service.post("maps", {**body, "payloads": ["2"], "start": 2})
    found = await service.get(f"maps/{map_id}")
    assert (found["size"], found["counts"]["submitted"], found["counts"]["ranges"]) == (3, 3, 2)
    assert (await service.request("POST", "maps", {**body, "payloads": ["9"], "start": 3})).code == 409


async def test_what_is_written_about_a_map_is_read_by_its_owner_only(service: TestedService) -> None:
    body = {
        "map_id": new_map_id(),
        "endpoint_id": await service.an_endpoint(),
        "function_id": await service.a_function(),
        "payloads": ["1"],
    }
    too_much = base64.b64encode(bytes(MAX_ABOUT + 1)).decode()
    assert (await service.request("POST", "maps", {**body, "about": too_much})).code == 413
    await service.post("maps", {**body, "about": base64.b64encode(b"x = 1").decode()})
    assert (await service.get(f"maps/{body['map_id']}/about"))["about"] == base64.b64encode(b"x = 1").decode()
    assert "about" not in await service.get(f"maps/{body['map_id']}")
    assert (await service.request("GET", f"maps/{new_map_id()}/about")).code == 404


async def test_a_map_over_the_stream(service: TestedService) -> None:
    stream = await service.stream()
    endpoint_id, function_id, map_id, group = (
        await service.an_endpoint(), await service.a_function(), new_map_id(), new_group_id(),
    )  # fmt: skip
    ranges = [
        RangeCall(new_task_id(), function_id, a_range(CALLS + b"x"), start, 10, is_last=start == 20)
        for start in (0, 10, 20)
    ]
    await stream.send(SubmitMap(1, map_id, endpoint_id, group, function_id, ranges[:2]))
    assert await stream.receive() == Accepted(1)
    await stream.send(SubmitMap(2, map_id, endpoint_id, group, function_id, ranges))
    assert await stream.receive() == Accepted(2)
    assert (await service.get(f"maps/{map_id}"))["counts"]["submitted"] == 30
    for refused in (
        [RangeCall(new_task_id(), function_id, CALLS + b"x", 30, 1)],
        [RangeCall(new_task_id(), new_task_id(), a_range(CALLS), 30, 1)],
        [RangeCall(new_task_id(), function_id, a_range(CALLS), 30, 0)],
        [RangeCall(new_task_id(), function_id, a_range(CALLS), 25, 1)],
        [ranges[1], ranges[0]],
    ):
        await stream.send(SubmitMap(3, map_id, endpoint_id, group, function_id, refused))
        assert isinstance(await stream.receive(), Refused)
    (offer,) = await service.store.offers([ranges[0].task_id])
    await service.end(endpoint_id, offer, TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, outcomes([1] * 10)))
    assert (await stream.receive()).results[0].task_id == ranges[0].task_id
    other = await service.stream()
    await other.send(Watch(group, [ranges[0].task_id]))
    assert (await other.receive()).results[0].value == outcomes([1] * 10)
    assert (await service.get(f"tasks/{call_id(map_id, 3)}"))["error"]["code"] == "usage_error"
