"""Tables in plain text, for terminals and for notebooks read without widgets."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def columns(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [heading, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def isolated(name: str) -> str:
    """Return a name that does not turn round what stands beside it, in whichever direction it is read."""
    is_rightwards = all(unicodedata.bidirectional(letter) not in {"R", "AL", "AN"} for letter in name)
    return name if is_rightwards else f"\u2068{name}\u2069"


def shortened(text: str, most: int) -> str:
    """Return at most `most` characters of a text; where something is left out it says so."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
