"""Where the address and the token come from, in order."""

from __future__ import annotations

import stat

import pytest

from funcx_core.errors import AuthRequired, ConfigError, NotConfigured
from funcx_core.home import home
from funcx_core.sdk.settings import Settings, forget_credentials, load_settings, save_credentials


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in ("FUNCX_SERVICE_ADDRESS", "FUNCX_SDK_ENVIRONMENT", "FUNCX_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))


def test_nothing_known_is_an_error_that_says_how_to_start():
    with pytest.raises(NotConfigured, match="funcx up"):
        load_settings()


def test_the_address_comes_from_the_first_that_knows_one(monkeypatch):
    (home() / "service.json").write_text('{"service_address": "http://127.0.0.1:1/v2", "pid": 1}')
    assert load_settings().service_address == "http://127.0.0.1:1/v2"
    monkeypatch.setenv("FUNCX_SDK_ENVIRONMENT", "local")
    assert load_settings().service_address == "http://localhost:5000/v2"
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:2/")
    assert load_settings().service_address == "http://127.0.0.1:2/v2"
    assert load_settings("https://host").service_address == "https://host/v2"


def test_the_token_comes_from_the_first_that_knows_one(monkeypatch):
    address = "http://127.0.0.1:1/v2"
    assert load_settings(address).token == ""
    save_credentials(address, "saved")
    save_credentials("http://other", "another")
    assert load_settings(address).token == "saved"
    monkeypatch.setenv("FUNCX_TOKEN", "set")
    assert load_settings(address).token == "set"
    assert load_settings(address, "given").token == "given"


def test_credentials_are_private_and_can_be_forgotten():
    save_credentials("http://host", "secret")
    path = home() / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    forget_credentials("http://host")
    assert load_settings("http://host").token == ""
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_settings("http://host")


@pytest.mark.parametrize("address", ["host", "ftp://host", "http://", "127.0.0.1:5000"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match="not a service address"):
        load_settings(address)


def test_a_damaged_file_is_named():
    (home() / "service.json").write_text("{")
    with pytest.raises(ConfigError, match=r"service\.json cannot be read"):
        load_settings()


def test_an_unknown_environment_is_refused(monkeypatch):
    monkeypatch.setenv("FUNCX_SDK_ENVIRONMENT", "production")
    with pytest.raises(ConfigError, match="hosted services are gone"):
        load_settings()


def test_settings_know_the_stream_and_demand_a_token():
    settings = Settings("https://host:1/v2")
    assert settings.stream_address == "wss://host:1/v2/stream"
    with pytest.raises(AuthRequired, match="funcx token"):
        settings.require_token()
    assert Settings("http://h/v2", "t").require_token().headers == {"Authorization": "Bearer t"}
