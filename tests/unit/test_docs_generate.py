"""The page on the architecture shows the states that the program uses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from funcx_core.protocol.task import TRANSITIONS, TaskState

SCRIPT = Path(__file__).parents[2] / "docs" / "generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(generate) -> None:
    assert generate.main(["--check"]) == 0


def test_every_state_is_in_one_group(generate) -> None:
    assert sorted(state for group in generate.groups() for state in group) == sorted(TaskState)


def test_every_transition_is_in_the_table(generate) -> None:
    lines = {line.split("`")[1]: line for line in generate.table().splitlines() if "`" in line}
    for state in TaskState:
        named = set(lines[state].split("`")[3::2])
        assert named == set(TRANSITIONS[state])


def test_a_page_without_markers_is_refused(generate) -> None:
    with pytest.raises(SystemExit, match="states:begin"):
        generate.with_states("# A page")
