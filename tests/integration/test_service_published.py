"""What only published clients ask of the service: /v1, /v3, whole submits, and the socket of results."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from funcx_core.ids import new_group_id
from funcx_core.protocol.client import Limits
from funcx_core.protocol.handoff import CancelRequested
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from tests.support.stored import ALICE, BOB
from tests.support.webservice import TestedService, a_service

UNKNOWN = "11111111-2222-4333-8444-555555555555"
OLD = {"User-Agent": "globus-sdk-py-2.0.3"}
NEWER = {"User-Agent": "globus-sdk-py-3.65.0/funcx-sdk-1.0.6"}
FAILURE = TaskError(code="remote_task_error", message="bad", type_name="ValueError", module="builtins", traceback="tb")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


@pytest.fixture
async def endpoint(service: TestedService) -> str:
    return await service.an_endpoint()


@pytest.fixture
async def function(service: TestedService) -> str:
    return await service.a_function()


async def nothing_is_accepted(service: TestedService) -> bool:
    return await service.store.count_open(ALICE.user_id) == 0


# --- /v1 -------------------------------------------------------------------------------------------------------------


async def test_the_oldest_client_registers_and_submits(service: TestedService, endpoint: str) -> None:
    body = {"function_name": "double", "function_code": "9\n04\nbody\n", "entry_point": "double", "searchable": True}
    function = (await service.post("/v1/register_function", body))["function_uuid"]
    reply = await service.post("/v1/submit", {"tasks": [[function, endpoint, "01\na"], [function, endpoint, "01\nb"]]})
    assert reply["status"] == "Success"
    offers = await service.offers(2)
    assert [offer.task.task_id for _, offer in offers] == reply["task_uuids"]
    assert [offer.task.payload for _, offer in offers] == [b"01\na", b"01\nb"]


@pytest.mark.parametrize("path", ["/v1", "/v2"])
async def test_a_map_goes_to_its_endpoints_in_turn(service: TestedService, function: str, path: str) -> None:
    one, other = await service.an_endpoint(), await service.an_endpoint("other")
    body = {"endpoints": [one, other], "func": function, "payload": ["00\na", "00\nb", "00\nc"], "is_async": False}
    reply = await service.post(f"{path}/submit_batch", body)
    assert reply["status"] == "Success"
    offers = {offer.task.task_id: (where, offer.task.payload) for where, offer in await service.offers(3)}
    assert [offers[task_id] for task_id in reply["task_uuids"]] == [(one, b"00\na"), (other, b"00\nb"), (one, b"00\nc")]


async def test_one_bad_task_in_a_whole_submit_accepts_nothing(
    service: TestedService, endpoint: str, function: str
) -> None:
    for bad in ([UNKNOWN, endpoint, "00\nx"], [function, UNKNOWN, "00\nx"], [function, "no-id", "00\nx"]):
        response = await service.request("POST", "/v1/submit", {"tasks": [[function, endpoint, "00\nx"], bad]})
        assert response.code in {400, 404}, response.body
        assert json.loads(response.body)["error_args"] == [UNKNOWN if UNKNOWN in bad else "no-id"]
    for empty in ("/v1/submit", {"tasks": []}), ("/v2/submit_batch", {"endpoints": [], "func": UNKNOWN, "payload": []}):
        assert (await service.request("POST", *empty)).code == 400
    assert await nothing_is_accepted(service)


async def test_what_was_accepted_is_cancelled_if_the_rest_cannot_be(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_open_tasks=2)) as service:
        function, one, other = await service.a_function(), await service.an_endpoint(), await service.an_endpoint("b")
        tasks = [[function, one, "00\nx"], [function, other, "00\nx"], [function, other, "00\nx"]]
        assert (await service.request("POST", "/v1/submit", {"tasks": tasks})).code == 429
        offered, cancelled = await service.handed_over()
        assert cancelled == CancelRequested(one, [offer.task.task_id for offer in offered.offers])


async def ended(service: TestedService, function: str, endpoint: str, **outcome: Any) -> str:
    reply = await service.post("submit", {"tasks": [[function, endpoint, "00\nx"]]})
    ((_, offer),) = await service.offers(1)
    task_id = reply["results"][0]["task_uuid"]
    state = TaskState.FAILED if "error" in outcome else TaskState.SUCCESS
    await service.end(endpoint, offer, TaskResult(task_id, 1, state, **outcome))
    return task_id


async def test_each_client_reads_results_its_way(service: TestedService, endpoint: str, function: str) -> None:
    good = await ended(service, function, endpoint, value=b"pb\npickle")
    bad = await ended(service, function, endpoint, error=FAILURE)
    for path, agent, identifier in (("/v1", OLD, "01\n"), ("/v2", OLD, "00\n")):
        found = (await service.post(f"{path}/batch_status", {"task_ids": [good, bad]}, headers=agent))["results"]
        assert found[good] == await service.get(f"{path}/tasks/{good}", headers=agent)
        assert found[good]["result"].startswith(identifier)
        assert found[bad]["exception"].startswith(identifier)
    assert (await service.get(f"tasks/{bad}", headers=NEWER))["exception"] == "tb"


async def test_the_oldest_client_registers_endpoints_on_a_path_of_its_own(service: TestedService) -> None:
    body = {"endpoint_name": "theta", "endpoint_uuid": UNKNOWN, "version": "0.0.3"}
    assert (await service.post("/v1/register_endpoint_2", body))["endpoint_id"] == UNKNOWN
    assert (await service.get(f"/v1/endpoints/{UNKNOWN}/status"))["status"] == "offline"
    assert (await service.request("GET", "/v1/register_endpoint_2")).code == 405
    assert "min_ep_version" in await service.get("/v1/version?service=all", token="")


# --- /v2 -------------------------------------------------------------------------------------------------------------


async def test_items_that_fail_have_the_arguments_of_their_exceptions(
    service: TestedService, endpoint: str, function: str
) -> None:
    tasks = [[UNKNOWN, endpoint, "00\nx"], [function, UNKNOWN, "00\nx"], ["no-id", endpoint, "00\nx"]]
    reply = await service.post("submit", {"tasks": tasks}, code=207)
    assert [(item["code"], item["error_args"], item["http_status_code"]) for item in reply["results"]] == [
        (3, [UNKNOWN], 404),
        (4, [UNKNOWN], 404),
        (22, ["no-id"], 400),
    ]
    assert all(item["task_uuid"] for item in reply["results"])


async def told(service: TestedService, path: str, body: Any, **more: Any) -> tuple[int, list[Any], int]:
    response = await service.request("POST", path, body, **more)
    error = json.loads(response.body)
    assert (error["status"], error["message"]) == ("Failed", error["reason"])
    assert response.code == error["http_status_code"]
    return error["code"], error["error_args"], response.code


@pytest.mark.parametrize("path", ["/v1/submit", "/v2/submit", "/v2/batch_status", f"/v3/endpoints/{UNKNOWN}/submit"])
async def test_a_field_that_is_missing_has_a_number_of_its_own(service: TestedService, path: str) -> None:
    code, (text,), status = await told(service, path, {})
    assert (code, status) == (16, 400)
    assert "`task" in text
    assert (await told(service, path, []))[::2] == (17, 400)


async def test_a_taken_id_of_an_endpoint_has_a_number_of_its_own(service: TestedService, endpoint: str) -> None:
    for path in ("/v1/register_endpoint_2", "/v2/endpoints"):
        body = {"endpoint_name": "mine", "endpoint_uuid": endpoint}
        assert await told(service, path, body, token=service.bob) == (11, [endpoint], 409)


async def test_a_batch_over_the_limit_has_a_number_of_its_own(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_batch=2)) as service:
        function, endpoint = await service.a_function(), await service.an_endpoint()
        body = {"tasks": [[function, endpoint, "00\nx"]] * 3}
        for path in ("/v1/submit", "/v2/submit"):
            assert await told(service, path, body) == (27, [], 413)


async def test_there_is_no_broker(service: TestedService) -> None:
    response = await service.request("GET", "get_amqp_result_connection_url")
    assert response.code == 404
    assert json.loads(response.body)["name"] == "no_message_broker"


async def test_who_is_asking(service: TestedService) -> None:
    assert (await service.get("authenticate", token=service.bob))["username"] == BOB.name


async def test_a_group_by_its_other_name(service: TestedService, endpoint: str, function: str) -> None:
    group = new_group_id()
    await service.post("submit", {"tasks": [[function, endpoint, "00\nx"]], "task_group_id": group})
    assert await service.get(f"task_groups/{group}") == await service.get(f"taskgroup/{group}")
    assert (await service.request("GET", f"task_groups/{group}", token=service.bob)).code == 404


# --- /v3 -------------------------------------------------------------------------------------------------------------


async def test_source_is_wrapped_as_workers_read_it(service: TestedService, endpoint: str) -> None:
    source = "def f():\n    return '€'\n"
    body = {"function_name": "f", "function_code": source, "serialized": False, "meta": {"python_version": "3.12.1"}}
    function = (await service.post("/v3/functions", body))["function_uuid"]
    stored = await service.store.function(function)
    assert stored is not None
    assert stored.function.body.decode() == f"{len(source) + 5}\nst\nf:{source}"


async def test_the_reply_to_a_submit_has_the_ids_in_order(service: TestedService, endpoint: str, function: str) -> None:
    other, group = await service.a_function(), str(uuid.uuid4())
    body = {"tasks": {function: ["00\na", "00\nb"], other: ["00\nc"]}, "task_group_id": group, "create_queue": False}
    reply = await service.post(f"/v3/endpoints/{endpoint}/submit", body)
    assert (reply["task_group_id"], reply["endpoint_id"]) == (group, endpoint)
    assert str(uuid.UUID(reply["request_id"])) == reply["request_id"]
    payloads = {offer.task.task_id: offer.task.payload for _, offer in await service.offers(3)}
    found = {name: [payloads[task_id] for task_id in ids] for name, ids in reply["tasks"].items()}
    assert found == {function: [b"00\na", b"00\nb"], other: [b"00\nc"]}


@pytest.mark.parametrize(
    "more",
    [
        {"resource_specification": {"num_nodes": 2}},
        {"user_endpoint_config": {"queue": "debug"}},
        {"result_serializers": ["globus_compute_sdk.serialize.JSONData"]},
    ],
)
async def test_what_endpoints_do_not_do_is_refused(
    service: TestedService, endpoint: str, function: str, more: dict[str, Any]
) -> None:
    path = f"/v3/endpoints/{endpoint}/submit"
    assert (await service.request("POST", path, {"tasks": {function: ["00\nx"]}, **more})).code == 400
    assert await nothing_is_accepted(service)
    possible = {"result_serializers": ["globus_compute_sdk.serialize.JSONData", "x.DillDataBase64"]}
    await service.post(path, {"tasks": {function: ["00\nx"]}, **possible})


async def test_endpoints_are_registered_in_advance_but_not_by_agents_that_need_a_broker(service: TestedService) -> None:
    body = {"endpoint_name": "theta", "metadata": {"hostname": "login1"}, "display_name": "Theta!"}
    endpoint = (await service.post("/v3/endpoints", body))["endpoint_id"]
    meta = (await service.get(f"endpoints/{endpoint}"))["meta"]
    assert meta == {"hostname": "login1", "display_name": "Theta!"}
    renamed = await service.request("PUT", f"/v3/endpoints/{endpoint}", {"endpoint_name": "theta2"})
    assert renamed.code == 200
    assert (await service.get(f"endpoints/{endpoint}"))["name"] == "theta2"
    for name in ("multi_user", "high_assurance"):
        assert (await service.request("POST", "/v3/endpoints", {**body, name: True})).code == 400
    agent = {**body, "metadata": {"endpoint_version": "4.19.0"}}
    for method, path in (("POST", "/v3/endpoints"), ("PUT", f"/v3/endpoints/{endpoint}")):
        refused = await service.request(method, path, agent)
        assert json.loads(refused.body)["name"] == "no_message_broker"


# --- the socket of results -------------------------------------------------------------------------------------------


async def following(service: TestedService, *groups: str, token: str | None = None) -> WebSocketClientConnection:
    request = HTTPRequest(
        service.web.address.replace("http", "ws").replace("/v2", "/ws/v2/"),
        headers={"Authorization": f"Bearer {service.alice if token is None else token}"},
    )
    connection = await websocket_connect(request)
    service.close_later(connection)
    for group in groups:
        await connection.write_message(group)
    return connection


async def heard(connection: WebSocketClientConnection) -> dict[str, Any]:
    message = await asyncio.wait_for(connection.read_message(), 20)
    assert isinstance(message, str), message
    return json.loads(message)


async def submitted(service: TestedService, function: str, endpoint: str, group: str, count: int = 1) -> list[Any]:
    await service.post("submit", {"tasks": [[function, endpoint, "00\nx"]] * count, "task_group_id": group})
    return [offer for _, offer in await service.offers(count)]


async def test_results_from_before_and_after_are_sent_once(
    service: TestedService, endpoint: str, function: str
) -> None:
    group = new_group_id()
    before, after, last = await submitted(service, function, endpoint, group, 3)
    await service.end(endpoint, before)
    connection = await following(service, group)
    assert (await heard(connection))["task_id"] == before.task.task_id
    await service.end(endpoint, after, TaskResult(after.task.task_id, 1, TaskState.FAILED, error=FAILURE))
    message = await heard(connection)
    assert message["task_id"] == after.task.task_id
    assert message["result"] is None
    assert message["exception"].startswith("00\n")
    await service.end(endpoint, last)
    assert (await heard(connection))["task_id"] == last.task.task_id


async def test_a_result_that_is_committed_a_moment_later_is_sent(
    service: TestedService, endpoint: str, function: str
) -> None:
    group = new_group_id()
    (offer,) = await submitted(service, function, endpoint, group)
    connection = await following(service, group)
    await asyncio.sleep(0.1)
    await service.store.complete(endpoint, [TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, b"00\nx")])
    assert (await heard(connection))["task_id"] == offer.task.task_id


async def test_everybody_who_follows_hears(service: TestedService, endpoint: str, function: str) -> None:
    group, other = new_group_id(), new_group_id()
    first, second = await following(service, group), await following(service, other, group)
    (offer,) = await submitted(service, function, endpoint, group)
    (more,) = await submitted(service, function, endpoint, other)
    await asyncio.sleep(0.1)
    await service.end(endpoint, offer)
    await service.end(endpoint, more)
    assert (await heard(first))["task_id"] == offer.task.task_id
    assert {(await heard(second))["task_id"] for _ in range(2)} == {offer.task.task_id, more.task.task_id}


async def test_nobody_hears_of_the_tasks_of_others(service: TestedService, endpoint: str, function: str) -> None:
    group = new_group_id()
    before, after = await submitted(service, function, endpoint, group, 2)
    await service.end(endpoint, before)
    spy, mine = await following(service, group, token=service.bob), await following(service, group)
    assert (await heard(mine))["task_id"] == before.task.task_id
    await service.end(endpoint, after)
    assert (await heard(mine))["task_id"] == after.task.task_id
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spy.read_message(), 0.3)


async def test_who_does_not_read_loses_nothing(service: TestedService, endpoint: str, function: str) -> None:
    group, count, size = new_group_id(), 40, 1_000_000
    offers = await submitted(service, function, endpoint, group, count)
    connection = await following(service, group)
    await asyncio.sleep(0.2)
    for offer in offers:
        value = b"00\n" + b"x" * size
        await service.end(endpoint, offer, TaskResult(offer.task.task_id, 1, TaskState.SUCCESS, value))
    found = {(await heard(connection))["task_id"] for _ in range(count)}
    assert found == {offer.task.task_id for offer in offers}


async def test_who_may_not_connect_does_not(service: TestedService) -> None:
    with pytest.raises(HTTPClientError) as refused:
        await following(service, token="nobody")
    assert refused.value.code == 401


async def test_what_is_no_group_ends_the_connection(service: TestedService) -> None:
    connection = await following(service, "no-id")
    assert await asyncio.wait_for(connection.read_message(), 5) is None
    assert connection.close_code == 1008
    assert "no-id" in (connection.close_reason or "")


async def test_a_token_that_was_revoked_follows_nothing_more(service: TestedService) -> None:
    connection = await following(service)
    await service.tokens.revoke(ALICE, service.alice)
    await connection.write_message(new_group_id())
    assert await asyncio.wait_for(connection.read_message(), 5) is None
    assert connection.close_code == 1008


async def test_a_service_that_stops_ends_connections_so_that_clients_come_back(service: TestedService) -> None:
    connection = await following(service, new_group_id())
    await asyncio.sleep(0.1)
    await service.web.close()
    assert await asyncio.wait_for(connection.read_message(), 5) is None
    assert connection.close_code == 1000
