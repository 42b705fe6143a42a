"""Puts the words of the manual below what click says about options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from funcx_endpoint.manual.words import ENVIRONMENT, EXAMPLES, EXIT_CODES, FILES

_AS_IT_STANDS: Final = "\b"
"""click breaks the lines of no paragraph that begins with this."""


def complete_help(program: click.Group) -> None:
    """Give a program and each of its commands examples; the program also files, environment and exit codes."""
    for name, command in program.commands.items():
        command.epilog = _joined(command.epilog, _examples(name), "See funcx-endpoint --help for files and exit codes.")
    program.epilog = _joined(
        program.epilog,
        _examples(""),
        _table("Files", FILES),
        _table("Environment", ENVIRONMENT),
        _table("Exit codes", EXIT_CODES),
    )


def _examples(name: str) -> str:
    lines = [line for command, purpose in EXAMPLES.get(name, ()) for line in (f"  {command}", f"      {purpose}")]
    return "\n".join([_AS_IT_STANDS, "Examples:", *lines])


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    return "\n".join([_AS_IT_STANDS, f"{title}:", *(f"  {name:{width}}  {text}" for name, text in rows)])


def _joined(*parts: str | None) -> str:
    return "\n\n".join(part for part in parts if part)
