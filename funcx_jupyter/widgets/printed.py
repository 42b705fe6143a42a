"""The log of a task as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from funcx_core.protocol.task import EventKind

MOST: Final = 20_000
"""Characters of a log that a widget shows; `%funcx logs` shows all."""
_TEXT: Final = frozenset({EventKind.STDOUT.value, EventKind.STDERR.value, EventKind.LOG.value})


def printed(events: Iterable[dict[str, Any]]) -> str:
    """Return what was printed, as a terminal would leave it: a line that was redrawn is there once."""
    whole = "".join(event["body"] for event in events if event["kind"] in _TEXT)
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in whole.split("\n"))


def tail(text: str) -> str:
    """Return the end of a long text, and say that it is the end."""
    if len(text) <= MOST:
        return text
    return f"… {len(text) - MOST:,} characters above\n{text[-MOST:]}"
