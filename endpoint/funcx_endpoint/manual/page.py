"""The manual as a page for `man`, made from what the program itself knows of its commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from funcx_endpoint.manual.words import ENVIRONMENT, EXAMPLES, EXIT_CODES, FILES

_SEE_ALSO: Final = "Guides and the meaning of every error are in the documentation: endpoints, workers, errors."


def man_page(program: click.Group, name: str) -> str:
    """Return the page of a program as roff. It depends on the program alone, not on when it is made."""
    # With its own settings: click remembers the help option of a command as it is asked for first.
    context = click.Context(program, info_name=name, **program.context_settings)
    lines = [
        f'.TH "{_text(name.upper())}" 1 "" "funcX" "User Commands"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_summary(program))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        "[OPTIONS] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        *_paragraphs(program.help or ""),
        *_options(program, context),
        ".SH COMMANDS",
    ]
    for command_name in sorted(program.commands):
        lines += _command(program.commands[command_name], context, command_name)
    lines += [".SH EXAMPLES", *_examples("")]
    for title, rows in (("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", EXIT_CODES)):
        lines += [f".SH {title}", *_rows(rows)]
    return "\n".join([*lines, ".SH SEE ALSO", _text(_SEE_ALSO), ""])


def _summary(program: click.Group) -> str:
    text = program.get_short_help_str(100).rstrip(".")
    return text[:1].lower() + text[1:]


def _command(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f'.SS "{_text(name)} {_text(usage)}"'
    yield from _paragraphs(command.help or "")
    yield from _options(command, context)
    yield ".PP"
    yield "Examples:"
    yield from _examples(name)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    options = [one for one in command.params if isinstance(one, click.Option)]
    records: list[Any] = [option.get_help_record(context) for option in options]
    for names, text in (record for record in records if record is not None):
        yield ".TP"
        yield f".B {_text(names)}"
        yield _text(text)


def _examples(name: str) -> Iterator[str]:
    for command, purpose in EXAMPLES.get(name, ()):
        yield from (".TP", f".B {_text(command)}", _text(purpose))


def _rows(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from (".TP", f".B {_text(name)}", _text(text))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Return text in which roff finds nothing to obey."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("`", "\\(ga")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
