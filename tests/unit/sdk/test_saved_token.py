"""Who signs in again elsewhere is followed, where the token came from a file."""

from __future__ import annotations

import pytest

from funcx_core.home import home
from funcx_core.sdk.settings import CREDENTIALS_FILE, forget_credentials, load_settings, save_credentials, save_entry

ADDRESS = "http://127.0.0.1:1/v2"


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    monkeypatch.delenv("FUNCX_TOKEN", raising=False)
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    save_credentials(ADDRESS, "old")


def test_another_token_in_the_file_is_taken():
    settings = load_settings(ADDRESS)
    assert settings.follows_sign_ins
    assert not settings.renew()
    save_credentials(ADDRESS, "new")
    assert settings.headers == {"Authorization": "Bearer old"}
    assert settings.renew()
    assert settings.headers == {"Authorization": "Bearer new"}
    assert not settings.renew()


@pytest.mark.parametrize(
    "change",
    [
        lambda: forget_credentials(ADDRESS),
        lambda: save_entry(ADDRESS, {"login": "globus"}),
        lambda: (home() / CREDENTIALS_FILE).write_text("{"),
        lambda: (home() / CREDENTIALS_FILE).chmod(0o644),
    ],
)
def test_without_one_nothing_changes(change):
    settings = load_settings(ADDRESS)
    change()
    assert not settings.renew()
    assert settings.headers == {"Authorization": "Bearer old"}


def test_a_token_that_was_given_is_not_looked_for_elsewhere(monkeypatch):
    for settings in (load_settings(ADDRESS, "given"), load_settings("http://127.0.0.1:2/v2")):
        assert not settings.follows_sign_ins
    monkeypatch.setenv("FUNCX_TOKEN", "set")
    assert not load_settings(ADDRESS).follows_sign_ins
    assert not load_settings(ADDRESS).renew()


def test_settings_are_equal_while_the_file_is_the_same():
    before = load_settings(ADDRESS)
    assert before == load_settings(ADDRESS)
    save_credentials(ADDRESS, "new")
    assert before != load_settings(ADDRESS)
    before.renew()
    assert before != load_settings(ADDRESS)  # A kernel opens another connection then, which does no harm.
