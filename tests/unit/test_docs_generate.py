"""The page on the architecture shows the states that the program uses, the one on reliability the tests that there are."""

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


def test_the_pages_are_current(generate) -> None:
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


def test_every_row_of_the_reliability_page_has_a_test(generate) -> None:
    page = (SCRIPT.parent / "reliability.md").read_text()
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| U")]
    assert rows == [f"U{number:02}" for number in range(1, 26)]
    found = generate.tests_of_rows(generate.TESTS)
    assert [row for row in rows if row not in found] == []


def test_a_row_names_its_tests_and_says_if_it_has_none(generate, tmp_path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    text = 'def test_it_ends():\n    """U10, F07: soon."""\ndef test_other():\n    """Not U11."""\n'
    (folder / "test_some.py").write_text(text)
    found = generate.tests_of_rows(folder)
    assert found == {row: ["tests/test_some.py::test_it_ends"] for row in ("U10", "F07")}
    page = "| row | what | tests |\n|---|---|---|\n| U10 | a | old |\n| U11 | b | |\n"
    assert generate.with_tests(page, found).splitlines()[2:] == [
        "| U10 | a | [it ends](../tests/test_some.py) |",
        "| U11 | b | **none** |",
    ]
