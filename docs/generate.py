# ruff: noqa: INP001 - a script beside the pages it writes
"""Write what the documentation says about task states from the table that the program uses, and which tests show what.

``python docs/generate.py`` rewrites the part of ``architecture.md`` between the markers, the last column of the table in
``reliability.md``, the sections of ``errors.md`` (a new class gets one that somebody must fill in), and the manual page of
``funcx-endpoint``. ``--check`` only says whether they are current, by its exit code.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from funcx_core import errors
from funcx_core.protocol.task import TERMINAL, TRANSITIONS, TaskState
from funcx_endpoint.cli import main as funcx_endpoint
from funcx_endpoint.manual.page import man_page

PAGE: Final = Path(__file__).parent / "architecture.md"
ERRORS: Final = Path(__file__).parent / "errors.md"
MANUAL: Final = Path(__file__).parent / "man" / "funcx-endpoint.1"
RELIABILITY: Final = Path(__file__).parent / "reliability.md"
TESTS: Final = Path(__file__).parents[1] / "tests"
ROW: Final = re.compile(r"\b[FU][0-9]{2}\b")
BEGIN: Final = "<!-- states:begin -->"
END: Final = "<!-- states:end -->"

Group = tuple[TaskState, ...]


def groups() -> list[Group]:
    """Return the states, those together that may become each other and otherwise the same.

    Running stands alone although its row is that of the waiting ones: it is what a reader looks for.
    """
    found: dict[tuple[frozenset[TaskState], bool], list[TaskState]] = {}
    for state in TaskState:
        found.setdefault((TRANSITIONS[state] | {state}, state is TaskState.RUNNING), []).append(state)
    return [tuple(states) for states in found.values()]


def arrows(found: list[Group]) -> list[tuple[Group, Group]]:
    """Return which group may become which other one."""
    return [
        (old, new)
        for old in found
        for new in found
        if old is not new and any(state in TRANSITIONS[old[0]] for state in new)
    ]


def diagram() -> str:
    """Return the states as a Mermaid diagram."""
    found = groups()
    names = {group: "waiting" if len(group) > 1 else group[0].name.lower() for group in found}
    lines = ["stateDiagram-v2", f"    [*] --> {names[found[0]]}"]
    for group in found:
        if len(group) > 1:
            lines += [f"    state {names[group]} {{", *_members(group), "    }"]
    lines += [f"    {names[old]} --> {names[new]}" for old, new in arrows(found)]
    lines += [f"    {names[group]} --> [*]" for group in found if set(group) <= TERMINAL]
    return "\n".join(["```mermaid", *lines, "```"])


def _members(group: Group) -> list[str]:
    """Any member of a group may become any other; one line through them keeps the picture readable."""
    names = [state.name.lower() for state in group]
    titles = [f"        {name} : {state}" for name, state in zip(names, group, strict=True) if name != state]
    return [*titles, *(f"        {old} --> {new}" for old, new in itertools.pairwise(names))]


def table() -> str:
    """Return the states as a table."""
    lines = ["| a task that is | may become |", "|---|---|"]
    for state in TaskState:
        following = [f"`{new}`" for new in TaskState if new in TRANSITIONS[state]]
        lines.append(f"| `{state}` | {', '.join(following) or 'nothing else: it has ended'} |")
    return "\n".join(lines)


def with_states(page: str) -> str:
    """Return `page` with the part between the markers renewed."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no lines '{BEGIN}' and '{END}'.")
    text = "The four states of `waiting` may follow each other in any order; a short task skips most of them."
    return f"{head}{BEGIN}\n{diagram()}\n\n{text}\n\n{table()}\n{END}{tail}"


def tests_of_rows(folder: Path) -> dict[str, list[str]]:
    """Return the tests whose docstrings begin with the name of a row, or several, as ``file::test``."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for test in _tests(path):
            head = (ast.get_docstring(test) or "").partition(":")[0]
            for row in ROW.findall(head) if ROW.match(head) else []:
                found.setdefault(row, []).append(f"{path.relative_to(folder.parent)}::{test.name}")
    return found


def _tests(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def with_tests(page: str, tests: dict[str, list[str]]) -> str:
    """Return `page` with the tests of each row in the row's last column; for one that has none, that it has none."""
    return "\n".join(_with_tests(line, tests) for line in page.split("\n"))


def _with_tests(line: str, tests: dict[str, list[str]]) -> str:
    cells = line.split("|")
    if len(cells) < 3 or not ROW.fullmatch(cells[1].strip()):  # noqa: PLR2004 - a row has a name and more
        return line
    names = tests.get(cells[1].strip(), [])
    links = [f"[{_title(name)}](../{name.partition('::')[0]})" for name in names]
    return "|".join([*cells[:-2], f" {'; '.join(links) or '**none**'} ", ""])


def _title(name: str) -> str:
    return name.partition("::test_")[2].replace("_", " ")


def error_groups() -> list[tuple[str, list[type[errors.FuncxError]]]]:
    """Return the error classes by whose fault they are, each group with its title."""
    titles = {
        errors.UsageError: "The caller can fix it",
        errors.TaskFailed: "The task ended without a value",
        errors.TryAgainLater: "Nothing is wrong with the request",
        errors.RemoteProtocolError: "The peer's fault",
        errors.FuncxError: "Others",
    }
    found: dict[str, list[type[errors.FuncxError]]] = {title: [] for title in titles.values()}
    for cls in errors.all_classes():
        found[next(title for base, title in titles.items() if issubclass(cls, base))].append(cls)
    return list(found.items())


def with_errors(page: str) -> str:
    """Return `page` with a section for each error class: what the class says of itself, then what was written below it."""
    head, _, rest = page.partition("\n## ")
    _, *sections = re.split(r"^### ", rest, flags=re.MULTILINE)
    written = {}
    for section in sections:
        name, _, text = section.partition("\n\n")
        _, _, below = re.split(r"^## ", text, flags=re.MULTILINE)[0].partition("\n\n")
        written[name.strip()] = below.strip()
    lines = [head.rstrip(), ""]
    for title, classes in error_groups():
        lines += [f"## {title}", ""]
        for cls in classes:
            lines += [f"### {cls.__name__}", "", _facts(cls), "", written.get(cls.__name__, ""), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _facts(cls: type[errors.FuncxError]) -> str:
    (base, *_) = [one.__name__ for one in cls.__bases__]
    kind = f", a `{base}`" if issubclass(cls.__bases__[0], errors.FuncxError) else ""
    says = " ".join((cls.__doc__ or "").split()).replace("``", "`")
    return f"Code `{cls.code}`{kind}. {says}"


def main(arguments: list[str]) -> int:
    """Renew the pages, or check them; return the exit code."""
    code = 0
    pages = (
        (PAGE, with_states),
        (RELIABILITY, lambda page: with_tests(page, tests_of_rows(TESTS))),
        (ERRORS, with_errors),
        (MANUAL, lambda _: man_page(funcx_endpoint, MANUAL.stem)),
    )
    for path, renew in pages:
        page = path.read_text(encoding="utf-8")
        renewed = renew(page)
        if arguments != ["--check"]:
            path.write_text(renewed, encoding="utf-8")
        elif page != renewed:
            sys.stderr.write(f"{path} is not current. Run: python docs/generate.py\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
