"""The page on the architecture shows the states that the program uses, the one on reliability the tests that there are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from funcx_core.errors import TaskFailed, all_classes
from funcx_core.protocol.task import TRANSITIONS, TaskState

SCRIPT = Path(__file__).parents[2] / "docs" / "generate.py"
ON_REAL_PROCESSES = [f"F{number}" for number in (*range(15, 27), 31, 32, 35, 36, 37)]
"""Faults of the fabric that are tried on real processes; of the others the page says which are not."""


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
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith(("| U", "| F"))]
    of_functions = [f"U{number:02}" for number in range(1, 26)]
    assert rows == of_functions + [f"F{number:02}" for number in range(1, 38)]
    found = generate.tests_of_rows(generate.TESTS)
    assert [row for row in (*of_functions, *ON_REAL_PROCESSES) if row not in found] == []
    in_processes = ("tests/chaos/", "tests/integration/", "tests/system/")
    assert [row for row in ON_REAL_PROCESSES if not any(name.startswith(in_processes) for name in found[row])] == []


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


def test_every_error_has_its_causes_and_what_to_do_about_it(generate) -> None:
    page = generate.ERRORS.read_text(encoding="utf-8")
    sections = dict(section.split("\n", 1) for section in page.split("\n### ")[1:])
    for cls in all_classes():
        text = sections.pop(cls.__name__, "")
        assert f"Code `{cls.code}`" in text, f"run docs/generate.py, then write about {cls.__name__} in docs/errors.md"
        assert len(text.partition("*Likely causes*: ")[2]) > 20, cls
        assert len(text.partition("*What to do*: ")[2]) > 10, cls
    assert not sections, "sections of errors that there are not"


def test_the_links_of_the_pages_lead_somewhere(generate) -> None:
    folder = generate.PAGE.parent
    for page in folder.glob("*.md"):
        for target in re.findall(r"\]\(([a-z-]+\.md)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (folder / target).is_file(), f"{page.name}: {target}"


def test_a_new_error_gets_a_section_that_is_to_be_written(generate, monkeypatch) -> None:
    monkeypatch.setattr(generate.errors, "all_classes", lambda: [TaskFailed])
    page = generate.with_errors("# Errors\n\nHead.\n\n## Old\n\n### Gone\n\nCode.\n\n*Likely causes*: x\n")
    assert page.startswith("# Errors\n\nHead.\n\n## ")
    assert "Gone" not in page
    assert "### TaskFailed\n\nCode `task_failed`, a `FuncxError`. A task ended without a value." in page
    assert "*Likely causes*" not in page
