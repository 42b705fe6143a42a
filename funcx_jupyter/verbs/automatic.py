"""The verb `%funcx auto`."""

from __future__ import annotations

import shlex

from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.options import parser
from funcx_jupyter.verbs.desk import Desk

_FORM = "The form is `%funcx auto on [ENDPOINT] [OPTIONS...]` or `%funcx auto off`. See `%funcx help auto`."
_OF_ONE_CELL = frozenset({"output", "is_async", "name", "after", "input", "explain", "shell"})


def auto(desk: Desk, *words: str) -> Text:
    """Run every following cell on ENDPOINT, and bring back what it assigns and changes; `auto off` ends it."""
    cells = desk.auto
    if not words:
        return Text(_banner(cells.line) if cells.line else "Cells run here. `%funcx auto on ENDPOINT` sends them.")
    switch, *rest = words
    if switch == "off" and not rest:
        cells.off()
        return Text("Cells run here again.")
    if switch != "on":
        raise MagicArgumentError(_FORM)
    line = shlex.join(rest)
    given = parser.given(line)
    if wrong := sorted(_OF_ONE_CELL & given.keys()):
        raise MagicArgumentError(
            f"`{wrong[0]}` is a matter of one cell, not of all that follow: write `%%funcx` over it."
        )
    found = desk.session.endpoint(given.get("endpoint"))  # Whatever is wrong with it is said now.
    if "endpoint" not in given:
        line = " ".join(filter(None, [shlex.quote(found.name), line]))
    cells.on(line)
    return Text(_banner(line))


def _banner(line: str) -> str:
    return (
        f"Every cell that follows runs as `%%funcx {line}`. What it assigns at top level, or changes in place as far as its text tells, "
        "comes back.\nHere stay: magics, shell commands, %funcx lines, cells that only import and define, and cells that begin with "
        "`# local`.\n`%funcx auto off` ends it."
    )
