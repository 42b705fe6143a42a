"""The section [auth] of service.toml."""

from __future__ import annotations

import msgspec
import pytest

from funcx_core.errors import ConfigError
from funcx_core.service.auth.config import AuthConfig, GlobusConfig, JupyterHubConfig
from funcx_core.service.config import ServiceConfig
from funcx_core.service.config_file import load

ID = "5a0b3c6e-1111-4222-8333-444455556666"


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text("s3cret\n")
    return path


def test_everything_is_read_from_toml(secret):
    text = f"""
        remember_seconds = 10
        most_token_days = 90
        [globus]
        client_id = "{ID}"
        client_secret_file = "{secret}"
        [jupyterhub]
        api_url = "https://hub.example.org/hub/api"
    """
    config = msgspec.toml.decode(text, type=AuthConfig, dec_hook=lambda kind, value: kind(value))
    config.check()
    assert config.globus is not None
    assert config.globus.secret() == "s3cret"
    assert config.jupyterhub == JupyterHubConfig(api_url="https://hub.example.org/hub/api", service="funcx")


def test_a_mistyped_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="client_di"):
        msgspec.toml.decode('[globus]\nclient_di = "x"', type=AuthConfig)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (AuthConfig(remember_seconds=31), "0 to 30"),
        (AuthConfig(client_token_hours=0), "more than 0"),
        (AuthConfig(jupyterhub=JupyterHubConfig(api_url="hub")), "it looks like https"),
        (AuthConfig(jupyterhub=JupyterHubConfig(api_url="http://hub.example.org/hub/api")), "in the clear"),
    ],
)
def test_what_cannot_be_is_refused_with_the_service(config, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        ServiceConfig(data_dir=tmp_path, auth=config).check()


def test_a_hub_on_this_machine_needs_no_tls():
    AuthConfig(jupyterhub=JupyterHubConfig(api_url="http://127.0.0.1:8081/hub/api")).check()


def test_a_secret_that_others_may_read_is_refused(secret):
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        GlobusConfig(client_id=ID, client_secret_file=secret).check()


def test_a_secret_that_is_not_there_or_empty_is_refused(secret, tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        GlobusConfig(client_id=ID, client_secret_file=tmp_path / "none").check()
    secret.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        GlobusConfig(client_id=ID, client_secret_file=secret).check()
    with pytest.raises(ConfigError, match="no UUID"):
        GlobusConfig(client_id="me", client_secret_file=secret).check()


def test_service_toml_has_it_as_a_section(secret, tmp_path):
    folder = tmp_path / "service"
    folder.mkdir(mode=0o700)
    (folder / "service.toml").write_text(
        f'[auth.globus]\nclient_id = "{ID}"\nclient_secret_file = "../secret"\n[auth]\nremember_seconds = 3\n'
    )
    config = load(folder)
    config.check()
    assert config.auth.remember_seconds == 3
    assert config.auth.globus is not None
    assert config.auth.globus.secret() == "s3cret"
