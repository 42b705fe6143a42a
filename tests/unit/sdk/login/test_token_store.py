"""The file of tokens."""

from __future__ import annotations

import json
import sqlite3

import pytest
from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData

from funcx_core.errors import ConfigError
from funcx_core.sdk.login_manager.token_store import TokenStore

OLD = {
    "scope": "all",
    "access_token": "Aold",
    "refresh_token": "Rold",
    "token_type": "Bearer",
    "expires_at_seconds": 1663000000,
    "resource_server": "funcx_service",
}


def a_token(text="Aa1", resource_server="funcx_service"):
    return TokenStorageData(
        resource_server=resource_server,
        identity_id=None,
        scope="all",
        access_token=text,
        refresh_token=None,
        expires_at_seconds=1 << 33,
        token_type="Bearer",
    )


@pytest.fixture
def open_store(tmp_path):
    return lambda namespace="user/production": TokenStore(tmp_path / "storage.db", namespace)


def test_what_is_kept_is_found_by_another_process(open_store):
    open_store().keep({"funcx_service": a_token("Aa1")})
    assert open_store().tokens()["funcx_service"].access_token == "Aa1"


def test_a_newer_token_takes_the_place_of_an_older_one(open_store):
    store = open_store()
    store.keep({"funcx_service": a_token("Aa1")})
    store.keep({"funcx_service": a_token("Aa2")})
    assert store.tokens()["funcx_service"].access_token == "Aa2"


def test_each_environment_has_tokens_of_its_own(open_store):
    open_store("user/production").keep({"funcx_service": a_token()})
    assert open_store("user/local").tokens() == {}


def test_removing_forgets_the_named_ones_only(open_store):
    store = open_store()
    store.keep({"a": a_token("1", "a"), "b": a_token("2", "b")})
    store.remove(["a", "c"])
    assert list(store.tokens()) == ["b"]


def test_only_the_user_may_read_the_file(open_store, tmp_path):
    open_store().tokens()
    assert (tmp_path / "storage.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_others_may_read_is_refused(open_store, tmp_path):
    (tmp_path / "storage.db").touch(0o644)
    (tmp_path / "storage.db").chmod(0o644)
    with pytest.raises(ConfigError, match=r"Others may read .* chmod 600"):
        open_store().tokens()


def test_a_file_that_is_no_database_is_refused(open_store, tmp_path):
    path = tmp_path / "storage.db"
    path.touch(0o600)
    path.write_bytes(b"not a database, whatever its name says" * 40)
    with pytest.raises(ConfigError, match="cannot be used: file is not a database"):
        open_store().tokens()


def test_an_empty_file_of_a_process_that_died_is_used(open_store, tmp_path):
    (tmp_path / "storage.db").touch(0o600)
    open_store().keep({"funcx_service": a_token()})
    assert "funcx_service" in open_store().tokens()


def test_rows_that_funcx_1_0_6_wrote_are_read(open_store, tmp_path):
    """Its version of globus-sdk made another table beside, and no `identity_id`."""
    path = tmp_path / "storage.db"
    path.touch(0o600)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE token_storage (namespace VARCHAR NOT NULL, resource_server VARCHAR NOT NULL, "
            "token_data_json VARCHAR NOT NULL, PRIMARY KEY (namespace, resource_server))"
        )
        connection.execute(
            "INSERT INTO token_storage VALUES ('user/production', 'funcx_service', ?)",
            (json.dumps(OLD),),
        )
    connection.close()
    found = open_store().tokens()["funcx_service"]
    assert (found.access_token, found.refresh_token, found.expires_at_seconds) == ("Aold", "Rold", 1663000000)


def test_globus_sdk_alone_reads_what_was_kept(open_store, tmp_path):
    open_store().keep({"funcx_service": a_token("Aa1")})
    plain = SQLiteTokenStorage(tmp_path / "storage.db", namespace="user/production")
    assert plain.get_token_data("funcx_service").access_token == "Aa1"
    plain.close()
