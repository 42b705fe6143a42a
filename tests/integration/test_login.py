"""Signing in with Globus Auth, from the client's side: a fake of it on the loopback, and real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from funcx_core.errors import AuthRequired, ServiceUnavailable
from funcx_core.sdk.login_manager import LoginManager, LoginManagerProtocol, login_flow
from funcx_core.sdk.login_manager.old_tokens import FILE as OLD_FILE
from tests.support.fake_globus import NATIVE_CLIENT, FakeGlobus


@pytest.fixture(scope="module")
def running():
    with FakeGlobus() as globus:
        yield globus


@pytest.fixture
def globus(running, monkeypatch):
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    running.requests.clear()
    return running


@pytest.fixture
def ada(globus):
    return globus.add_identity("ada@example.org")


@pytest.fixture
def manager():
    return LoginManager()


@pytest.fixture
def at_the_terminal(globus, ada, monkeypatch, capsys):
    """Somebody who opens the address that is shown and pastes the code."""

    def paste(_question):
        address = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("http"))
        return f" {globus.sign_in_by_browser(address, ada)} "

    monkeypatch.setattr(login_flow, "_somebody_is_there", lambda: True)
    monkeypatch.setattr("builtins.input", paste)


def header_of(manager):
    return manager.get_funcx_web_client(base_url="http://127.0.0.1:1/v2").authorizer.get_authorization_header()


def whose(globus, header):
    return globus.tokens[header.removeprefix("Bearer ")].identity


def test_it_follows_the_protocol(manager):
    assert isinstance(manager, LoginManagerProtocol)


def test_a_person_signs_in_once(globus, ada, manager, at_the_terminal):
    manager.ensure_logged_in()
    manager.ensure_logged_in()
    assert globus.count("/v2/oauth2/authorize") == 1
    assert whose(globus, header_of(manager)) is ada
    assert globus.tokens[header_of(manager).removeprefix("Bearer ")].scopes == [LoginManager.SCOPES["funcx_service"][0]]


def test_another_process_finds_the_tokens(globus, ada, manager, at_the_terminal):
    manager.ensure_logged_in()
    script = (
        "from funcx.sdk.login_manager import LoginManager\n"
        "manager = LoginManager()\n"
        "manager.ensure_logged_in()\n"
        "print(manager.get_auth_client().userinfo()['preferred_username'])\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.stdout, found.stderr) == ("ada@example.org\n", "")


def test_forcing_a_login_gives_new_tokens(globus, manager, at_the_terminal):
    manager.ensure_logged_in()
    before = header_of(manager)
    manager.run_login_flow()
    assert header_of(manager) != before


def test_each_environment_has_a_login_of_its_own(manager, at_the_terminal, monkeypatch):
    manager.ensure_logged_in()
    monkeypatch.setenv("FUNCX_SDK_ENVIRONMENT", "local")
    other = LoginManager()
    with pytest.raises(AuthRequired, match="no token for funcx_service"):
        header_of(other)


def test_a_token_that_expired_is_renewed_and_the_new_one_kept(globus, manager, at_the_terminal):
    manager.ensure_logged_in()
    authorizer = manager.get_funcx_web_client().authorizer
    before = authorizer.get_authorization_header()
    globus.expire(before.removeprefix("Bearer "))
    assert authorizer.handle_missing_authorization()
    after = authorizer.get_authorization_header()
    assert after != before
    assert header_of(manager) == after


def test_a_login_that_was_revoked_elsewhere_says_what_to_type(globus, manager, at_the_terminal):
    manager.ensure_logged_in()
    authorizer = manager.get_funcx_web_client().authorizer
    authorizer.get_authorization_header()
    for token in globus.tokens.values():
        token.active = False
    authorizer.handle_missing_authorization()
    with pytest.raises(AuthRequired, match="Sign in again: `funcx login`"):
        authorizer.get_authorization_header()


def test_logout_makes_the_tokens_worthless(globus, ada, manager, at_the_terminal):
    manager.ensure_logged_in()
    assert manager.logout() is True
    assert not any(token.active for token in globus.tokens.values() if token.identity is ada)
    with pytest.raises(AuthRequired):
        header_of(manager)
    assert manager.logout() is False


def test_logout_without_globus_forgets_nothing(globus, manager, at_the_terminal, monkeypatch):
    manager.ensure_logged_in()
    globus.broken = 100  # globus-sdk itself tries a few times, with pauses
    monkeypatch.setattr(time, "sleep", lambda _: None)
    try:
        with pytest.raises(ServiceUnavailable, match="Globus Auth answers 503"):
            manager.logout()
    finally:
        globus.broken = 0
    assert header_of(manager)


def test_a_wrong_code_says_so(globus, manager, at_the_terminal, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "not-a-code")
    with pytest.raises(AuthRequired, match="does not take this code"):
        manager.ensure_logged_in()


def test_without_a_terminal_the_error_says_what_else_there_is(globus):
    script = "from funcx.sdk.login_manager import LoginManager; LoginManager().ensure_logged_in()"
    found = subprocess.run(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "AuthRequired: Signing in needs somebody who pastes a code" in found.stderr
    assert "FUNCX_SDK_CLIENT_ID" in found.stderr


# --- programs ----------------------------------------------------------------------------------------------------


def test_a_program_signs_in_by_itself(globus, manager, monkeypatch):
    client_id, secret = globus.add_client()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)
    manager.ensure_logged_in()
    assert header_of(manager) == header_of(manager)
    assert whose(globus, header_of(manager)).sub == client_id
    assert globus.count("/v2/oauth2/token") == 1
    manager.logout()
    assert not any(token.active for token in globus.tokens.values() if token.client_id == client_id)


def test_a_program_with_a_wrong_secret_hears_which_variables_to_look_at(globus, manager, monkeypatch):
    client_id, _ = globus.add_client()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", "wrong-secret")
    with pytest.raises(AuthRequired, match="FUNCX_SDK_CLIENT_SECRET right") as caught:
        header_of(manager)
    assert "wrong-secret" not in str(caught.value)


# --- what 0.x left -----------------------------------------------------------------------------------------------


def test_tokens_of_0_x_are_taken_over(globus, ada, manager, tmp_path):
    old = {}
    for resource_server, scopes in LoginManager.SCOPES.items():
        access = globus._mint(ada, NATIVE_CLIENT, scopes)
        refresh = globus._mint(ada, NATIVE_CLIENT, scopes, refreshes=True)
        old[resource_server] = {
            "access_token": access.text,
            "refresh_token": refresh.text,
            "expires_at_seconds": 1663000000,
            "scope": " ".join(scopes),
            "token_type": "Bearer",
            "resource_server": resource_server,
        }
    path = tmp_path / "funcx-home" / OLD_FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(old))
    manager.ensure_logged_in()
    assert whose(globus, header_of(manager)) is ada
    assert globus.count("/v2/oauth2/authorize") == 0
    manager.logout()
    assert not path.exists()
    assert LoginManager().logout() is False


# --- many at a time ----------------------------------------------------------------------------------------------

PROCESSES = 6

_WRITER = """
import sys, time
from pathlib import Path
from globus_sdk.token_storage import TokenStorageData
from funcx_core.sdk.login_manager.token_store import TokenStore
path, me, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
time.sleep(max(0, start - time.time()))
store = TokenStore(path, "user/production")
for turn in range(25):
    store.keep({me: TokenStorageData(me, None, "all", f"A{turn}", None, 1 << 33, "Bearer")})
    assert store.tokens()[me].access_token == f"A{turn}"
"""


def test_processes_that_start_together_share_one_file(tmp_path):
    path = tmp_path / "storage.db"
    start = str(time.time() + 2)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), f"server-{number}", start],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for number in range(PROCESSES)
    ]
    said = [process.communicate(timeout=90)[1] for process in processes]
    assert said == [""] * PROCESSES
    from funcx_core.sdk.login_manager.token_store import TokenStore

    store = TokenStore(path, "user/production")
    assert {name: token.access_token for name, token in store.tokens().items()} == {
        f"server-{number}": "A24" for number in range(PROCESSES)
    }


def test_threads_share_one_authorizer(globus, manager, monkeypatch):
    client_id, secret = globus.add_client()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)
    authorizer = manager.get_funcx_web_client().authorizer
    found = []
    threads = [threading.Thread(target=lambda: found.append(authorizer.get_authorization_header())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert globus.count("/v2/oauth2/token") == 1
