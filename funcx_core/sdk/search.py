"""What a search for functions gives: a list that prints as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

_COLUMNS: Final = ("function_name", "description", "function_uuid", "owner")
_WIDEST: Final = 48


class FunctionSearchResults(list[dict[str, Any]]):
    """The functions that were found, best first; each has ``function_uuid``, ``function_name``, ``description`` and more.

    Attributes:
        offset: how many were skipped.
        total: how many there are in all.
        has_next_page: whether there are more after these.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(dict(found) for found in answer.get("results", []))
        self.offset = int(answer.get("offset", 0))
        self.total = int(answer.get("total", self.offset + len(self)))
        self.has_next_page = bool(answer.get("has_next_page", self.offset + len(self) < self.total))

    def __str__(self) -> str:
        if not self:
            return "No function was found."
        columns = [name for name in _COLUMNS if any(found.get(name) for found in self)]
        rows = [[_cell(found.get(name)) for name in columns] for found in self]
        widths = [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns))]
        lines = [_line(columns, widths), _line(["-" * width for width in widths], widths)]
        lines += [_line(row, widths) for row in rows]
        if self.has_next_page:
            lines.append(
                f"{self.offset + 1} to {self.offset + len(self)} of {self.total}; offset={self.offset + len(self)} shows more."
            )
        return "\n".join(lines)

    def load_result(self, index: int) -> None:
        """Print the source of a function that was found, where the service has it."""
        source = self[index].get("function_source")
        print(source or "The service has no source of this function.")  # noqa: T201 - printing is what it is for


def _cell(value: Any) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return textwrap.shorten(printable, _WIDEST, placeholder="…")


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
