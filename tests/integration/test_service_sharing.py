"""Sharing over HTTP: groups, allow-lists, locks, containers, and functions that change."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from funcx_core.ids import FunctionId, new_endpoint_id
from funcx_core.protocol.handoff import EndpointClosed, More
from funcx_core.protocol.task import ContainerImage
from tests.support.webservice import TestedService, a_service

BODY = "9\n04\nbody\n"
HASH = f"sha256:{sha256(BODY.encode()).hexdigest()}"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path) as service:
        yield service


async def refused(service: TestedService, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
    response = await service.request(method, path, body, **more)
    assert response.code >= 400, response.body
    return json.loads(response.body)


async def submit(service: TestedService, function_id: str, endpoint_id: str, **more: Any) -> dict[str, Any]:
    response = await service.request("POST", "submit", {"tasks": [[function_id, endpoint_id, "x"]]}, **more)
    item: dict[str, Any] = json.loads(response.body)["results"][0]
    return item


# --- functions -------------------------------------------------------------------------------------------------


async def test_a_function_is_shared_and_taken_back(service: TestedService) -> None:
    function_id = await service.a_function(body={"description": "twice", "function_source": "def double(x): ..."})
    endpoint_id = await service.an_endpoint(token=service.bob)
    assert (await submit(service, function_id, endpoint_id, token=service.bob))["code"] == 3
    shown = await service.request("PUT", f"functions/{function_id}", {"public": True, "searchable": False})
    assert json.loads(shown.body)["public"]
    assert (await submit(service, function_id, endpoint_id, token=service.bob))["status"] == "Success"
    theirs = await service.get(f"functions/{function_id}", token=service.bob)
    assert (theirs["owner"], theirs["owned"], theirs["description"]) == ("alice", False, "twice")
    assert theirs["function_source"] is None
    assert (await service.get(f"functions/{function_id}"))["function_source"] == "def double(x): ..."
    await service.request("PUT", f"functions/{function_id}", {"public": False})
    assert (await submit(service, function_id, endpoint_id, token=service.bob))["code"] == 3


async def test_a_deleted_function_runs_no_more_but_its_tasks_are_listed(service: TestedService) -> None:
    function_id, endpoint_id = await service.a_function(), await service.an_endpoint()
    task_id = (await submit(service, function_id, endpoint_id))["task_uuid"]
    assert (await service.request("DELETE", f"functions/{function_id}")).code == 200
    assert (await submit(service, function_id, endpoint_id))["error_args"] == [function_id]
    (listed,) = (await service.get("tasks"))["tasks"]
    assert (listed["task_id"], listed["function_name"]) == (task_id, "double")
    again = {"function_name": "double", "function_code": BODY, "function_uuid": function_id}
    assert (await refused(service, "POST", "functions", again))["http_status_code"] == 409


async def test_functions_are_found_by_their_text_and_their_owner(service: TestedService) -> None:
    for name, more in {"fft": {"public": True}, "sort": {"public": True}, "fft_mine": {}}.items():
        await service.a_function(body={"function_name": name, "description": f"a {name}", **more})

    async def found(query: str, **more: Any) -> list[str]:
        return [each["function_name"] for each in (await service.get(f"functions?{query}", **more))["results"]]

    bob = {"token": service.bob}
    assert await found("q=fft") == ["fft", "fft_mine"]
    assert await found("q=fft", **bob) == ["fft"]
    assert await found("owner=alice", **bob) == ["sort", "fft"]
    assert await found("", **bob) == []
    assert await found("q=name:sort%20owner:alice&advanced=true", **bob) == ["sort"]
    assert await found("q=name:sort%20owner:alice", **bob) == []
    assert await found("q=description:fft&advanced=true", **bob) == ["fft"]
    page = await service.get("functions?limit=2")
    assert (page["count"], page["total"], page["has_next_page"]) == (2, 3, True)


# --- groups ----------------------------------------------------------------------------------------------------


async def test_a_group_of_somebody_else_cannot_be_shared_with(service: TestedService) -> None:
    group = await service.post("groups", {"name": "team"}, code=201, token=service.bob)
    for name in ("team", group["group_id"], "nowhere"):
        error = await refused(
            service, "POST", "functions", {"function_name": "f", "function_code": BODY, "group": name}
        )
        assert (error["code"], error["http_status_code"]) == (7, 404)


async def test_a_group_is_changed_by_its_admins_only_and_members_may_leave(service: TestedService) -> None:
    await service.post("groups", {"name": "team"}, code=201)
    await service.post("groups/team/members", {"user": "bob"})
    bob = {"token": service.bob}
    assert [each["role"] for each in await service.get("groups", **bob)] == ["member"]
    assert (await refused(service, "DELETE", "groups/team", **bob))["name"] == "permission_denied"
    assert (await refused(service, "DELETE", "groups/team/members/alice", **bob))["name"] == "permission_denied"
    assert (await refused(service, "POST", "groups/team/members", {"user": "nobody"}))["code"] == 2
    assert (await refused(service, "DELETE", "groups/team/members/alice"))["name"] == "resource_conflict"
    assert (await service.request("DELETE", "groups/team/members/bob", **bob)).code == 200
    assert (await refused(service, "GET", "groups/team", **bob))["code"] == 7
    assert (await refused(service, "POST", "groups", {"name": "team"}, **bob))["http_status_code"] == 409
    assert (await refused(service, "POST", "groups", {"name": new_endpoint_id()}))["http_status_code"] == 400


async def test_what_a_deleted_group_shared_is_for_nobody(service: TestedService) -> None:
    await service.post("groups", {"name": "team"}, code=201)
    await service.post("groups/team/members", {"user": "bob"})
    function_id = await service.a_function(body={"group": "team"})
    bob = {"token": service.bob}
    assert await service.get(f"functions/{function_id}", **bob)
    await service.request("DELETE", "groups/team")
    await service.post("groups", {"name": "team"}, code=201, **bob)  # the same name, another group
    assert (await refused(service, "GET", f"functions/{function_id}", **bob))["code"] == 3


# --- endpoints -------------------------------------------------------------------------------------------------


async def test_endpoints_that_are_shared_are_listed_when_asked_for(service: TestedService) -> None:
    body = {"endpoint_name": "open", "public": True, "meta": {"hostname": "secret"}}
    endpoint_id = (await service.post("endpoints", body))["endpoint_id"]
    bob = {"token": service.bob}
    assert await service.get("endpoints?role=owner", **bob) == []
    (theirs,) = await service.get("endpoints?role=any", **bob)
    assert (theirs["uuid"], theirs["owned"], theirs["meta"]) == (endpoint_id, False, {})
    (own,) = await service.get("endpoints")
    assert (own["owned"], own["meta"]) == (True, {"hostname": "secret"})
    await service.post("endpoints", {"endpoint_name": "open", "endpoint_uuid": endpoint_id})  # says nothing of sharing
    assert len(await service.get("endpoints?role=any", **bob)) == 1
    await service.post("endpoints", {"endpoint_name": "open", "endpoint_uuid": endpoint_id, "public": False})
    assert await service.get("endpoints?role=any", **bob) == []
    assert (await refused(service, "GET", "endpoints?role=everything"))["http_status_code"] == 400


async def test_tasks_on_a_shared_endpoint_are_their_submitters_alone(service: TestedService) -> None:
    endpoint_id = (await service.post("endpoints", {"endpoint_name": "open", "public": True}))["endpoint_id"]
    bob = {"token": service.bob}
    item = await submit(service, await service.a_function(**bob), endpoint_id, **bob)
    assert (await service.get(f"tasks/{item['task_uuid']}", **bob))["task_id"] == item["task_uuid"]
    assert (await refused(service, "GET", f"tasks/{item['task_uuid']}"))["code"] == 6
    assert (await service.get("tasks"))["tasks"] == []


async def test_a_restricted_endpoint_runs_what_is_on_its_list(service: TestedService) -> None:
    endpoint_id, function_id, other = (
        await service.an_endpoint(),
        await service.a_function(),
        await service.a_function(),
    )
    path = f"endpoints/{endpoint_id}/whitelist"
    assert await service.get(path) == {"status": "Success", "result": [], "restricted": False}
    assert (await submit(service, other, endpoint_id))["status"] == "Success"
    assert (await service.post(path, {"func": [function_id]}))["result"] == [function_id]
    assert (await submit(service, function_id, endpoint_id))["status"] == "Success"
    item = await submit(service, other, endpoint_id)
    assert (item["code"], item["http_status_code"], item["name"]) == (10, 403, "function_not_permitted")
    assert item["error_args"] == [other, endpoint_id]
    assert (await service.get(f"/v3/endpoints/{endpoint_id}/allowed_functions"))["functions"] == [function_id]
    await service.request("DELETE", f"{path}/{function_id}")
    assert (await submit(service, function_id, endpoint_id))["code"] == 10  # an empty list allows nothing
    await service.request("PUT", f"endpoints/{endpoint_id}", {"restricted": False})
    assert (await submit(service, other, endpoint_id))["status"] == "Success"


async def test_a_list_takes_the_hash_of_a_body(service: TestedService) -> None:
    endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
    other = await service.a_function(body={"function_code": "9\n04\nother"})
    assert (await service.get(f"functions/{function_id}"))["content_hash"] == HASH
    await service.post(f"endpoints/{endpoint_id}/whitelist", {"func": HASH})
    assert (await submit(service, function_id, endpoint_id))["status"] == "Success"
    assert (await submit(service, other, endpoint_id))["code"] == 10
    error = await refused(service, "POST", f"endpoints/{endpoint_id}/whitelist", {"func": ["sha256:0"]})
    assert "sha256:0" in error["reason"]


async def test_a_list_may_come_with_the_registration(service: TestedService) -> None:
    function_id, other = await service.a_function(), await service.a_function()
    body = {"endpoint_name": "theta", "endpoint_uuid": new_endpoint_id(), "allowed_functions": [function_id]}
    endpoint_id = (await service.post("endpoints", body))["endpoint_id"]
    assert (await submit(service, other, endpoint_id))["code"] == 10
    await service.post("endpoints", {**body, "allowed_functions": None})
    assert (await submit(service, other, endpoint_id))["status"] == "Success"


async def test_a_locked_endpoint_is_refused_until_it_is_unlocked(service: TestedService) -> None:
    endpoint_id = await service.an_endpoint()
    body = {"endpoint_name": "theta", "endpoint_uuid": endpoint_id}
    reply = await service.post(f"endpoints/{endpoint_id}/lock", None)
    assert reply["locked_until"] == (await service.get(f"endpoints/{endpoint_id}"))["locked_until"] > 0
    (closed,) = await service.handed_over()
    assert isinstance(closed, EndpointClosed)
    assert (closed.endpoint_id, closed.code) == (endpoint_id, "locked")
    error = await refused(service, "POST", "endpoints", body)
    assert (error["code"], error["http_status_code"], error["error_args"]) == (25, 423, [endpoint_id])
    assert (await service.request("DELETE", f"endpoints/{endpoint_id}/lock")).code == 200
    await service.post("endpoints", body)
    await service.post(f"endpoints/{endpoint_id}/lock", {"seconds": 0.001})
    await service.post("endpoints", body)


async def test_an_agent_is_sent_home_also_if_the_forwarders_topic_is_full(tmp_path: Path) -> None:
    async with a_service(tmp_path, inbox_limit=1) as service:
        endpoint_id, function_id = await service.an_endpoint(), await service.a_function()
        await submit(service, function_id, endpoint_id)
        await submit(service, function_id, endpoint_id)
        await service.post(f"endpoints/{endpoint_id}/lock", {})
        seen: list[Any] = []
        while not (seen and isinstance(seen[-1], EndpointClosed)):
            seen += await service.handed_over()
        assert any(isinstance(message, More) for message in seen)


# --- containers ------------------------------------------------------------------------------------------------


async def test_a_container_is_registered_and_found_by_its_type(service: TestedService) -> None:
    body = {"name": "py", "location": "docker://python:3.12", "description": "", "type": "Docker"}
    container_id = (await service.post("containers", body))["container_id"]
    found = (await service.get(f"containers/{container_id}/docker"))["container"]
    assert (found["location"], found["type"], found["container_uuid"]) == (body["location"], "docker", container_id)
    assert (await refused(service, "GET", f"containers/{container_id}/singularity"))["code"] == 5
    assert (await refused(service, "POST", "containers", {**body, "location": ""}))["http_status_code"] == 400
    function_id = await service.a_function(body={"container_uuid": container_id})
    assert (await service.get(f"functions/{function_id}"))["container_uuid"] == container_id
    theirs = {"function_name": "f", "function_code": BODY, "container_uuid": container_id}
    assert (await refused(service, "POST", "functions", theirs, token=service.bob))["code"] == 5


async def test_a_container_of_a_type_that_nothing_runs_is_refused(service: TestedService) -> None:
    said = await service.post("containers", {"location": "mars://py", "type": "rocket"}, code=400)
    assert "charliecloud; this one is 'rocket'" in said["reason"]


async def test_an_endpoint_is_told_its_containers(service: TestedService) -> None:
    body = {"location": "/images/py.sif", "type": "singularity"}
    container_id = (await service.post("containers", body))["container_id"]
    for _ in range(2):
        reply = await service.post("get_containers", {"endpoint_name": "dlhub", "description": "x"})
        assert [each["container_id"] for each in reply["endpoint_containers"]] == [container_id]
    (endpoint,) = await service.get("endpoints")
    assert endpoint["uuid"] == reply["endpoint_uuid"]


async def test_a_task_cannot_ask_for_a_container_of_somebody_else(service: TestedService) -> None:
    container = await service.post("containers", {"location": "docker://x", "type": "docker"})
    endpoint_id, function_id = await service.an_endpoint(token=service.bob), await service.a_function(token=service.bob)
    body = {"tasks": [[function_id, endpoint_id, "x"]], "options": {"container_id": container["container_id"]}}
    assert (await refused(service, "POST", "submit", body, token=service.bob))["code"] == 5


async def test_a_task_takes_along_what_it_runs_in(service: TestedService) -> None:
    container = await service.post("containers", {"location": "docker://x", "type": "docker"})
    image = ContainerImage(container["container_id"], "docker", "docker://x")
    function_id = await service.a_function(body={"container_uuid": container["container_id"]})
    endpoint_id, plain = await service.an_endpoint(), await service.a_function()
    forged = {"container_id": container["container_id"], "container": ["x", "docker", "docker://other"]}
    await service.post("submit", {"tasks": [[plain, endpoint_id, "x"]], "options": forged})
    await service.post("submit", {"tasks": [[plain, endpoint_id, "x"]], "options": {"container": forged["container"]}})
    await service.post("submit", {"tasks": [[function_id, endpoint_id, "x"]]})
    options = [offer.task.options for _, offer in await service.offers(3)]
    assert [each.container for each in options if each is not None] == [image, None, image]
    (function,) = await service.store.functions([FunctionId(function_id)])
    assert function.container == image


async def test_a_function_runs_only_for_those_who_may_use_its_container(service: TestedService) -> None:
    container = await service.post("containers", {"location": "docker://x", "type": "docker"})
    function_id = await service.a_function(body={"container_uuid": container["container_id"], "public": True})
    item = await submit(service, function_id, await service.an_endpoint(token=service.bob), token=service.bob)
    assert (item["code"], item["http_status_code"]) == (5, 404)
