"""Signing in as a program."""

from __future__ import annotations

import pytest

from funcx_core.errors import ConfigError
from funcx_core.sdk.login_manager.client_login import ClientCredentials, client_credentials

ID = "5a0b3c6e-1111-4222-8333-444455556666"


def set_pair(monkeypatch, client_id, secret):
    monkeypatch.setenv("FUNCX_SDK_CLIENT_ID", client_id)
    monkeypatch.setenv("FUNCX_SDK_CLIENT_SECRET", secret)


def test_without_variables_nobody_signs_in_as_a_program():
    assert client_credentials() is None


def test_id_and_secret_come_from_the_environment(monkeypatch):
    set_pair(monkeypatch, ID.upper(), "s3")
    assert client_credentials() == ClientCredentials(ID, "s3")


@pytest.mark.parametrize(
    ("client_id", "secret", "missing"),
    [(ID, "", "FUNCX_SDK_CLIENT_SECRET is not set"), ("", "s3", "FUNCX_SDK_CLIENT_ID is not set")],
)
def test_half_a_pair_is_an_error_that_names_the_other_half(monkeypatch, client_id, secret, missing):
    set_pair(monkeypatch, client_id, secret)
    with pytest.raises(ConfigError, match=missing):
        client_credentials()


def test_a_name_in_place_of_the_id_is_an_error(monkeypatch):
    set_pair(monkeypatch, "my client", "s3")
    with pytest.raises(ConfigError, match="'my client', which is no UUID"):
        client_credentials()


def test_the_secret_is_not_shown():
    assert "s3cret" not in repr(ClientCredentials(ID, "s3cret"))


def test_secrets_of_a_funcx_service_are_told_by_how_they_begin():
    assert ClientCredentials(ID, "fxs_abc").is_of_service
    assert not ClientCredentials(ID, "abc").is_of_service
