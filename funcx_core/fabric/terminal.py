"""What the demo shows of a running notebook: each cell's source, its output as it arrives, its value, a mark and a time."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

from funcx_core.logs import printable

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SOURCE_LINES: Final = 12
_OUTPUT_LINES: Final = 40
_MARGIN: Final = "    │ "


class Terminal:
    """Writes progress for people. Without a terminal (or with NO_COLOR) it writes plain lines."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colour = self._stream.isatty() if colour is None else colour
        self._partial = ""
        self._printed = 0
        self._updated: dict[str, str] = {}

    def say(self, text: str = "") -> None:
        """Write one line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def step(self, text: str) -> None:
        """Write one line about what the fabric does."""
        self.say(self._paint("36", "▸ ") + text)

    def cell_starts(self, number: int, of: int, source: str) -> None:
        """Show the source of a cell that starts now."""
        self._printed = 0
        self._updated.clear()
        self.say()
        self.say(self._paint("1", f"[{number}/{of}]"))
        lines = source.strip("\n").split("\n")
        for line in lines[:_SOURCE_LINES]:
            self.say(self._paint("2", f"    {line}"))
        if len(lines) > _SOURCE_LINES:
            self.say(self._paint("2", f"    … {len(lines) - _SOURCE_LINES} more lines"))

    def message(self, kind: str, content: Mapping[str, Any]) -> None:
        """Show one message of the kernel's output channel."""
        match kind:
            case "stream":
                self._write(str(content.get("text", "")))
            case "display_data":
                self._show(content, "")
            case "execute_result":
                self._show(content, f"Out[{content.get('execution_count', '')}]: ")
            case "update_display_data":
                self._remember_update(content)
            case "error":
                self._line(self._paint("33", f"{content.get('ename')}: {_first_line(str(content.get('evalue', '')))}"))

    def cell_ends(self, *, good: bool, seconds: float, remark: str = "") -> None:
        """Show how the cell ended."""
        self._flush()
        for text in self._updated.values():
            self._line(text)
        mark = self._paint("32", "✓") if good else self._paint("31", "✗")
        self.say(f"  {mark} {seconds:.2f} s{'  ' + remark if remark else ''}")

    def table(self, header: list[str], rows: list[list[str]]) -> None:
        """Write a table; columns of numbers are right-aligned."""
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
        for place, row in enumerate([header, *rows]):
            cells = [
                text.rjust(width) if _is_number(text) else text.ljust(width)
                for text, width in zip(row, widths, strict=True)
            ]
            line = "  " + "  ".join(cells).rstrip()
            self.say(self._paint("1", line) if place == 0 else line)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _show(self, content: Mapping[str, Any], prefix: str) -> None:
        self._flush()
        for line in f"{prefix}{_describe(content.get('data', {}))}".split("\n"):
            self._line(line)

    def _remember_update(self, content: Mapping[str, Any]) -> None:
        name = str((content.get("transient") or {}).get("display_id", ""))
        self._updated[name] = _describe(content.get("data", {}))

    def _write(self, text: str) -> None:
        *complete, self._partial = (self._partial + text).split("\n")
        for line in complete:
            self._line(line)

    def _flush(self) -> None:
        if self._partial:
            self._line(self._partial)
            self._partial = ""

    def _line(self, text: str) -> None:
        self._printed += 1
        if self._printed > _OUTPUT_LINES:
            return
        if self._printed == _OUTPUT_LINES:
            text = "… more output is not shown here"
        # Of a progress bar that redraws its line, only what it last showed is worth a line here.
        self.say(f"{_MARGIN}{printable(_ESCAPES.sub('', text.rstrip(chr(13)).rpartition(chr(13))[2]))}")


def _describe(bundle: Mapping[str, Any]) -> str:
    image = next((kind for kind in bundle if kind.startswith("image/")), None)
    if image is not None:
        return f"[{image}, {len(str(bundle[image])) * 3 // 4 / 1000:.0f} kB]"
    return str(bundle.get("text/plain", next(iter(bundle.values()), "")))


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,]+( ?[a-zA-Zµ%/]+)?", text))
