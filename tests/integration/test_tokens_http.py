"""Tokens, clients and the routes of OAuth2, over real sockets; published clients' own libraries where they matter."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from urllib.parse import urlencode

import globus_sdk
import pytest

from funcx_core.ids import new_group_id
from funcx_core.protocol.client import Watch
from funcx_core.sdk.login_manager import LoginManager
from funcx_core.sdk.login_manager.client_login import ClientCredentials, ServiceClientAuthorizer
from funcx_core.service.auth.config import FUNCX_SCOPE
from funcx_core.service.auth.scopes import Scope
from tests.support.stored import ALICE, BOB
from tests.support.webservice import a_service

OPENID = "openid"
SEARCH = "urn:globus:auth:scope:search.api.globus.org:all"


@pytest.fixture
async def service(tmp_path):
    async with a_service(tmp_path / "service") as running:
        yield running


async def a_token(service, *, by=None, **body):
    return await service.post("tokens", {"label": "mine", **body}, code=201, token=by)


async def a_client(service, **body):
    return await service.post("clients", {"label": "night run", **body}, code=201)


async def grant(service, client, **form):
    basic = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    return await service.request(
        "POST",
        "oauth2/token",
        raw=urlencode({"grant_type": "client_credentials", **form}).encode(),
        headers={"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"},
    )


# --- tokens ------------------------------------------------------------------------------------------------------


async def test_a_token_is_made_used_listed_and_revoked(service):
    made = await a_token(service, lifetime=3600)
    assert made["token"].startswith("fxt_")
    assert made["scopes"] == ["endpoints", "read", "submit", "tokens"]
    assert await service.get("endpoints", token=made["token"]) == []
    async with asyncio.timeout(10):
        while (listed := (await service.get("tokens", token=made["token"]))["tokens"])[0]["last_used_at"] is None:
            pass
    assert [(item["label"], item["current"]) for item in listed] == [("mine", True), ("test", False)]
    assert made["token"] not in json.dumps(listed)
    await service.request("DELETE", f"tokens/{made['token_id']}")
    response = await service.request("GET", "endpoints", token=made["token"])
    assert response.code == 401
    assert "was revoked" in json.loads(response.body)["reason"]
    assert (await service.request("DELETE", f"tokens/{made['token_id']}")).code == 404


async def test_a_token_can_make_none_that_may_do_more(service):
    narrow = await a_token(service, scopes=["tokens", "read"])
    assert (await a_token(service, by=narrow["token"]))["scopes"] == ["read", "tokens"]
    for path in ("tokens", "clients"):
        response = await service.request("POST", path, {"label": "x", "scopes": ["submit"]}, token=narrow["token"])
        assert response.code == 403
        assert "scope 'submit'" in json.loads(response.body)["reason"]


@pytest.mark.parametrize(
    "body", [{"label": ""}, {"label": "x" * 201}, {"label": "x", "lifetime": 0}, {"label": "x", "scopes": ["all"]}, {}]
)
async def test_a_token_that_cannot_be_is_refused(service, body):
    assert (await service.request("POST", "tokens", body)).code == 400


async def test_tokens_and_clients_of_others_do_not_exist(service):
    token, client = await a_token(service), await a_client(service)
    for path in (f"tokens/{token['token_id']}", f"clients/{client['client_id']}"):
        assert (await service.request("DELETE", path, token=service.bob)).code == 404
    assert (await service.get("clients", token=service.bob))["clients"] == []
    assert await service.get("endpoints", token=token["token"]) == []


# --- clients -----------------------------------------------------------------------------------------------------


async def test_a_client_gets_one_token_for_each_resource_server(service):
    client = await a_client(service)
    assert client["client_secret"].startswith("fxs_")
    response = await grant(service, client, scope=f"{FUNCX_SCOPE} {FUNCX_SCOPE} {OPENID} {SEARCH}")
    assert response.code == 200
    granted = json.loads(response.body)
    funcx, openid, search = granted, *granted["other_tokens"]
    assert [part["resource_server"] for part in (funcx, openid, search)] == [
        "funcx_service",
        "auth.globus.org",
        "search.api.globus.org",
    ]
    assert (funcx["scope"], funcx["token_type"], funcx["expires_in"]) == (FUNCX_SCOPE, "Bearer", 172_800)
    info = await service.get("oauth2/userinfo", token=openid["access_token"])
    assert (info["sub"], info["preferred_username"]) == (ALICE.user_id, "alice")
    assert [each["sub"] for each in info["identity_set"]] == [ALICE.user_id]
    assert (await service.request("GET", "endpoints", token=search["access_token"])).code == 403
    endpoint_id = await service.an_endpoint(token=funcx["access_token"])
    assert [each["uuid"] for each in await service.get("endpoints")] == [endpoint_id]


async def test_a_clients_tokens_may_do_no_more_than_it(service):
    client = await a_client(service, scopes=["read"])
    token = json.loads((await grant(service, client)).body)["access_token"]
    assert await service.get("endpoints", token=token) == []
    assert (await service.request("POST", "functions", {}, token=token)).code == 403


async def test_deleting_a_client_ends_its_tokens(service):
    client = await a_client(service)
    token = json.loads((await grant(service, client)).body)["access_token"]
    assert await service.get("endpoints", token=token) == []
    await service.request("DELETE", f"clients/{client['client_id']}")
    assert (await service.request("GET", "endpoints", token=token)).code == 401
    assert (await grant(service, client)).code == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
async def test_a_grant_that_cannot_be_is_refused_in_the_words_of_oauth(service, form, error):
    response = await grant(service, await a_client(service), **form)
    said = json.loads(response.body)
    assert (response.code, said["error"], said["status"]) == (400, error, "Failed")


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !", "Basic Og==", "Bearer x", f"Basic {b64encode(b'a:b').decode()}"]
)
async def test_without_a_known_id_and_secret_there_is_no_token(service, header):
    response = await service.request(
        "POST", "oauth2/token", raw=b"grant_type=client_credentials", headers={"Authorization": header}
    )
    assert (response.code, json.loads(response.body)["error"]) == (401, "invalid_client")
    assert response.headers["WWW-Authenticate"] == "Basic"


async def test_a_form_that_is_none_is_refused(service):
    client = await a_client(service)
    basic = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    for raw in (b"", b"\xff\xfe", b"grant_type", b"&".join(b"a%d=1" % number for number in range(60))):
        response = await service.request("POST", "oauth2/token", raw=raw, headers={"Authorization": f"Basic {basic}"})
        assert response.code == 400, raw
        assert json.loads(response.body)["error"] in {"invalid_request", "unsupported_grant_type"}


async def test_whoever_knows_a_token_can_give_it_up(service):
    made = await a_token(service)
    await service.get("endpoints", token=made["token"])
    for form in ({"token": made["token"]}, {"token": made["token"]}, {"token": "unknown"}, {"client_id": "x"}):
        response = await service.request("POST", "oauth2/token/revoke", raw=urlencode(form).encode())
        assert (response.code, json.loads(response.body)) == (200, {"active": False})
    assert (await service.request("GET", "endpoints", token=made["token"])).code == 401


async def test_one_sees_ones_own_identity_only(service):
    found = await service.get(f"api/identities?ids={ALICE.user_id},{BOB.user_id}")
    assert [(each["id"], each["username"]) for each in found["identities"]] == [(ALICE.user_id, "alice")]
    assert (await service.get("api/identities?usernames=bob"))["identities"] == []


# --- the libraries of clients ------------------------------------------------------------------------------------


async def test_globus_sdk_signs_in_here_as_it_would_with_globus(service, monkeypatch):
    client = await a_client(service)
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", service.web.address.removesuffix("v2"))

    def sign_in():
        pair = globus_sdk.ConfidentialAppAuthClient(client["client_id"], client["client_secret"])
        authorizer = globus_sdk.ClientCredentialsAuthorizer(pair, OPENID)
        info = globus_sdk.AuthClient(authorizer=authorizer).userinfo()
        names = globus_sdk.AuthClient(authorizer=authorizer).get_identities(ids=info["sub"])
        pair.oauth2_revoke_token(authorizer.access_token)
        return info["preferred_username"], names["identities"][0]["username"], authorizer.access_token

    *names, token = await asyncio.to_thread(sign_in)
    assert names == ["alice", "alice"]
    assert (await service.request("GET", "oauth2/userinfo", token=token)).code == 401


async def test_a_wrong_secret_is_an_error_of_authorization_for_globus_sdk(service, monkeypatch):
    client = await a_client(service)
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", service.web.address.removesuffix("v2"))

    def sign_in():
        pair = globus_sdk.ConfidentialAppAuthClient(client["client_id"], "fxs_wrong")
        with pytest.raises(globus_sdk.AuthAPIError) as caught:
            pair.oauth2_client_credentials_tokens(requested_scopes=FUNCX_SCOPE)
        return caught.value.http_status

    assert await asyncio.to_thread(sign_in) == 401


async def test_our_login_manager_signs_in_here_by_environment_alone(service, monkeypatch):
    client = await a_client(service)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client["client_id"])
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", client["client_secret"])
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", service.web.address.removesuffix("v2"))
    manager = LoginManager()
    web_client = await asyncio.to_thread(manager.get_funcx_web_client, base_url=service.web.address)
    assert await asyncio.to_thread(web_client.get, "endpoints") == []
    assert await asyncio.to_thread(manager.logout) is True


async def test_a_secret_of_the_service_needs_no_globus_sdk(service):
    client = await a_client(service)
    pair = ClientCredentials(client["client_id"], client["client_secret"])
    authorizer = ServiceClientAuthorizer(service.web.address, pair)
    first = await asyncio.to_thread(authorizer.get_authorization_header)
    assert await asyncio.to_thread(authorizer.get_authorization_header) == first
    assert authorizer.handle_missing_authorization()
    second = await asyncio.to_thread(authorizer.get_authorization_header)
    assert second != first
    assert await service.get("endpoints", token=second.removeprefix("Bearer ")) == []


async def test_a_stream_ends_when_its_token_is_revoked(service):
    made = await a_token(service, scopes=[Scope.READ, Scope.SUBMIT])
    stream = await service.stream(made["token"])
    await service.request("DELETE", f"tokens/{made['token_id']}")
    await stream.send(Watch(new_group_id(), []))
    async with asyncio.timeout(10):
        while await stream.receive() is not None:
            pass
