"""Users x operations x ids, made from the OpenAPI document: a new route is tested without being named here.

Alice owns one thing of each kind. Carol is in the group that Alice shares with, Bob is a stranger. A route whose parameters
are of no known kind fails; so does one whose answer to Bob is not that for a thing that does not exist.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPResponse

from funcx_core.ids import UserId, new_group_id
from funcx_core.protocol.blob import CHUNK_CHECKSUM_HEADER
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.openapi import document
from funcx_core.service.routes import ROUTES
from funcx_core.service.store.records import User
from tests.support.matrix import ID_FIELDS, PARAMETERS, Ids, Operation, Requests, without_ids
from tests.support.stored import ALICE
from tests.support.webservice import TestedService, a_service

REQUESTS = Requests(document(ROUTES))
OPERATIONS = {operation.name: operation for operation in REQUESTS.operations()}
WITH_TOKEN = [name for name, operation in OPERATIONS.items() if operation.scope is not None]
WITH_IDS = [name for name in WITH_TOKEN if OPERATIONS[name].ids]
WITH_IDS_IN_BODY = [name for name in WITH_TOKEN if REQUESTS.id_fields(OPERATIONS[name])]

NEVER_SHARED = {"task_id", "task_group_id", "map_id", "blob_id", "token_id", "client_id"}
OWNERS_ONLY = ("/whitelist", "/allowed_functions", "/stats", "/lock")
"""What a path has that those with whom an endpoint is shared must not read."""
MEMBERS_MAY = ("/submit",)
"""What a path ends with that they may do, though it is no GET."""
ID_IS_TAKEN = {
    "POST /v1/register_function",
    "POST /v1/register_endpoint_2",
    "POST /v2/functions",
    "POST /v2/endpoints",
}
"""Here the caller chooses an id, so one that is there is told from one that is not: by the refusal to take it."""
OF_NO_ID = {"no_message_broker", "sign_in_not_found"}
"""Refusals that say nothing of an id."""
MADE_BY_OTHER_TESTS = {"map_id", "blob_id"}
"""Kinds of which there is none here: for the owner nothing is claimed."""


class Site:
    """A service on which Alice has one thing of each kind."""

    def __init__(self, service: TestedService) -> None:
        self.service = service
        self.tokens: dict[str, str] = {}
        self.ids = Ids.of_nothing()
        self.group = ""
        self._groups = 0

    async def prepare(self) -> None:
        """Make one thing of each kind, and share what can be shared with a group that Carol is in."""
        service = self.service
        self._groups += 1
        self.group = f"team-{self._groups}"
        self.tokens = {"alice": service.alice, "bob": service.bob}
        for number, name in enumerate(("carol", "dave")):
            user = await service.store.ensure_user(User(UserId(f"00000000-0000-4000-8000-00000000ca0{number}"), name))
            self.tokens[name] = await service.tokens.mint(user, label="test")
        group = await service.post("groups", {"name": self.group}, code=201)
        await self.let_carol_in()
        shared = {"group": self.group}
        self.ids |= {
            "group_id": group["group_id"],
            "function_id": await service.a_function(body=shared),
            "endpoint_id": await service.an_endpoint(),
            "task_group_id": new_group_id(),
        }
        endpoint = await service.request("PUT", f"endpoints/{self.ids['endpoint_id']}", shared)
        assert endpoint.code == 200, endpoint.body
        container = {"location": "docker://python", "type": "docker", **shared}
        self.ids["container_id"] = (await service.post("containers", container))["container_id"]
        self.ids["token_id"] = (await service.post("tokens", {"label": "another"}, code=201))["token_id"]
        self.ids["client_id"] = (await service.post("clients", {"label": "program"}, code=201))["client_id"]
        tasks = [[self.ids["function_id"], self.ids["endpoint_id"], "00\nx"]]
        reply = await service.post("submit", {"tasks": tasks, "task_group_id": self.ids["task_group_id"]})
        self.ids["task_id"] = reply["results"][0]["task_uuid"]

    async def let_carol_in(self) -> None:
        await self.service.post(f"groups/{self.group}/members", {"user": "carol"})

    async def ask(
        self, who: str, operation: Operation, ids: Ids, *, all_ids: bool = False, token: str | None = None
    ) -> HTTPResponse:
        body = REQUESTS.body(operation, ids, all_ids=all_ids)
        token = self.tokens[who] if token is None else token
        return await self.service.request(
            operation.method.upper(),
            operation.address(ids),
            body,
            raw=b"x" if REQUESTS.is_raw(operation) else None,
            headers={CHUNK_CHECKSUM_HEADER: sha256(b"x").hexdigest()},
            token=token,
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with a_service(tmp_path) as service:
        site = Site(service)
        await site.prepare()
        yield site


def test_every_parameter_is_of_a_known_kind() -> None:
    known = {*ID_FIELDS.values(), *PARAMETERS, "entry"}
    unknown = {name for name in WITH_TOKEN if set(OPERATIONS[name].parameters) - known}
    assert not unknown, "say in tests/support/matrix.py of what these are ids"


async def test_nobody_gets_in_without_a_token(site: Site) -> None:
    for name in WITH_TOKEN:
        response = await site.ask("", OPERATIONS[name], site.ids, token="")
        assert response.code == 401, name


async def test_a_token_without_the_scope_is_refused(site: Site) -> None:
    tokens = {
        scope: await site.service.tokens.mint(ALICE, label="all but one", scopes=ALL - {scope}) for scope in Scope
    }
    for name in WITH_TOKEN:
        operation = OPERATIONS[name]
        response = await site.ask("", operation, site.ids, token=tokens[Scope(operation.scope)])
        assert response.code == 403, name
        assert json.loads(response.body)["name"] == "permission_denied"


async def test_the_owner_finds_everything(site: Site) -> None:
    """So the refusals below are not those of a wrong path or body."""
    for name in WITH_TOKEN:
        operation = OPERATIONS[name]
        response = await site.ask("alice", operation, site.ids)
        if not operation.ids & MADE_BY_OTHER_TESTS:
            assert response.code < 500, (name, response.body)
            is_absent = response.code == 404 and json.loads(response.body)["name"] not in OF_NO_ID
            assert not is_absent, (name, response.body)
            assert response.code not in {401, 403}, (name, response.body)
        if operation.method == "delete":
            await site.prepare()


async def test_what_is_somebody_elses_is_not_there(site: Site) -> None:
    for name in WITH_IDS:
        operation, nothing = OPERATIONS[name], Ids.of_nothing()
        theirs = await site.ask("bob", operation, site.ids)
        assert theirs.code == 404, (name, theirs.body)
        assert _answer(theirs) == _answer(await site.ask("bob", operation, nothing)), name


async def test_an_id_in_a_body_says_no_more_than_one_in_a_path(site: Site) -> None:
    for name in WITH_IDS_IN_BODY:
        operation, nothing = OPERATIONS[name], Ids.of_nothing()
        if name in ID_IS_TAKEN:
            chosen = {
                field for field in REQUESTS.id_fields(operation) if field.endswith("_uuid") and "container" not in field
            }
            body = REQUESTS.body(operation, nothing) | {field: site.ids[ID_FIELDS[field]] for field in chosen}
            taken = await site.service.request("POST", operation.path, body, token=site.tokens["bob"])
            assert taken.code == 409, name
            continue
        theirs = await site.ask("bob", operation, site.ids, all_ids=True)
        assert theirs.code < 500, theirs.body
        assert _answer(theirs) == _answer(await site.ask("bob", operation, nothing, all_ids=True)), name


async def test_no_answer_to_a_stranger_has_an_id_of_the_owner(site: Site) -> None:
    for name in WITH_TOKEN:
        operation = OPERATIONS[name]
        response = await site.ask("bob", operation, Ids.of_nothing())
        assert not [kind for kind, text in site.ids.items() if text in response.body.decode()], name


async def test_a_member_may_use_what_is_shared_and_change_nothing(site: Site) -> None:
    for name in WITH_IDS:
        operation = OPERATIONS[name]
        response = await site.ask("carol", operation, site.ids)
        if operation.ids & NEVER_SHARED:
            assert response.code == 404, name
        elif "group_id" in operation.ids:
            may = operation.method == "get" or "carol" in operation.address(site.ids)  # members may leave
            assert response.code == (200 if may else 403), (name, response.body)
            await site.let_carol_in()
        elif operation.path.endswith(MEMBERS_MAY):
            assert response.code < 400, (name, response.body)
        else:
            reads = operation.method == "get" and not any(each in operation.path for each in OWNERS_ONLY)
            assert response.code == (200 if reads else 404), (name, response.body)


async def test_what_is_shared_with_the_group_no_longer_is_gone_at_once(site: Site) -> None:
    endpoint, function = site.ids["endpoint_id"], site.ids["function_id"]

    async def seen() -> list[int]:
        paths = (f"endpoints/{endpoint}", f"functions/{function}", f"containers/{site.ids['container_id']}")
        return [(await site.service.request("GET", path, token=site.tokens["carol"])).code for path in paths]

    async def submits() -> int:
        reply = await site.service.request(
            "POST", "submit", {"tasks": [[function, endpoint, "x"]]}, token=site.tokens["carol"]
        )
        return json.loads(reply.body)["results"][0]["http_status_code"]

    assert await seen() == [200, 200, 200]
    assert await submits() == 200
    removed = await site.service.request("DELETE", f"groups/{site.group}/members/carol")
    assert removed.code == 200
    assert await seen() == [404, 404, 404]
    assert await submits() == 404


def _answer(response: HTTPResponse) -> Any:
    return response.code, without_ids(response.body.decode())
