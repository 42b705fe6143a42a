"""Signing in from a notebook, against a service whose users are those of Globus, and one with tokens of its own."""

from __future__ import annotations

import asyncio
import getpass
import json
import re
import time
from types import SimpleNamespace

import pytest

from funcx_core.home import home
from funcx_core.sdk.login_manager import LoginManager, login_flow
from funcx_core.sdk.settings import save_credentials, save_entry
from funcx_core.service.auth.config import AuthConfig, GlobusConfig
from funcx_jupyter.errors import AuthError
from funcx_jupyter.session.state import Session
from funcx_jupyter.verbs import account
from tests.support.fake_globus import FakeGlobus
from tests.support.webservice import ALICE, a_service


@pytest.fixture
def globus(monkeypatch):
    with FakeGlobus() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def service(tmp_path, globus, monkeypatch):
    client_id, secret = globus.add_client(service=True)
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(secret)
    config = GlobusConfig(client_id=client_id, client_secret_file=path)
    async with a_service(tmp_path / "service", auth=AuthConfig(globus=config)) as running:
        monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", running.web.address)
        yield running


@pytest.fixture
def somebody(globus, monkeypatch, capsys):
    """Ada, who opens the address that is shown and pastes the code."""
    ada = globus.add_identity("ada@example.org")

    def paste(_question):
        address = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("http"))
        return globus.sign_in_by_browser(address, ada)

    monkeypatch.setattr(login_flow, "_somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", paste)


def a_desk(*, may_ask=True):
    return SimpleNamespace(session=Session(), may_ask=lambda: may_ask)


async def refusal(session):
    with pytest.raises(AuthError) as raised:
        await asyncio.to_thread(session.connection.endpoints)
    assert raised.value._render_traceback_() == [f"AuthError: {raised.value}"]
    return str(raised.value)


def expire(seconds_ago):
    """Let the saved login be too old to be renewed."""
    store = LoginManager()._store
    ended = int(time.time() - seconds_ago)
    store.keep(
        {
            server: type(token).from_dict({**token.to_dict(), "expires_at_seconds": ended, "refresh_token": "gone"})
            for server, token in store.tokens().items()
        }
    )


async def test_a_login_with_globus_from_the_first_cell_to_its_end(service, somebody):
    host, desk = service.web.address.removesuffix("/v2"), a_desk()
    assert await refusal(desk.session) == f"You are not signed in to {host}. Run `%funcx login`."
    told = await asyncio.to_thread(account.login, desk, globus=True)
    assert repr(told) == f"You are ada@example.org at {host}, by a login with Globus."
    assert await asyncio.to_thread(desk.session.connection.endpoints) == []
    expire(3 * 3600 + 60)
    desk = a_desk()
    assert await refusal(desk.session) == f"Your sign-in for {host} expired 3 h ago. Run `%funcx login`."
    await asyncio.to_thread(account.login, desk)
    assert await asyncio.to_thread(desk.session.connection.endpoints) == []
    await asyncio.to_thread(account.logout, desk)
    assert await refusal(desk.session) == f"You are not signed in to {host}. Run `%funcx login`."
    desk.session.close()


async def test_where_nobody_can_be_asked_it_is_said_what_to_do(service):
    host = service.web.address.removesuffix("/v2")
    save_entry(service.web.address, {"login": "globus"})
    with pytest.raises(AuthError) as raised:
        await asyncio.to_thread(account.login, a_desk(may_ask=False), globus=True)
    assert str(raised.value) == (
        f"Nobody can be asked here: this front end takes no input. `%funcx login --code` needs none for {host}."
    )


async def test_a_token_is_pasted_checked_and_saved(service, monkeypatch):
    host, desk = service.web.address.removesuffix("/v2"), a_desk()
    pasted = iter(["fxt_wrong", service.alice])
    monkeypatch.setattr(getpass, "getpass", lambda _question: next(pasted))
    with pytest.raises(AuthError, match="Nothing was saved: This token is not known here"):
        await asyncio.to_thread(account.login, desk, token=True)
    assert not (home() / "credentials.json").exists()
    assert repr(await asyncio.to_thread(account.login, desk)) == f"You are alice at {host}, by the saved token."
    assert json.loads((home() / "credentials.json").read_text()) == {service.web.address: {"token": service.alice}}
    assert (home() / "credentials.json").stat().st_mode & 0o077 == 0


async def test_a_token_that_has_expired_or_is_not_known(service):
    host = service.web.address.removesuffix("/v2")
    save_credentials(service.web.address, await service.tokens.mint(ALICE, label="short", lifetime=0.001))
    await asyncio.sleep(0.01)
    said = await refusal(Session())
    assert re.fullmatch(rf"Your sign-in for {host} expired \d+ s ago\. Run `%funcx login`\.", said)
    save_credentials(service.web.address, "fxt_unknown")
    assert await refusal(Session()) == (
        f"Your sign-in for {host} is not accepted (this token is not known here). Run `%funcx login`."
    )
