"""Signing in by a short code, against a real service."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest

from funcx_core.errors import AuthRequired
from funcx_core.home import home
from funcx_core.sdk.login_manager import code_login
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.web import WebClient
from funcx_core.service import device_codes
from funcx_core.service.auth.config import AuthConfig
from funcx_core.service.auth.scopes import Scope
from tests.support.stored import ALICE
from tests.support.webservice import a_service


@pytest.fixture
async def service(tmp_path, monkeypatch):
    monkeypatch.setattr(device_codes, "INTERVAL", 0.05)
    async with a_service(tmp_path / "service") as running:
        monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", running.web.address)
        yield running


async def post_form(service, path, **form):
    response = await service.request("POST", path, raw=urlencode(form).encode(), token="none")
    return response.code, json.loads(response.body)


async def begin(service, **form):
    status, begun = await post_form(service, "oauth2/device_authorization", **form)
    assert status == 200, begun
    return begun


async def ask(service, begun):
    return await post_form(
        service, "oauth2/token", grant_type=code_login.DEVICE_GRANT, device_code=begun["device_code"]
    )


async def test_the_protocol_from_code_to_token(service):
    begun = await begin(service, label="ada on\ttheta", scope="read submit")
    page = f"{service.web.address.removesuffix('/v2')}/device"
    assert begun["verification_uri"] == page
    assert begun["verification_uri_complete"] == f"{page}#user_code={begun['user_code']}"
    assert begun["expires_in"] == 600
    status, told = await ask(service, begun)
    assert (status, told["error"]) == (400, "authorization_pending")
    found = await service.post("device_codes/find", {"user_code": begun["user_code"].lower()})
    assert found["label"] == "ada ontheta"
    assert found["scopes"] == ["read", "submit"]
    assert 590 < found["expires_in"] <= 600
    body = {"user_code": begun["user_code"], "approve": True}
    assert await service.post("device_codes/decide", body) == {"approved": True, "scopes": ["read", "submit"]}
    status, granted = await ask(service, begun)
    assert (status, granted["scope"], granted["token_type"]) == (200, "read submit", "Bearer")
    assert await service.get("endpoints", token=granted["access_token"]) == []
    assert (await service.request("GET", "tokens", token=granted["access_token"])).code == 403
    assert (await service.get("oauth2/userinfo", token=granted["access_token"]))["sub"] == ALICE.user_id
    status, told = await ask(service, begun)
    assert (status, told["error"]) == (400, "expired_token")
    (listed,) = [each for each in (await service.get("tokens"))["tokens"] if "code" in each["label"]]
    assert listed["label"] == "signed in by a code: ada ontheta"
    assert listed["expires_at"] is not None


async def test_who_may_only_look_lets_nobody_in(service):
    begun = await begin(service)
    looking = await service.tokens.mint(ALICE, label="status page", scopes=frozenset({Scope.READ}))
    body = {"user_code": begun["user_code"], "approve": True}
    refused = await service.post("device_codes/decide", body, token=looking, code=403)
    assert "scope 'tokens'" in refused["reason"]
    narrow = await service.tokens.mint(ALICE, label="narrow", scopes=frozenset({Scope.READ, Scope.TOKENS}))
    assert (await service.post("device_codes/decide", body, token=narrow))["scopes"] == ["read", "tokens"]
    assert (await ask(service, begun))[1]["scope"] == "read tokens"


async def test_what_is_refused(service):
    begun = await begin(service)
    unknown = await service.post("device_codes/find", {"user_code": "WDJB-MJHT"}, code=404)
    assert "No sign-in with the code 'WDJB-MJHT'" in unknown["reason"]
    status, told = await post_form(service, "oauth2/device_authorization", scope="everything")
    assert (status, told["error"]) == (400, "invalid_scope")
    status, told = await post_form(service, "oauth2/token", grant_type=code_login.DEVICE_GRANT, device_code="x")
    assert (status, told["error"]) == (400, "expired_token")
    for method in ("find", "decide"):
        body = {"user_code": begun["user_code"], "approve": True}
        assert (await service.request("POST", f"device_codes/{method}", body, token="")).code == 401
    await service.post("device_codes/decide", {"user_code": begun["user_code"], "approve": False})
    status, told = await ask(service, begun)
    assert (status, told["error"]) == (400, "access_denied")


async def test_tokens_last_no_longer_than_they_may(tmp_path):
    async with a_service(tmp_path / "service", auth=AuthConfig(most_token_days=1)) as service:
        begun = await begin(service)
        await service.post("device_codes/decide", {"user_code": begun["user_code"], "approve": True})
        assert (await ask(service, begun))[1]["expires_in"] == 86400


async def test_the_page_is_served_and_runs_nothing_foreign(service):
    response = await service.request("GET", "/device", token="")
    assert response.code == 200
    assert b"device.js" in response.body
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert (await service.request("GET", "/static/device.js", token="")).code == 200


# --- clients -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def a_client(service):
    """Yield a sign-in that waits, and the code that it shows."""
    said = asyncio.Queue()
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(
        asyncio.to_thread(
            code_login.sign_in_by_code,
            service.web.address,
            say=lambda line: loop.call_soon_threadsafe(said.put_nowait, line),
        )
    )
    line = await asyncio.wait_for(said.get(), 20)
    page, code = line.removesuffix(" (10 min)").removeprefix("Open ").split(" and enter ")
    assert page == f"{service.web.address.removesuffix('/v2')}/device"
    yield waiting, code


async def test_a_client_saves_the_token_for_its_user_alone(service):
    async with a_client(service) as (waiting, code):
        await service.post("device_codes/decide", {"user_code": code, "approve": True})
        assert await asyncio.wait_for(waiting, 20) == service.web.address
    path = home() / "credentials.json"
    assert path.stat().st_mode & 0o077 == 0
    token = json.loads(path.read_text())[service.web.address]["token"]
    assert (await service.get("oauth2/userinfo", token=token))["sub"] == ALICE.user_id


async def test_a_client_that_is_denied_says_so_and_saves_nothing(service):
    async with a_client(service) as (waiting, code):
        await service.post("device_codes/decide", {"user_code": code, "approve": False})
        with pytest.raises(AuthRequired, match="was denied on the page"):
            await asyncio.wait_for(waiting, 20)
    assert not (home() / "credentials.json").exists()


async def test_two_terminals_one_approves_what_the_other_asks(service, tmp_path):
    """The second one is signed in by FUNCX_TOKEN."""
    command = [sys.executable, "-u", "-m", "funcx_core.fabric.cli"]
    there = {**os.environ, "FUNCX_HOME": str(tmp_path / "there")}
    asking = await asyncio.create_subprocess_exec(
        *command, "login", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=there
    )
    line = (await asyncio.wait_for(asking.stdout.readline(), 60)).decode()
    code = line.split(" and enter ")[1].split()[0]
    approving = await asyncio.create_subprocess_exec(
        *command,
        "token",
        "approve",
        code,
        "--yes",
        stdout=subprocess.PIPE,
        env={**os.environ, "FUNCX_TOKEN": service.alice},
    )
    said, _ = await asyncio.wait_for(approving.communicate(), 60)
    assert b"asks to be signed in as you, with the rights: endpoints read submit tokens." in said
    said, _ = await asyncio.wait_for(asking.communicate(), 60)
    assert b"Signed in." in said
    token = json.loads((tmp_path / "there" / "credentials.json").read_text())[service.web.address]["token"]
    with_token = WebClient(Settings(service.web.address, token))
    assert (await asyncio.to_thread(with_token.get, "authenticate"))["username"] == "alice"
    with_token.close()
