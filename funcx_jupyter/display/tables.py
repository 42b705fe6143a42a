"""Rows and lines that verbs of `%funcx` return, as text and as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any


class Table:
    """Rows with a heading, as text and as HTML."""

    def __init__(self, heading: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
        self._heading = heading
        self._rows = rows
        self._nothing = nothing

    def __repr__(self) -> str:
        if not self._rows:
            return self._nothing
        lines = [self._heading, *self._rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self._heading))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _repr_html_(self) -> str:
        if not self._rows:
            return f"<p>{html.escape(self._nothing)}</p>"
        # Jupyter aligns to the right, which suits numbers only.
        left = "style='text-align: left'"
        heading = "".join(f"<th scope='col' {left}>{html.escape(cell)}</th>" for cell in self._heading)
        rows = "".join(
            "<tr>" + "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self._rows
        )
        return f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>"


class Rows(list[dict[str, Any]]):
    """Rows of plain values, which are shown as JSON."""

    def __repr__(self) -> str:
        return json.dumps(self, indent=2)


class Text:
    """Words to show as they are, without quotation marks."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text
