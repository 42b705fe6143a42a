"""Settings that are asked for often are read when they have changed."""

from __future__ import annotations

import pytest

from funcx_core.errors import ConfigError, NotConfigured
from funcx_core.home import home, write_private
from funcx_core.sdk.settings import Settings, forget_credentials, load_settings, save_credentials
from funcx_core.sdk.settings_watch import _VARIABLES, SettingsWatch

ADDRESS = "http://127.0.0.1:1/v2"


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))


def started(address: str = ADDRESS) -> None:
    write_private(home() / "service.json", b'{"service_address": "%s"}' % address.encode())


@pytest.fixture
def reads():
    return []


@pytest.fixture
def watch(reads):
    def load():
        reads.append(1)
        return load_settings()

    return SettingsWatch(load)


def test_what_has_not_changed_is_read_once(watch, reads):
    started()
    save_credentials(ADDRESS, "token")
    assert {(watch().service_address, watch().token) for _ in range(5)} == {(ADDRESS, "token")}
    assert len(reads) == 1


def test_each_change_is_seen_at_once(watch, monkeypatch):
    started()
    assert watch() == Settings(ADDRESS, "")
    save_credentials(ADDRESS, "one")
    assert watch().token == "one"
    save_credentials(ADDRESS, "two")
    assert watch().token == "two"
    started("http://127.0.0.1:2/v2")
    assert watch() == Settings("http://127.0.0.1:2/v2", "")
    started()
    forget_credentials(ADDRESS)
    assert watch().token == ""
    monkeypatch.setenv("FUNCX_TOKEN", "set")
    assert watch().token == "set"
    monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", "http://127.0.0.1:3/v2")
    assert watch().service_address == "http://127.0.0.1:3/v2"
    monkeypatch.delenv("FUNCX_SERVICE_ADDRESS")
    monkeypatch.setenv("FUNCX_SDK_ENVIRONMENT", "local")
    assert watch().service_address == "http://localhost:5000/v2"


def test_a_file_that_is_written_in_place_is_seen(watch):
    started()
    assert watch().service_address == ADDRESS
    path = home() / "service.json"
    path.write_text('{"service_address": "http://127.0.0.1:9/v2"}')
    assert watch().service_address == "http://127.0.0.1:9/v2"


def test_an_error_is_raised_until_it_is_mended(watch, tmp_path, monkeypatch):
    with pytest.raises(NotConfigured):
        watch()
    started()
    assert watch().service_address == ADDRESS
    save_credentials(ADDRESS, "token")
    watch()
    (home() / "credentials.json").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        watch()
    (home() / "credentials.json").chmod(0o600)
    assert watch().token == "token"
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "other"))
    with pytest.raises(NotConfigured):
        watch()


def test_a_program_with_an_id_of_its_own_is_another_one(watch, monkeypatch):
    started()
    assert watch().authorizer is None
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", "00000000-0000-4000-8000-000000000001")
    with pytest.raises(ConfigError):
        watch()
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", "secret")
    assert watch().authorizer is not None
    assert watch().authorizer is not watch().authorizer
