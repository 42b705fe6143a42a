"""Users of Globus Auth and of a JupyterHub at a real service; both providers are on the loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import sys
import textwrap
from pathlib import Path

import pytest
from tornado.httpclient import AsyncHTTPClient

from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import UserId
from funcx_core.sdk.client import FuncXClient
from funcx_core.sdk.login_manager import LoginManager
from funcx_core.service.auth.chain import Chain
from funcx_core.service.auth.config import AuthConfig, GlobusConfig, JupyterHubConfig
from funcx_core.service.store.records import User
from tests.support.fake_globus import GROUPS_SCOPE, SEARCH_SCOPE, FakeGlobus
from tests.support.fake_hub import FakeHub
from tests.support.webservice import a_service


@pytest.fixture
def globus(monkeypatch):
    with FakeGlobus() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def hub():
    async with FakeHub() as running:
        yield running


@pytest.fixture
async def service(tmp_path, globus, hub):
    client_id, secret = globus.add_client(service=True)
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(secret)
    auth = AuthConfig(
        globus=GlobusConfig(client_id=client_id, client_secret_file=path),
        jupyterhub=JupyterHubConfig(api_url=hub.api_url),
    )
    async with a_service(tmp_path / "service", auth=auth) as running:
        yield running


async def refused(service, token):
    response = await service.request("GET", "endpoints", token=token)
    assert response.code == 401
    return json.loads(response.body)["reason"]


async def whoami(service, token):
    return await service.get("oauth2/userinfo", token=token)


def chain_of(service) -> Chain:
    return service.web._context.authenticator


async def user_of(service, token) -> User:
    return User(UserId((await whoami(service, token))["sub"]), "")


# --- Globus Auth -------------------------------------------------------------------------------------------------


async def test_a_user_of_globus_is_known_and_remembered(service, globus):
    token = globus.grant(globus.add_identity("ada@example.org"))
    first = await whoami(service, token)
    assert first["preferred_username"] == "ada@example.org"
    assert await whoami(service, token) == first
    assert globus.count("/v2/oauth2/token/introspect") == 1


async def test_it_is_the_same_user_with_another_token_and_with_a_linked_identity(service, globus):
    ada = globus.add_identity("ada@example.org")
    linked = globus.add_identity("ada@lab.example", linked=[ada.sub])
    first = await whoami(service, globus.grant(ada))
    assert (await whoami(service, globus.grant(ada)))["sub"] == first["sub"]
    assert (await whoami(service, globus.grant(linked)))["sub"] == first["sub"]
    stranger = globus.add_identity("bob@example.org")
    assert (await whoami(service, globus.grant(stranger)))["sub"] != first["sub"]


async def test_tokens_that_are_unknown_expired_or_for_something_else_are_refused(service, globus):
    ada = globus.add_identity("ada@example.org")
    expired = globus.grant(ada)
    globus.expire(expired)
    for token in (expired, globus.grant(ada, SEARCH_SCOPE), "Aa" + "x" * 40):
        assert "Sign in again: `funcx login`" in await refused(service, token)


async def test_a_token_with_this_services_audience_but_another_scope_is_refused(service, globus):
    globus.audience[SEARCH_SCOPE] = globus.audience[next(iter(globus.audience))]
    await refused(service, globus.grant(globus.add_identity("ada@example.org"), SEARCH_SCOPE))


async def test_a_token_given_up_here_is_asked_for_anew(service, globus):
    token = globus.grant(globus.add_identity("ada@example.org"))
    await whoami(service, token)
    globus.tokens[token].active = False
    await service.request("POST", "oauth2/token/revoke", raw=f"token={token}".encode())
    await refused(service, token)


async def test_when_globus_is_away_the_caller_is_told_to_try_again(service, globus):
    token = globus.grant(globus.add_identity("ada@example.org"))
    globus.broken = 2
    response = await service.request("GET", "endpoints", token=token)
    assert response.code == 503
    assert response.headers["Retry-After"] == "5"
    globus.broken = 0
    assert await service.get("endpoints", token=token) == []


async def test_our_own_tokens_never_go_to_a_provider(service, globus, hub):
    await service.get("endpoints")
    await refused(service, "fxt_" + "x" * 43)
    assert (globus.requests, hub.asked) == ([], 0)


async def test_groups_are_asked_for_by_a_dependent_token_and_only_when_needed(service, globus):
    ada = globus.add_identity("ada@example.org")
    mine, _ = globus.add_group(ada), globus.add_group(globus.add_identity("bob@example.org"))
    token = globus.grant(ada)
    user = await user_of(service, token)
    assert globus.count("/v2/groups/my_groups") == 0
    assert await chain_of(service).groups_of(user) == {mine}
    asked = [form for path, form in globus.requests if path == "/v2/oauth2/token"]
    assert [(form["token"], form["scope"]) for form in asked] == [(token, GROUPS_SCOPE)]


async def test_groups_of_a_token_that_ended_cannot_be_told(service, globus):
    token = globus.grant(globus.add_identity("ada@example.org"))
    user = await user_of(service, token)
    globus.expire(token)
    with pytest.raises(ServiceUnavailable):
        await chain_of(service).groups_of(user)


async def test_nothing_that_globus_tells_is_logged(service, globus, caplog):
    caplog.set_level(logging.DEBUG)
    ada = globus.add_identity("ada@example.org", name="Ada Secretive")
    token = globus.grant(ada)
    await chain_of(service).groups_of(await user_of(service, token))
    said = "\n".join(f"{record.name} {record.getMessage()}" for record in caplog.records)
    for secret in (token, ada.sub, ada.username, ada.name, *globus.tokens):
        assert secret not in said


async def test_a_client_with_a_login_manager_of_its_own_works(service, globus, monkeypatch):
    client_id, secret = globus.add_client()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)

    def work():
        address = service.web.address
        with (
            FuncXClient(funcx_service_address=address, login_manager=LoginManager()) as given,
            FuncXClient(funcx_service_address=address) as by_environment,
        ):
            return given.get_endpoints(), by_environment.get_endpoints()

    assert await asyncio.to_thread(work) == ([], [])
    programs = [token for token in globus.tokens.values() if token.client_id == client_id]
    assert len(programs) == 1  # kept in storage.db by the first, found by the second


async def test_a_clients_token_that_ends_is_renewed_once_and_the_request_repeated(service, globus, monkeypatch):
    client_id, secret = globus.add_client()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)

    def work():
        with FuncXClient(funcx_service_address=service.web.address) as client:
            before = client.settings.headers["Authorization"]
            globus.expire(before.removeprefix("Bearer "))
            client.get_endpoints()
            return before, client.settings.headers["Authorization"]

    before, after = await asyncio.to_thread(work)
    assert before != after


@pytest.mark.parametrize("where", ["globus", "jupyterhub"])
async def test_a_function_is_shared_with_a_group_elsewhere(service, globus, hub, where):
    if where == "globus":
        ada, bob = globus.add_identity("ada@example.org"), globus.add_identity("bob@example.org")
        group = globus.add_group(ada, bob)
        mine, its, others = globus.grant(ada), globus.grant(bob), globus.grant(globus.add_identity("eve@example.org"))
    else:
        group = "jupyterhub:lab"
        mine, its = (hub.token_of(name, "access:services", groups=("lab",)) for name in ("ada", "bob"))
        others = hub.token_of("eve", "access:services")
    function_id = await service.a_function(body={"group": group}, token=mine)
    await service.get(f"functions/{function_id}", token=its)
    assert (await service.request("GET", f"functions/{function_id}", token=others)).code == 404


# --- JupyterHub --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["access:services", "access:services!service=funcx"])
async def test_a_user_of_the_hub_is_known_by_an_api_token(service, hub, scope):
    token = hub.token_of("ada", scope, groups=("lab",))
    info = await whoami(service, token)
    assert info["preferred_username"] == "ada@127.0.0.1"
    assert await whoami(service, token) == info
    assert hub.asked == 1
    assert await chain_of(service).groups_of(await user_of(service, token)) == {"jupyterhub:lab"}


async def test_a_user_of_the_hub_is_nobody_elses_user(service, hub):
    info = await whoami(service, hub.token_of("alice", "access:services"))
    assert info["sub"] != (await whoami(service, service.alice))["sub"]


async def test_tokens_that_may_not_access_this_service_are_refused(service, hub, globus):
    tokens = [
        hub.token_of("ada"),
        hub.token_of("ada", "access:services!service=other"),
        hub.token_of("ada", "access:servers!user=ada"),
        hub.token_of("cron", "access:services", kind="service"),
        "0" * 32,
    ]
    for token in tokens:
        assert "access:services" in await refused(service, token)
    assert globus.requests == []


async def test_when_the_hub_is_away_the_caller_is_told_to_try_again(service, hub):
    token = hub.token_of("ada", "access:services")
    hub.broken = True
    assert (await service.request("GET", "endpoints", token=token)).code == 503
    hub.broken = False
    assert await service.get("endpoints", token=token) == []


HUB_CONFIG = """
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    async def add_route(self, *args, **kwargs): pass
    async def delete_route(self, *args, **kwargs): pass
    async def get_all_routes(self): return {{}}

c = get_config()
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_port = {port}
c.JupyterHub.bind_url = "http://127.0.0.1:{other}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.db_url = "sqlite:///:memory:"
c.JupyterHub.cookie_secret = b"x" * 32
c.JupyterHub.load_groups = {{"lab": {{"users": ["ada"]}}}}
c.JupyterHub.services = [{{"name": "funcx"}}, {{"name": "maker", "api_token": "makermakermaker12"}}]
c.JupyterHub.load_roles = [
    {{"name": "maker", "scopes": ["admin:users", "tokens"], "services": ["maker"]}},
    {{"name": "user", "scopes": ["self", "access:services!service=funcx"]}},
]
c.Authenticator.allowed_users = {{"ada"}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def real_hub(tmp_path):
    program = os.environ.get("FUNCX_TEST_JUPYTERHUB") or shutil.which(
        "jupyterhub", path=str(Path(sys.executable).parent)
    )
    if not program:
        pytest.skip("no JupyterHub: install `jupyterhub`, or name its program in FUNCX_TEST_JUPYTERHUB")
    port = free_port()
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(textwrap.dedent(HUB_CONFIG.format(port=port, other=free_port())))
    with (tmp_path / "hub.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-f", str(config), cwd=tmp_path, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(60):
            while not await answers(f"http://127.0.0.1:{port}/hub/api/"):
                assert process.returncode is None, (tmp_path / "hub.log").read_text()
                await asyncio.sleep(0.2)
        yield f"http://127.0.0.1:{port}/hub/api"
    finally:
        process.terminate()
        await process.wait()


async def answers(url: str) -> bool:
    try:
        return (await AsyncHTTPClient().fetch(url, raise_error=False)).code == 200
    except OSError:
        return False


async def test_a_real_hub_says_the_same(real_hub, tmp_path):
    async def hub_token(body):
        reply = await AsyncHTTPClient().fetch(
            f"{real_hub}/users/ada/tokens",
            method="POST",
            headers={"Authorization": "token makermakermaker12"},
            body=json.dumps(body),
            request_timeout=30,
        )
        return json.loads(reply.body)["token"]

    auth = AuthConfig(jupyterhub=JupyterHubConfig(api_url=real_hub))
    async with a_service(tmp_path / "service", auth=auth) as service:
        token = await hub_token({"note": "a notebook"})
        assert (await whoami(service, token))["preferred_username"] == "ada@127.0.0.1"
        assert await chain_of(service).groups_of(await user_of(service, token)) == {"jupyterhub:lab"}
        narrow = await hub_token({"note": "narrow", "scopes": ["read:users:name!user"]})
        await refused(service, narrow)
        await refused(service, "0" * 32)
