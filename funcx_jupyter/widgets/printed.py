"""The log of a task as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from funcx_core.cells.spec import outcome_decoder
from funcx_core.errors import RemoteProtocolError
from funcx_jupyter.display.log_text import LogText

MOST: Final = 20_000
"""Characters of a log that a widget shows; `%funcx logs` shows all."""


def printed(events: Iterable[dict[str, Any]]) -> str:
    """Return what was printed, as a terminal would leave it: a line that was redrawn is there once; then the bars as they are now."""
    log = LogText()
    whole = "".join(text for _, text in [*log.feed(events), *log.end()])
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in whole.split("\n"))


def as_shown(value: Any) -> str:
    """Return a value as the notebook shows it: of a cell, the text that its last expression showed where it ran."""
    if isinstance(value, bytes):
        with suppress(RemoteProtocolError):
            outcome = outcome_decoder.decode(value)
            return outcome.shown.data.get("text/plain", "") if outcome.shown is not None else "The cell shows no value."
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - code of users may raise anything
        text = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= MOST else f"{text[:MOST]}\n… {len(text) - MOST:,} characters more"


def tail(text: str) -> str:
    """Return the end of a long text, and say that it is the end."""
    if len(text) <= MOST:
        return text
    return f"… {len(text) - MOST:,} characters above\n{text[-MOST:]}"
