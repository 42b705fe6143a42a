# ruff: noqa: INP001 - a script beside the pages it writes
"""Write what the documentation says about task states from the table that the program uses.

``python docs/generate.py`` rewrites the part of ``architecture.md`` between the markers; ``--check`` only says whether it is
current, by its exit code.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Final

from funcx_core.protocol.task import TERMINAL, TRANSITIONS, TaskState

PAGE: Final = Path(__file__).parent / "architecture.md"
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


def main(arguments: list[str]) -> int:
    """Renew the page, or check it; return the exit code."""
    page = PAGE.read_text(encoding="utf-8")
    renewed = with_states(page)
    if arguments == ["--check"]:
        if page != renewed:
            sys.stderr.write(f"{PAGE} is not current. Run: python docs/generate.py\n")
        return int(page != renewed)
    PAGE.write_text(renewed, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
