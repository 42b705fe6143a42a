"""``service.toml``, the environment and the flags."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from funcx_core.errors import ConfigError
from funcx_core.service import config_file
from funcx_core.service.config import ServiceConfig


def load(folder: Path, text: str = "", **more) -> ServiceConfig:
    (folder / "service.toml").write_text(text)
    return config_file.load(folder, **more)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    assert config_file.load(tmp_path) == ServiceConfig(data_dir=tmp_path)


def test_flags_count_more_than_the_environment_and_that_more_than_the_file(tmp_path: Path) -> None:
    environ = {
        "FUNCX_SERVICE__LISTEN__PORT": "2",
        "FUNCX_SERVICE__LISTEN__HOST": "127.0.0.2",
        "FUNCX_SERVICE_ADDRESS": "x",
    }
    found = load(
        tmp_path,
        '[listen]\nport = 1\nhost = "127.0.0.3"\npublic_name = "here"\n',
        environ=environ,
        flags={"listen.port": 3},
    )
    assert (found.listen.port, found.listen.host, found.listen.public_name) == (3, "127.0.0.2", "here")


def test_lists_and_numbers_come_from_the_environment_too(tmp_path: Path) -> None:
    environ = {
        "FUNCX_SERVICE__FORWARDER__PORTS": "1, 2, 3",
        "FUNCX_SERVICE__LISTEN__ALLOWED_HOSTS": "a,b",
        "FUNCX_SERVICE__LISTEN__INSECURE": "true",
        "FUNCX_SERVICE__RETENTION__RESULTS": "0.5",
    }
    found = config_file.load(tmp_path, environ=environ)
    assert found.forwarder.ports == (1, 2, 3)
    assert found.listen.allowed_hosts == {"a", "b"}
    assert found.listen.insecure is True
    assert found.retention.results == 0.5


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[listen]\nprot = 1\n", "listen.port"),
        ("port = 1\n", "listen.port"),
        ("[retention]\nresutls = 1\n", "retention.results"),
        ("[limit]\nmax_batch = 1\n", "limits.max_batch"),
    ],
)
def test_a_mistyped_key_names_the_one_that_was_meant(tmp_path: Path, text: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        load(tmp_path, text)


def test_a_mistyped_variable_names_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean FUNCX_SERVICE__LISTEN__PORT"):
        config_file.load(tmp_path, environ={"FUNCX_SERVICE__LISTEN__PROT": "1"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[listen]\nport = "many"\n', "listen.port: Expected"),
        ("[listen\n", "is not TOML"),
        ("[logs]\nfile = 3\n", "logs.file: Expected"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, text)


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        config_file.load(tmp_path, file=tmp_path / "other.toml")


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    found = load(tmp_path, '[listen]\ncertificate = "chain.pem"\nkey = "/etc/key.pem"\n')
    assert found.listen.certificate == tmp_path / "chain.pem"
    assert found.listen.key == Path("/etc/key.pem")


def test_the_printed_settings_give_the_same_settings(tmp_path: Path) -> None:
    config = load(tmp_path, '[listen]\nallowed_hosts = ["a", "b"]\nport = 7\n[rate]\nper_second = 2.5\n')
    assert load(tmp_path, config_file.effective(config)) == config


def test_the_example_explains_every_key_and_changes_nothing(tmp_path: Path) -> None:
    text = config_file.example(ServiceConfig(data_dir=tmp_path))
    assert load(tmp_path, text) == ServiceConfig(data_dir=tmp_path)
    assert all(setting.meaning for setting in config_file.settings())
    uncommented = "\n".join(line[1:] if line.startswith("#") and line[1] != " " else line for line in text.splitlines())
    assert set(_names(tomllib.loads(uncommented))) == {setting.name for setting in config_file.settings()}


def _names(values: dict, path: tuple[str, ...] = ()) -> list[str]:
    return [
        name
        for key, value in values.items()
        for name in (_names(value, (*path, key)) if isinstance(value, dict) else [".".join((*path, key))])
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[listen]\nhost = "0.0.0.0"\n', "without TLS"),
        ('[listen]\ncertificate = "a"\n', "set together"),
        ("[forwarder]\nheartbeat_period = 40.0\n", "must be longer"),
        ("[listen]\nport = 70000\n", "not a port"),
        ("[retention]\nresults = -1\n", "retention.results is -1"),
        ("[rate]\nburst = 0\n", "more than 0"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, text).check()


def test_only_plain_words_let_it_listen_without_tls(tmp_path: Path) -> None:
    load(tmp_path, '[listen]\nhost = "0.0.0.0"\ninsecure = true\n').check()
    load(tmp_path, '[listen]\nhost = "0.0.0.0"\ncertificate = "a"\nkey = "b"\n').check()


def test_the_channels_of_endpoints_may_be_public_while_http_is_not(tmp_path: Path) -> None:
    config = load(tmp_path, '[forwarder]\nhost = "0.0.0.0"\npublic_address = "198.51.100.7"\n')
    config.check()
    assert (config.forwarder_host, config.forwarder_address) == ("0.0.0.0", "198.51.100.7")
