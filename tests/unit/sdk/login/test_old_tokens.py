"""Tokens of funcX 0.x."""

from __future__ import annotations

import json

import pytest

from funcx_core.errors import ConfigError
from funcx_core.sdk.login_manager.old_tokens import FILE, OldToken, forget_old_tokens, old_tokens

SAVED = {
    "access_token": "Aold",
    "refresh_token": "Rold",
    "expires_at_seconds": 1663000000,
    "scope": "all",
    "token_type": "Bearer",
    "resource_server": "funcx_service",
}


def save(home, content):
    (home / FILE).parent.mkdir()
    (home / FILE).write_text(content)


def test_there_are_none_without_the_file(tmp_path):
    assert old_tokens(tmp_path) == {}


def test_they_are_read_and_from_then_on_private(tmp_path):
    save(tmp_path, json.dumps({"funcx_service": SAVED}))
    found = old_tokens(tmp_path)["funcx_service"]
    assert found == OldToken("Aold", "funcx_service", "all", "Rold", 1663000000, "Bearer")
    assert "Aold" not in repr(found)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_an_empty_file_has_none(tmp_path):
    save(tmp_path, "")
    assert old_tokens(tmp_path) == {}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    save(tmp_path, '{"funcx_service": 7}')
    with pytest.raises(ConfigError, match=r"funcx_sdk_tokens.json cannot be read"):
        old_tokens(tmp_path)


def test_forgetting_twice_is_once(tmp_path):
    save(tmp_path, "{}")
    forget_old_tokens(tmp_path)
    forget_old_tokens(tmp_path)
    assert not (tmp_path / FILE).exists()
