"""`%funcx doctor`: a table of what is well and what is not, whatever the state of things."""

from __future__ import annotations

import pytest
from msgspec import structs

from funcx_core import __version__
from funcx_core.protocol.environment import Environment
from funcx_core.sdk.checkup import Finding
from funcx_jupyter.verbs import doctor
from tests.unit.jupyter.fake_service import LOCAL

WELL = [Finding("address", "answers"), Finding("sign-in", "you are ada")]


@pytest.fixture
def examined(run, monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def examine(service=WELL):
        monkeypatch.setattr(doctor, "examine_service", lambda: service)
        lines = repr(run("%funcx doctor").value).splitlines()[1:]
        return {line.split()[1]: (line[0], line) for line in lines}

    return examine


def test_all_is_well(examined, connection):
    connection.reported = [Environment(python_version="3.11.1", version=__version__)]
    found = examined()
    assert list(found) == ["python", "packages", "disk", "settings", "address", "sign-in", "endpoints", "local"]
    assert {mark for mark, _ in found.values()} == {"✓"}
    assert "online: local" in found["endpoints"][1]


def test_nobody_is_signed_in(examined):
    found = examined([Finding("address", "answers"), Finding("sign-in", "No token.", "Run: funcx login")])
    assert found["sign-in"][0] == "✗"
    assert found["sign-in"][1].endswith("Run `%funcx login`")
    assert "endpoints" not in found


def test_an_endpoint_of_another_version(examined, connection):
    connection.reported = [Environment(python_version="3.11.1", version="9.0.1")]
    assert examined()["local"][1].endswith(f"Install funcx-workbench {__version__} there, and restart local.")


def test_no_endpoint_is_online(examined, connection, monkeypatch):
    monkeypatch.setattr(connection, "rows", [structs.replace(LOCAL, is_online=False)])
    found = examined()["endpoints"]
    assert found[0] == "✗"
    assert found[1].endswith("Run `%funcx start local`")


def test_a_settings_file_with_a_mistake(examined, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.funcx]\nretires = 1")
    found = examined()["settings"]
    assert found[0] == "✗"
    assert "Did you mean `retries`?" in found[1]
