"""`%funcx config` and `%config FuncxMagics`: what a cell does when it does not say it itself."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from funcx_core.errors import ConfigError
from funcx_jupyter.errors import MagicArgumentError, UnknownEndpoint


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pyproject.toml"


def test_all_settings_are_listed_with_where_they_come_from(run, project):
    project.write_text("[tool.funcx]\nretries = 2\n")
    run("%config FuncxMagics.timeout = 60")
    lines = repr(run("%funcx config").value).splitlines()
    assert lines[0].split()[:3] == ["setting", "value", "from"]
    rows = {line.split()[0]: line for line in lines[1:]}
    assert rows["timeout"].split()[1:4] == ["60", "this", "kernel"]
    assert rows["retries"].split()[1:3] == ["2", str(project)]
    assert rows["env"].split()[1:3] == ["strict", "default"]


def test_a_setting_is_the_default_of_cells(run, project, connection):
    project.write_text("[tool.funcx]\nretries = 2\ntimeout = 60\n")
    run("%%funcx -q -t 5\n1")
    assert (connection.options[-1].retry_on_loss, connection.options[-1].walltime) == (2, 5.0)


def test_a_setting_of_the_kernel(run, project, connection, magics):
    assert "in this kernel" in repr(run("%funcx config retries 3").value)
    assert magics.retries == 3
    run("%%funcx -q\n1")
    assert connection.options[-1].retry_on_loss == 3
    assert repr(run("%funcx config retries --unset").value) == "retries is 0 now (default)."
    assert magics.retries is None


def test_a_setting_is_saved(run, project):
    assert repr(run("%funcx config priority -5 --save project").value) == f"priority = -5 in {project}."
    assert project.read_text() == "[tool.funcx]\npriority = -5\n"
    run("%funcx config stream no --save user")
    assert (project.parent / "home" / "config.toml").read_text() == "stream = false\n"
    told = repr(run("%funcx config priority 5 --save user").value)
    assert told.endswith(f"But {project} says -5, and that holds.")


def test_what_is_wrong_is_said_before_anything_is_sent(run, project, connection):
    before = len(connection.specs)
    project.write_text("[tool.funcx]\nretires = 2\n")
    ran = run("%%funcx\n1")
    assert isinstance(ran.error, ConfigError)
    assert ran.error._render_traceback_() == [
        f"ConfigError: `retires` in {project} is not a setting of %%funcx. Did you mean `retries`? `%funcx config` lists them."
    ]
    assert len(connection.specs) == before


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("config tmeout 3", ConfigError, "Did you mean `timeout`?"),
        ("config env lax", ConfigError, "It can be strict, warn, off."),
        ("config env warn --save world", ConfigError, "it can be user or project"),
        ("config env warn --unset", MagicArgumentError, "Either a value or --unset"),
        ("config token x --save user", ConfigError, "is a secret"),
    ],
)
def test_what_config_refuses(run, project, line, kind, message):
    error = run(f"%funcx {line}").error
    assert isinstance(error, kind)
    assert message in str(error)


def test_traits_say_what_they_take(magics):
    with pytest.raises(TraitError, match="It can be strict, warn, off"):
        magics.env = "lax"
    assert "refuse the cell" in magics.traits()["env"].help


def test_the_metadata_of_a_cell_choose_its_endpoint(run, project, shell, monkeypatch):
    monkeypatch.setattr(shell, "parent_header", {"metadata": {"funcx": {"endpoint": "nowhere"}}}, raising=False)
    assert isinstance(run("%%funcx\n1").error, UnknownEndpoint)
