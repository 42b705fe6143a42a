"""`%funcx tasks`, `endpoints`, `env` and `fix-env`."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from funcx_core.ids import new_endpoint_id
from funcx_core.protocol.environment import Environment
from funcx_jupyter.errors import EnvironmentMismatch, MagicArgumentError
from funcx_jupyter.verbs.environments import how_to_install, locked
from tests.unit.jupyter.fake_service import LOCAL


def test_tasks_of_a_kernel_by_their_state(run, shell):
    run("%%funcx -q\nfirst = 1")
    run("%%funcx -q\n1 / 0")
    everything = repr(run("%funcx tasks").value)
    assert "first = 1" in everything
    failed = repr(run("%funcx tasks --state failed").value)
    assert "1 / 0" in failed
    assert "first = 1" not in failed
    assert repr(run("%funcx tasks --state success").value) == repr(run("%funcx tasks --state done").value)
    assert repr(run("%funcx tasks --state waiting").value).startswith("No tasks that are waiting yet.")


def test_tasks_of_a_notebook_are_also_those_of_earlier_kernels(run, magics, connection, tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCX_HOME", str(tmp_path))
    run("%%funcx -q\nsecond = 2")
    magics.session.tasks.clear()  # A new kernel.
    assert "second = 2" not in repr(run("%funcx tasks").value)
    assert "second = 2" in repr(run("%funcx tasks --notebook").value)


def test_tasks_of_a_user(run, connection):
    connection.answers["tasks?limit=200"] = {
        "tasks": [
            {
                "task_id": "0190-a-b-3f2a-c",
                "status": "running",
                "endpoint_id": LOCAL.endpoint_id,
                "function_name": "simulate",
            }
        ]
    }
    row = repr(run("%funcx tasks --mine").value).splitlines()[1].split()
    assert row == ["3f2a", "running", "local", "simulate", "0190-a-b-3f2a-c"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "tasks --state runing",
            "`runing` is no state of a task. It can be open, waiting, ended, running, done, failed, stopped.",
        ),
        ("tasks --mine --notebook", "Either --mine or --notebook"),
        ("env --diff --lock", "Either --diff or --lock"),
    ],
)
def test_what_is_refused(run, line, message):
    error = run(f"%funcx {line}").error
    assert isinstance(error, MagicArgumentError)
    assert message in str(error)


def test_endpoints_as_plain_rows(run, shell, connection, monkeypatch):
    local = msgspec.structs.replace(LOCAL, features=frozenset({"b", "a"}))
    monkeypatch.setattr(connection, "endpoints", lambda: [local])
    run("rows = %funcx endpoints --json")
    (row,) = json.loads(json.dumps(shell.user_ns["rows"]))
    assert (row.keys(), row["name"], row["features"]) == (set(LOCAL.__struct_fields__), "local", ["a", "b"])
    assert repr(shell.user_ns["rows"]).startswith('[\n  {\n    "endpoint_id"')


def test_endpoints_that_are_shared(run, connection):
    foreign = {"uuid": new_endpoint_id(), "name": "tutorial", "state": "online"}
    connection.answers["endpoints?role=any"] = [foreign]
    assert "tutorial" in repr(run("%funcx endpoints --all").value)
    assert "tutorial" not in repr(run("%funcx endpoints").value)


OLD = Environment(python_version="3.11.2", packages={"numpy": "1.26.0"}, modules=["numpy"])
NEW = Environment(
    python_version="3.11.7",
    platform="Linux x86_64",
    packages={"numpy": "2.1.0", "tqdm": "4.66"},
    modules=["numpy", "tqdm"],
    executable="/opt/env/bin/python",
)


def test_requirements_of_an_endpoint():
    assert locked([OLD, NEW], "theta") == (
        "# theta: CPython 3.11.7, Linux x86_64\nnumpy==2.1.0  # on other nodes: 1.26.0\ntqdm==4.66  # on other nodes: none"
    )


def test_they_are_shown(run, connection):
    assert "has not reported" in repr(run("%funcx env --lock").value)
    connection.reported = [NEW]
    assert repr(run("%funcx env local --lock").value).endswith("numpy==2.1.0\ntqdm==4.66")


def test_how_a_missing_module_is_installed(monkeypatch):
    told = how_to_install(["IPython", "nosuchthing"], LOCAL, NEW).splitlines()
    assert told[0] == "local lacks IPython, nosuchthing."
    assert told[1] == "`IPython` comes with the package ipython."
    assert told[2].startswith("This kernel does not have `nosuchthing` either: look up what its package is called")
    assert told[3] == "On here, type:"
    assert told[4].startswith("    /opt/env/bin/python -m pip install ipython==")
    assert told[4].endswith(" nosuchthing")
    boxed = Environment(python_version="3.12", container="lab.sif")
    assert how_to_install(["x y"], LOCAL, boxed).endswith("Its tasks run in the image lab.sif: add x y to it.")


def test_what_the_last_error_missed(run, connection, monkeypatch):
    monkeypatch.delattr(sys, "last_value", raising=False)
    assert "No module was missing lately" in repr(run("%funcx fix-env").value)
    connection.reported = [NEW]
    error = run("%%funcx\nimport IPython").error
    assert isinstance(error, EnvironmentMismatch)
    assert (error.module, error.endpoint) == ("IPython", "local")
    assert repr(run("%funcx fix-env").value).startswith("local lacks IPython.")
    assert isinstance(run("%%funcx -q --env off\nimport nosuch.deep").error, ModuleNotFoundError)
    assert repr(run("%funcx fix-env").value).startswith("local lacks nosuch.")
    assert repr(run("%funcx fix-env numpy").value).startswith("numpy is installed on local now")
