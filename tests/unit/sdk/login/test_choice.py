"""As whom a client goes, when no argument says it."""

from __future__ import annotations

import json

import pytest

from funcx_core.errors import AuthRequired, ConfigError
from funcx_core.sdk.login_manager.choice import GlobusLogin, LoginAuthorizer
from funcx_core.sdk.login_manager.client_login import ServiceClientAuthorizer
from funcx_core.sdk.settings import load_settings, save_credentials, save_entry

ADDRESS = "http://127.0.0.1:4711/v2"
ID = "5a0b3c6e-1111-4222-8333-444455556666"


def set_pair(monkeypatch, secret):
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", ID)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)


def test_id_and_secret_of_a_service_are_shown_to_it_alone(monkeypatch):
    set_pair(monkeypatch, "fxs_abc")
    assert isinstance(load_settings(ADDRESS).authorizer, ServiceClientAuthorizer)


def test_any_other_id_and_secret_are_of_globus(monkeypatch):
    set_pair(monkeypatch, "abc")
    assert isinstance(load_settings(ADDRESS).authorizer, LoginAuthorizer)


def test_settings_of_the_same_pair_are_equal_and_of_another_not(monkeypatch):
    for first, second in (("fxs_abc", "fxs_other"), ("abc", "other")):
        set_pair(monkeypatch, first)
        before = load_settings(ADDRESS)
        assert load_settings(ADDRESS) == before
        set_pair(monkeypatch, second)
        assert load_settings(ADDRESS) != before


def test_a_token_comes_before_id_and_secret(monkeypatch):
    set_pair(monkeypatch, "fxs_abc")
    monkeypatch.setenv("FUNCX_TOKEN", "set")
    assert load_settings(ADDRESS).token == "set"


def test_id_and_secret_come_before_what_is_saved(monkeypatch):
    save_credentials(ADDRESS, "saved")
    set_pair(monkeypatch, "fxs_abc")
    assert load_settings(ADDRESS).token == ""


def test_half_a_pair_is_an_error(monkeypatch):
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", ID)
    with pytest.raises(ConfigError, match="FUNCX_SDK_CLIENT_SECRET is not set"):
        load_settings(ADDRESS)


def test_a_saved_login_is_used_in_place_of_a_token():
    save_entry(ADDRESS, {"login": "globus", "environment": "lab"})
    settings = load_settings(ADDRESS)
    assert settings.authorizer == LoginAuthorizer(GlobusLogin("lab"), None, None)
    with pytest.raises(AuthRequired, match="Run `funcx login`"):
        _ = settings.headers


@pytest.mark.parametrize("entry", [{"login": "other"}, {"login": "globus", "environment": 7}])
def test_a_saved_login_that_cannot_be_read_says_how_to_make_it_anew(entry, tmp_path):
    save_entry(ADDRESS, entry)
    with pytest.raises(ConfigError, match="Sign in again: `funcx login"):
        load_settings(ADDRESS)


def test_what_is_saved_for_other_services_stays(tmp_path):
    save_credentials("http://other", "kept")
    save_entry(ADDRESS, {"login": "globus"})
    saved = json.loads((tmp_path / "funcx-home" / "credentials.json").read_text())
    assert saved == {"http://other/v2": {"token": "kept"}, ADDRESS: {"login": "globus"}}
