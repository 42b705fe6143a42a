"""What a cell imports against what an endpoint has."""

from __future__ import annotations

import ast
import platform

import pytest

from funcx_core.errors import ServiceUnavailable
from funcx_core.ids import TaskId
from funcx_core.protocol.environment import MOST_NAMES, Environment
from funcx_jupyter.capture.imports import Import, imports_of
from funcx_jupyter.session.environment import Environments, differences, first_missing, is_missing, other_python
from funcx_jupyter.session.patience import Patience

HERE = platform.python_version()


def an_environment(*modules: str, python: str = HERE) -> Environment:
    return Environment(python_version=python, modules=list(modules))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numpy as np, os.path\nfrom sklearn.svm import SVC", [("numpy", 1), ("sklearn", 2)]),
        ("with x:\n    import a.b", [("a", 2)]),
        ("try:\n    import a\nfinally:\n    import b", [("a", 2), ("b", 4)]),
        ("try:\n    import a\nexcept ImportError:\n    a = None", []),
        ("if x:\n    import a", []),
        ("def f():\n    import a", []),
        ("from . import a", []),
        ("import sys\nsys.path.insert(0, 'lib')\nimport a", []),
        ("get_ipython().system('pip install a')\nimport a", []),
        ("import subprocess\nsubprocess.run(['pip', 'install', 'a'])\nimport a", []),
        ("from importlib import import_module\nimport a", [("a", 2)]),
        ("import importlib\nimportlib.import_module('x')\nimport a", []),
    ],
)
def test_what_is_imported_whatever_happens(source, found):
    assert [(one.module, one.line) for one in imports_of(ast.parse(source))] == found


def test_a_module_that_no_node_has():
    needs = [Import("numpy", 1), Import("xgboost", 3)]
    nodes = [an_environment("numpy"), an_environment("pandas")]
    assert first_missing(needs, nodes) == needs[1]
    assert first_missing(needs, [*nodes, an_environment("xgboost")]) is None


def test_what_is_not_known_is_not_held_against_the_cell():
    needs = [Import("xgboost", 3)]
    assert first_missing(needs, []) is None
    assert first_missing(needs, [an_environment()]) is None
    assert first_missing(needs, [an_environment(*(f"m{n}" for n in range(MOST_NAMES)))]) is None


def test_the_message_names_module_line_and_what_is_like_it():
    assert is_missing(Import("sklern", 3), [an_environment("sklearn", "numpy")], "theta") == (
        "`sklern` (line 3) is not installed on theta. Available: sklearn. `%funcx env theta --diff` shows what differs; "
        "`--env off` sends the cell all the same."
    )
    assert "`a` (the notebook imports it as `b`) is not" in is_missing(
        Import("a", reason="the notebook imports it as `b`"), [], "theta"
    )


def test_another_python_is_said():
    assert other_python([an_environment()], "theta") == ""
    assert other_python([], "theta") == ""
    said = other_python([an_environment(python="3.8.1")], "theta")
    assert (
        said == f"theta has Python 3.8, this kernel {HERE.rpartition('.')[0]}: functions and classes travel as source."
    )


def test_differences():
    assert differences({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        ("b", "1", "2"),
        ("c", "1", ""),
        ("d", "", "1"),
    ]


def test_an_endpoint_is_asked_once_in_a_while():
    asked, now = [], [0.0]

    def ask(endpoint_id):
        asked.append(endpoint_id)
        return [an_environment("a")]

    known = Environments(ask, lambda: now[0])
    for _ in range(3):
        assert known.of("e") == [an_environment("a")]
    assert asked == ["e"]
    known.of("e", anew=True)
    now[0] = Environments.KEPT + 1
    known.of("e")
    assert len(asked) == 3


class Service:
    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.cancelled = []

    def task(self, _):
        status = self.statuses.pop(0)
        if isinstance(status, Exception):
            raise status
        return {"status": status}

    def cancel(self, task_id):
        self.cancelled.append(task_id)


def test_a_task_that_waits_for_its_endpoint_too_long_is_stopped():
    now, service = [0.0], Service("waiting-for-ep")
    patience = Patience(service, TaskId("t"), 10, lambda: now[0])
    for at in (0.0, 9.0, 10.0, 11.0):
        now[0] = at
        patience.look()
    assert (service.cancelled, patience.gave_up) == (["t"], True)


def test_once_the_endpoint_is_there_the_task_may_take_its_time():
    now, service = [20.0], Service(ServiceUnavailable("busy"), "received")
    patience = Patience(service, TaskId("t"), 0, lambda: now[0])
    for _ in range(3):
        patience.look()
        now[0] += 6
    assert (service.cancelled, patience.gave_up, service.statuses) == ([], False, [])
