"""The HTTP face of the service."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from funcx_core.ids import new_endpoint_id, new_function_id, new_group_id, new_task_id
from funcx_core.protocol.client import Limits
from funcx_core.protocol.handoff import CancelRequested, Logged, More, Submitted
from funcx_core.protocol.task import EventKind, TaskError, TaskEvent, TaskResult, TaskState, TaskTimes, event_seq
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import RetentionConfig
from funcx_core.service.routes import ROUTES
from tests.support.stored import ALICE
from tests.support.webservice import TestedService, a_service

NEED_A_TOKEN = [route.path for route in ROUTES if all(each.scope is not None for _, each in route.operations())]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


async def submitted(service: TestedService, payload: str = "00\nx", **more) -> tuple[str, str]:
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    reply = await service.post("submit", {"tasks": [[function_id, endpoint_id, payload]], **more})
    return reply["results"][0]["task_uuid"], endpoint_id


# --- what the service says about itself ------------------------------------------------------------------------


async def test_version_and_health_need_no_token(service: TestedService) -> None:
    assert isinstance(await service.get("version", token=""), str)
    versions = await service.get("version?service=all", token="")
    assert versions["min_sdk_version"] == versions["min_ep_version"] == "0.0.1"
    assert (await service.get("health", token=""))["status"] == "ok"


async def test_limits(service: TestedService) -> None:
    told = await service.get("limits")
    assert (told["max_payload"], told["result_days"]) == (Limits().max_payload, RetentionConfig().results)


# --- errors ----------------------------------------------------------------------------------------------------


def test_few_routes_are_open_to_all() -> None:
    pages = {"/", "/device", "/docs", "/static/{name}", "/openapi.json"}
    assert {route.path for route in ROUTES} - set(NEED_A_TOKEN) == pages | {
        "/metrics",  # to this machine only
        "/v1/version",
        "/v2/version",
        "/v2/health",
        "/v2/login_codes/exchange",
        "/v2/oauth2/device_authorization",
        "/v2/oauth2/token",
        "/v2/oauth2/token/revoke",
        "/v2/sign_in",
    }


async def test_a_token_is_good_for_its_scopes_only(service: TestedService) -> None:
    reader = await service.tokens.mint(ALICE, label="reads", scopes=frozenset({Scope.READ}))
    assert await service.get("endpoints", token=reader) == []
    response = await service.request("POST", "endpoints", {"endpoint_name": "theta"}, token=reader)
    assert response.code == 403
    assert "scope 'endpoints'" in json.loads(response.body)["reason"]


async def test_the_service_describes_itself(service: TestedService) -> None:
    response = await service.request("GET", "/openapi.json", token="")
    assert response.code == 200
    assert set(json.loads(response.body)["paths"]) == {route.path for route in ROUTES}


@pytest.mark.parametrize("path", NEED_A_TOKEN)
async def test_every_other_route_needs_a_token(service: TestedService, path: str) -> None:
    concrete = re.sub(r"\{\w+\}", new_task_id(), path).removeprefix("/v2/")
    user = ALICE
    expired = await service.tokens.mint(user, label="old", lifetime=-1)
    for method in ("GET", "POST", "DELETE"):
        for token, text in (("", "needs a token"), ("garbage", "not known"), (expired, "expired on")):
            response = await service.request(method, concrete, {}, token=token)
            assert response.code == 401, (method, path)
            body = json.loads(response.body)
            assert (body["code"], body["name"]) == (1, "user_unauthenticated")
            assert text in body["reason"]
            assert "funcx token" in body["message"]


async def test_a_revoked_token_is_refused_at_once(service: TestedService) -> None:
    await service.get("limits")
    await service.tokens.revoke(ALICE, service.alice)
    assert (await service.request("GET", "limits")).code == 401


async def test_unknown_routes_and_methods_answer_in_json(service: TestedService) -> None:
    response = await service.request("GET", "nothing/here")
    assert response.code == 404
    assert json.loads(response.body)["http_status_code"] == 404
    response = await service.request("DELETE", "endpoints")
    assert response.code == 405
    assert response.headers["Allow"] == "GET, POST"
    assert "GET or POST" in json.loads(response.body)["reason"]


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("submit", b"{not json"),
        ("submit", b"[" * 100_000),
        ("submit", b'{"tasks": [["one", "two"]]}'),
        ("submit", b'{"tasks": "x"}'),
        ("functions", b"\xff\xfe"),
        ("functions", b""),
        ("endpoints", b'{"endpoint_name": "a/b"}'),
        ("endpoints", b'{"endpoint_name": "service"}'),
        ("endpoints", b'{"endpoint_name": "ok", "public_key": "short"}'),
        ("batch_status", b"null"),
    ],
)
async def test_a_body_that_cannot_be_read_is_a_400_that_says_why(service: TestedService, path: str, raw: bytes) -> None:
    response = await service.request("POST", path, raw=raw)
    body = json.loads(response.body)
    assert response.code == 400
    assert body["name"] == "request_malformed"
    assert "Traceback" not in body["reason"]


async def test_a_malformed_id_is_named(service: TestedService) -> None:
    response = await service.request("GET", "tasks/not-an-id")
    assert response.code == 400
    body = json.loads(response.body)
    assert (body["code"], body["error_args"]) == (22, ["not-an-id"])


async def test_a_fault_of_ours_shows_no_traceback(service: TestedService, monkeypatch, caplog) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service.store, "endpoints", broken)
    response = await service.request("GET", "endpoints")
    assert response.code == 500
    assert json.loads(response.body)["name"] == "internal_error"
    assert b"secret" not in response.body
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", ""])
async def test_other_host_names_are_refused(service: TestedService, host: str) -> None:
    response = await service.request("GET", "version", headers={"Host": host})
    assert response.code in {400, 403}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "[::1]:5000"])
async def test_names_of_this_machine_are_accepted(service: TestedService, host: str) -> None:
    assert (await service.request("GET", "version", headers={"Host": host})).code == 200


# --- sizes -----------------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused_and_the_connection_lives(service: TestedService) -> None:
    response = await service.request("POST", "batch_status", raw=b" " * (1024 * 1024 + 1))
    assert response.code == 413
    body = json.loads(response.body)
    assert (body["code"], body["name"]) == (28, "task_payload_too_large")
    assert "1,048,577" in body["reason"]


async def test_a_huge_body_is_refused_before_it_is_sent(service: TestedService) -> None:
    host, port = service.web.address.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v2/submit HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {service.alice}\r\n"
    writer.write(f"{head}Content-Length: 5000000000\r\n\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"task_payload_too_large" in answer


async def test_a_chunked_body_is_bounded_too(service: TestedService) -> None:
    host, port = service.web.address.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v2/batch_status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {service.alice}\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    for _ in range(32):
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_payload_over_the_limit_is_refused_alone(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_payload=100, max_function=100)) as service:
        endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
        tasks = [[function_id, endpoint_id, "x" * size] for size in (100, 101)]
        reply = await service.post("submit", {"tasks": tasks}, code=207)
        assert [item["http_status_code"] for item in reply["results"]] == [200, 413]
        response = await service.request("POST", "functions", {"function_name": "f", "function_code": "x" * 101})
        assert response.code == 413


# --- functions and endpoints -----------------------------------------------------------------------------------


async def test_a_function_is_registered_and_described(service: TestedService) -> None:
    function_id = await service.a_function(body={"description": "doubles", "container_uuid": None, "group": None})
    found = await service.get(f"functions/{function_id}")
    assert (found["function_name"], found["description"], found["public"]) == ("double", "doubles", False)


async def test_an_endpoint_is_told_where_the_forwarder_is(service: TestedService) -> None:
    endpoint_id = new_endpoint_id()
    body = {"endpoint_name": "theta", "endpoint_uuid": endpoint_id, "version": "1", "public_key": "A" * 40}
    assert await service.post("endpoints", body) == {
        "endpoint_id": endpoint_id,
        "forwarder_pubkey": "K" * 40,
        "public_ip": "127.0.0.1",
        "tasks_port": 1001,
        "results_port": 1002,
        "commands_port": 1003,
    }
    assert await service.store.endpoint_by_key("A" * 40) == endpoint_id


async def test_endpoints_are_listed_shown_and_deleted(service: TestedService) -> None:
    old = await service.an_endpoint("same")
    new = await service.an_endpoint("same")
    assert [each["uuid"] for each in await service.get("endpoints")] == [new, old]
    await service.store.endpoint_seen(new, None, online=True, epoch=1)
    status = await service.get(f"endpoints/{new}/status")
    assert status["status"] == "online"
    assert (await service.get(f"endpoints/{new}"))["state"] == "online"
    assert (await service.request("DELETE", f"endpoints/{new}")).code == 200
    assert (await service.request("DELETE", f"endpoints/{new}")).code == 404
    assert [each["uuid"] for each in await service.get("endpoints")] == [old]


async def test_deleting_an_endpoint_cancels_its_tasks(service: TestedService) -> None:
    task_id, endpoint_id = await submitted(service)
    await service.handed_over()
    await service.request("DELETE", f"endpoints/{endpoint_id}")
    closed, cancelled = await service.handed_over()
    assert (closed.endpoint_id, closed.code) == (endpoint_id, "deleted")
    assert cancelled == CancelRequested(endpoint_id, [task_id])


# --- tasks -----------------------------------------------------------------------------------------------------


async def test_a_task_goes_to_the_forwarder_and_its_result_comes_back(service: TestedService) -> None:
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    group_id = new_group_id()
    body = {
        "task_group_id": group_id,
        "tasks": [[function_id, endpoint_id, "00\nargs"]],
        "create_websocket_queue": True,
    }
    reply = await service.post("submit", body)
    (item,) = reply["results"]
    assert (item["status"], item["http_status_code"], reply["task_group_id"]) == ("Success", 200, group_id)
    task_id = item["task_uuid"]
    ((to, offer),) = await service.offers(1)
    assert (to, offer.task.task_id, offer.task.payload, offer.owner_id) == (
        endpoint_id,
        task_id,
        b"00\nargs",
        ALICE.user_id,
    )
    pending = await service.get(f"tasks/{task_id}")
    assert pending["status"] == "waiting-for-ep"
    assert not {"result", "exception", "completion_t"} & pending.keys()
    result = TaskResult(task_id, 1, TaskState.SUCCESS, b"pb\n\x80\x04K\x05.", None, TaskTimes(1, 2, 3, 4))
    await service.end(endpoint_id, offer, result)
    ended = await service.get(f"tasks/{task_id}")
    assert (ended["task_id"], ended["status"], ended["result"]) == (task_id, "success", "00\ngARLBS4=\n")
    assert float(ended["completion_t"]) > 1_700_000_000
    assert "exception" not in ended
    times = ended["times"]
    assert (times["interchange"], times["manager"], times["started"], times["ended"]) == (1, 2, 3, 4)
    assert times["received"] < times["completed"]


async def test_a_failed_task_shows_its_traceback_and_its_error(service: TestedService) -> None:
    task_id, endpoint_id = await submitted(service)
    ((_, offer),) = await service.offers(1)
    error = TaskError(
        code="remote_task_error", message="boom", type_name="ValueError", traceback="Tr…", exception=b"\x80"
    )
    await service.end(endpoint_id, offer, TaskResult(task_id, 1, TaskState.FAILED, error=error))
    failed = await service.get(f"tasks/{task_id}")
    assert (failed["status"], failed["exception"]) == ("failed", "Tr…")
    assert failed["error"]["exception"] == "gA=="
    assert "result" not in failed


async def test_each_task_of_a_submit_has_its_own_answer(service: TestedService) -> None:
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    other_endpoint = await service.an_endpoint("second")
    tasks = [
        [function_id, endpoint_id, "1"],
        [new_function_id(), endpoint_id, "2"],
        [function_id, new_endpoint_id(), "3"],
        [function_id, "garbage", "4"],
        [function_id, other_endpoint, "5"],
    ]
    reply = await service.post("submit", {"tasks": tasks}, code=207)
    items = reply["results"]
    assert [item["http_status_code"] for item in items] == [200, 404, 404, 400, 200]
    assert [item.get("code") for item in items] == [None, 3, 4, 22, None]
    assert len({item["task_uuid"] for item in items}) == 5
    assert {(to, offer.task.payload) for to, offer in await service.offers(2)} == {
        (endpoint_id, b"1"),
        (other_endpoint, b"5"),
    }


async def test_a_submit_with_ids_may_be_repeated(service: TestedService) -> None:
    """F02"""
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    ids = [new_task_id(), new_task_id()]
    body = {"task_group_id": new_group_id(), "tasks": [[function_id, endpoint_id, "x"]] * 2, "task_ids": ids}
    first = await service.post("submit", body)
    assert [item["task_uuid"] for item in first["results"]] == ids
    assert (await service.post("submit", body))["results"] == first["results"]
    messages = [*await service.handed_over()]
    assert [type(message) for message in messages] == [Submitted, More]
    other = {**body, "tasks": [[function_id, endpoint_id, "x"], [function_id, endpoint_id, "y"]]}
    items = (await service.post("submit", other, code=207))["results"]
    assert [item["http_status_code"] for item in items] == [200, 409]
    assert items[1]["task_uuid"] == ids[1]
    assert (await service.request("POST", "submit", {**body, "task_ids": ids[:1]})).code == 400


async def test_batch_status_answers_for_unknown_tasks_too(service: TestedService) -> None:
    task_id, _ = await submitted(service)
    unknown = new_task_id()
    results = (await service.post("batch_status", {"task_ids": [task_id, unknown]}))["results"]
    assert results[task_id]["status"] == "waiting-for-ep"
    assert results[unknown] == {"task_id": unknown, "status": "Failed", "reason": "Unknown task id"}


async def test_a_brief_batch_has_no_values_and_no_pickles(service: TestedService) -> None:
    good, endpoint_id = await submitted(service)
    bad, other_id = await submitted(service)
    error = TaskError(code="remote_task_error", message="m" * 900, type_name="KeyError", exception=b"pickled")
    await service.store.complete(endpoint_id, [TaskResult(good, 1, TaskState.SUCCESS, b"pb\nvalue")])
    await service.store.complete(other_id, [TaskResult(bad, 1, TaskState.FAILED, error=error)])
    results = (await service.post("batch_status", {"task_ids": [good, bad], "brief": True}))["results"]
    assert results[good]["status"] == "success"
    assert "result" not in results[good]
    assert results[bad]["error"] == {"code": "remote_task_error", "type_name": "KeyError", "message": "m" * 500}
    assert "exception" not in results[bad]


async def test_a_group_names_its_tasks(service: TestedService) -> None:
    group_id = new_group_id()
    task_id, _ = await submitted(service, task_group_id=group_id)
    assert await service.get(f"taskgroup/{group_id}") == {"taskgroup_id": group_id, "tasks": [{"id": task_id}]}
    response = await service.request("GET", f"taskgroup/{new_group_id()}")
    assert (response.code, json.loads(response.body)["code"]) == (404, 20)


async def test_a_cancel_goes_to_the_forwarder(service: TestedService) -> None:
    task_id, endpoint_id = await submitted(service)
    await service.handed_over()
    assert await service.post(f"tasks/{task_id}/cancel", {"force": True}, code=202) == {
        "task_id": task_id,
        "status": "cancelling",
    }
    assert await service.handed_over() == [CancelRequested(endpoint_id, [task_id], force=True)]
    await service.store.complete(endpoint_id, [TaskResult(task_id, 1, TaskState.CANCELLED)])
    assert (await service.request("POST", f"tasks/{task_id}/cancel", raw=b"")).code == 200
    assert (await service.get(f"tasks/{task_id}"))["status"] == "cancelled"


async def test_the_open_tasks_of_a_user_are_limited(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_open_tasks=3)) as service:
        endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
        body = {"tasks": [[function_id, endpoint_id, "x"]] * 2}
        first = await service.post("submit", body)
        response = await service.request("POST", "submit", body)
        assert response.code == 429
        assert json.loads(response.body)["name"] == "queue_full"
        assert int(response.headers["Retry-After"]) >= 1
        for item in first["results"]:
            await service.store.complete(endpoint_id, [TaskResult(item["task_uuid"], 1, TaskState.SUCCESS)])
        await asyncio.sleep(1.1)
        await service.post("submit", body)


async def test_what_does_not_fit_into_the_topic_is_announced_later(tmp_path: Path) -> None:
    async with a_service(tmp_path, inbox_limit=1) as service:
        endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
        for _ in range(3):
            await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]]})
        (first,) = await service.handed_over()
        assert isinstance(first, Submitted)
        assert await service.handed_over() == [More(endpoint_id)]
        await asyncio.sleep(0.1)
        await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]]})
        (last,) = await service.handed_over()
        assert isinstance(last, Submitted)


# --- events ----------------------------------------------------------------------------------------------------


def an_event(task_id: str, number: int, text: str = "hello\n") -> TaskEvent:
    return TaskEvent(task_id, event_seq(1, number), EventKind.STDOUT, 5, text.encode())


async def test_events_are_read_after_a_number(service: TestedService) -> None:
    task_id, endpoint_id = await submitted(service)
    log = [an_event(task_id, number, f"line {number}\n") for number in (1, 2)]
    await service.store.append_events(endpoint_id, log)
    found = await service.get(f"tasks/{task_id}/events?after=0")
    assert (found["task_id"], found["state"], found["last_seq"]) == (task_id, "waiting-for-ep", log[1].seq)
    assert found["events"][0] == {"seq": log[0].seq, "kind": "stdout", "at": 5, "body": "line 1\n"}
    after = await service.get(f"tasks/{task_id}/events?after={log[0].seq}")
    assert [event["seq"] for event in after["events"]] == [log[1].seq]
    assert (await service.get(f"tasks/{task_id}/events?after={log[1].seq}&timeout=0.05"))["events"] == []
    assert (await service.request("GET", f"tasks/{task_id}/events?after=x")).code == 400


async def test_a_long_poll_ends_when_something_is_logged_or_the_task_ends(service: TestedService) -> None:
    task_id, endpoint_id = await submitted(service)
    ((_, offer),) = await service.offers(1)
    poll = asyncio.ensure_future(service.get(f"tasks/{task_id}/events?timeout=20"))
    await asyncio.sleep(0.15)
    event = an_event(task_id, 1)
    await service.tell(Logged(offer.owner_id, offer.group_id, [event]))  # before its commit
    await asyncio.sleep(0.05)
    assert not poll.done()
    await service.store.append_events(endpoint_id, [event])
    async with asyncio.timeout(5):
        assert [each["seq"] for each in (await poll)["events"]] == [event.seq]
    poll = asyncio.ensure_future(service.get(f"tasks/{task_id}/events?after={event.seq}&timeout=20"))
    await asyncio.sleep(0.15)
    await service.end(endpoint_id, offer)
    async with asyncio.timeout(5):
        ended = await poll
    assert (ended["state"], ended["events"], ended["last_seq"]) == ("success", [], event.seq)


# --- whose it is -----------------------------------------------------------------------------------------------


async def test_what_is_somebody_elses_does_not_exist(service: TestedService) -> None:
    group_id = new_group_id()
    task_id, endpoint_id = await submitted(service, task_group_id=group_id)
    (function_id,) = {offer.task.function_id for _, offer in await service.offers(1)}
    blob_id = (await service.post("blobs", {"size": 1}))["blob_id"]
    paths = {
        f"/v2/functions/{function_id}": "GET",
        f"/v2/endpoints/{endpoint_id}": "GET DELETE",
        f"/v2/endpoints/{endpoint_id}/status": "GET",
        f"/v2/tasks/{task_id}": "GET",
        f"/v2/tasks/{task_id}/cancel": "POST",
        f"/v2/tasks/{task_id}/events": "GET",
        f"/v2/taskgroup/{group_id}": "GET",
        f"/v2/task_groups/{group_id}": "GET",
        f"/v1/endpoints/{endpoint_id}/status": "GET",
        f"/v1/tasks/{task_id}": "GET",
        f"/v3/endpoints/{endpoint_id}": "PUT",
        f"/v3/endpoints/{endpoint_id}/submit": "POST",
        f"/v2/tokens/{(await service.get('tokens'))['tokens'][0]['token_id']}": "DELETE",
        f"/v2/clients/{(await service.post('clients', {'label': 'c'}, code=201))['client_id']}": "DELETE",
        f"/v2/blobs/{blob_id}": "GET DELETE",
        f"/v2/blobs/{blob_id}/chunks/0": "PUT",
        f"/v2/blobs/{blob_id}/complete": "POST",
        f"/v2/blobs/{blob_id}/content": "GET",
    }
    bodies = {"PUT": {"endpoint_name": "mine"}, f"/v3/endpoints/{endpoint_id}/submit": {"tasks": {function_id: ["x"]}}}
    for path, methods in paths.items():
        for method in methods.split():
            body = bodies.get(path, bodies.get(method))
            checksum = {"X-Chunk-SHA256": "0" * 64}
            response = await service.request(method, path, body, token=service.bob, headers=checksum)
            assert response.code == 404, (method, path)
    assert await service.get("endpoints", token=service.bob) == []
    results = (await service.post("batch_status", {"task_ids": [task_id]}, token=service.bob))["results"]
    assert results[task_id]["reason"] == "Unknown task id"
    reply = await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]]}, code=207, token=service.bob)
    assert reply["results"][0]["http_status_code"] == 404
    taken = {"endpoint_name": "mine", "endpoint_uuid": endpoint_id}
    assert (await service.request("POST", "endpoints", taken, token=service.bob)).code == 409
    assert (await service.get(f"tasks/{task_id}"))["status"] == "waiting-for-ep"


async def test_a_public_function_may_be_run_by_others(service: TestedService) -> None:
    function_id = await service.a_function(body={"public": True})
    endpoint_id = await service.an_endpoint(token=service.bob)
    await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]]}, token=service.bob)


def test_nothing_listens_beyond_this_machine(service: TestedService) -> None:
    assert socket.gethostbyname(service.web.address.split("/")[2].split(":")[0]).startswith("127.")
