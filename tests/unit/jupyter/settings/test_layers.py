"""Which of several settings holds, and what is refused."""

from __future__ import annotations

import json

import pytest

from funcx_core.errors import ConfigError
from funcx_jupyter.settings import files
from funcx_jupyter.settings.keys import SETTINGS, convert
from funcx_jupyter.settings.layers import Configuration, Found

SECRET = (
    " in {} is a secret: whoever can read the file can use it. Remove it there; `%funcx login` keeps tokens where only you "
    "can read them."
)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A home, a project with a folder below, and a notebook there."""
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    return tmp_path


def configuration_in(places, **environ):
    made = Configuration(environ, lambda: places / "project" / "deep")
    made.notebook = places / "project" / "deep" / "a.ipynb"
    return made


def write(places, *, user="", project="", notebook=None):
    (places / "home" / "config.toml").write_text(user)
    (places / "project" / "pyproject.toml").write_text(project)
    if notebook is not None:
        content = {"cells": [], "metadata": {"kernelspec": {}, "funcx": notebook}, "nbformat": 4}
        (places / "project" / "deep" / "a.ipynb").write_text(json.dumps(content))


def test_nothing_is_set(places):
    configuration = configuration_in(places)
    assert configuration.found() == {}
    assert configuration.endpoint() is None
    assert configuration.defaults() == {}


def test_each_place_is_stronger_than_the_next(places):
    write(
        places,
        user="endpoint = 'user'\nretries = 1",
        project="[tool.funcx]\nendpoint = 'project'",
        notebook={"endpoint": "notebook"},
    )
    configuration = configuration_in(places, FUNCX_ENDPOINT="environment")
    configuration.cell = {"endpoint": "cell"}
    configuration.here = {"endpoint": "kernel"}
    seen = [configuration.endpoint()]
    configuration.here = {}
    seen.append(configuration.endpoint())
    configuration.cell = {}
    seen.append(configuration.endpoint())
    configuration.notebook = None
    seen.append(configuration.endpoint())
    configuration = configuration_in(places)
    configuration.notebook = None
    seen.append(configuration.endpoint())
    (places / "project" / "pyproject.toml").unlink()
    seen.append(configuration.endpoint())
    assert seen == ["kernel", "cell", "notebook", "environment", "project", "user"]
    assert configuration.defaults() == {"retries": 1}


def test_what_is_found_says_where(places):
    write(places, user="timeout = 60\nstream = false", project="[tool.funcx]\ntimeout = '90s'")
    found = configuration_in(places).found()
    user, project = places / "home" / "config.toml", places / "project" / "pyproject.toml"
    assert found == {"timeout": Found(90.0, str(project), "90s"), "stream": Found(False, str(user), "false")}


def test_the_nearest_project_that_has_settings_counts(places):
    write(places, project="[tool.funcx]\nenv = 'warn'")
    (places / "project" / "deep" / "pyproject.toml").write_text("[project]\nname = 'x'")
    assert configuration_in(places).found()["env"].value == "warn"
    (places / "project" / "deep" / "pyproject.toml").write_text("[tool.funcx]")
    assert configuration_in(places).found() == {}


def test_a_notebook_that_is_being_written_says_nothing(places):
    write(places)
    (places / "project" / "deep" / "a.ipynb").write_text('{"cells": [')
    assert configuration_in(places).found() == {}


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (
            "retires = 3",
            "`retires` in {} is not a setting of %%funcx. Did you mean `retries`? `%funcx config` lists them.",
        ),
        ("retries = 99", "`retries` in {}: '99' is not a number from 0 to 10."),
        ("env = 'lax'", "`env` in {} is 'lax'. It can be strict, warn, off."),
        ("stream = 'perhaps'", "`stream` in {} is 'perhaps'. It can be true or false."),
        ("timeout = true", "`timeout` in {} is True. It is written as after the option of %%funcx."),
        ("token = 'x'", "`token`" + SECRET),
        ("endpoint = 'fxt_abcdefghijkl'", "`endpoint`" + SECRET),
        ("aliases = 'theta'", "`aliases` in {} is a table of names and text."),
        ("env = ", "{} cannot be read: Invalid value (at end of document)."),
    ],
)
def test_what_is_refused(places, user, message):
    write(places, user=user)
    with pytest.raises(ConfigError) as raised:
        configuration_in(places).found()
    assert str(raised.value) == message.format(places / "home" / "config.toml")


def test_a_secret_in_the_metadata_of_a_notebook(places):
    write(places, notebook={"api_key": "x"})
    with pytest.raises(ConfigError, match="`api_key` in the notebook's metadata is a secret"):
        configuration_in(places).found()


def test_tables_are_merged(places):
    write(
        places,
        user="[aliases]\nbig = 'id-1'\nold = 'id-2'\n[magics]\ngpu = 'theta -t 60'",
        project="[tool.funcx.aliases]\nbig = 'id-3'",
    )
    configuration = configuration_in(places)
    assert configuration.aliases() == {"big": "id-3", "old": "id-2"}
    assert configuration.magics() == {"gpu": "theta -t 60"}


def test_saving_keeps_the_rest_of_a_file(places):
    project = places / "project" / "pyproject.toml"
    project.write_text("# mine\n[project]\nname = 'x'  # here\n")
    files.save(project, "", "retries", 2)
    files.save(project, "aliases", "big", "id-1")
    assert project.read_text().startswith("# mine\n[project]\nname = 'x'  # here\n")
    assert configuration_in(places).found()["retries"].value == 2
    assert configuration_in(places).aliases() == {"big": "id-1"}
    files.save(project, "", "retries", None)
    assert configuration_in(places).found() == {}


def test_the_file_of_a_user_is_private(places):
    path = files.path_for("user", places)
    files.save(path, "", "env", "warn")
    assert path.read_text() == 'env = "warn"\n'
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_to_save(places):
    deep = places / "project" / "deep"
    assert files.path_for("project", deep) == deep / "pyproject.toml"
    write(places)
    assert files.path_for("project", deep) == places / "project" / "pyproject.toml"
    with pytest.raises(ConfigError, match="can be user or project"):
        files.path_for("world", deep)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_default_can_be_written_down(name):
    default = SETTINGS[name].default
    if default:
        assert convert(name, default, "x") == SETTINGS[name].action.default
