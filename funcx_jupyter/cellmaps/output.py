"""What the elements of a map printed and showed, in the order of the elements, each line with its element's name. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from funcx_core.cells.elements import Piece
from funcx_core.protocol.task import EventKind
from funcx_jupyter.display.block import Block

MOST_KEPT: Final = 4 * 1024 * 1024
"""Bytes of output that are kept to be shown; of what comes later only the number of elements is."""
MOST_FAILURES: Final = 20
"""Failed elements that are named among the output."""
PRINTED: Final = {EventKind.STDOUT: "stdout", EventKind.STDERR: "stderr", EventKind.LOG: "stderr"}


class MapOutput:
    """The output of all elements that have ended by now.

    Args:
        name_of: gives the name of the element of a number.
        more: what to type to see all of it.
    """

    def __init__(self, name_of: Callable[[int], str], more: str) -> None:
        self._name_of = name_of
        self._more = more
        self._pieces: dict[int, list[Piece]] = {}
        self._failures: dict[int, str] = {}
        self._room = MOST_KEPT
        self._unkept: set[int] = set()
        self._hidden: dict[int, int] = {}
        self.version = 0
        """Raised by whatever changes what is shown."""

    def add(self, number: int, pieces: list[Piece], hidden: int) -> None:
        """An element has ended with a value. `hidden`: bytes of its output that stayed behind."""
        self._failures.pop(number, None)
        self._keep(number, pieces, hidden)

    def fail(self, number: int, line: str, pieces: list[Piece], hidden: int) -> None:
        """An element has ended without a value, and why; this is what it had printed and shown by then."""
        self._failures[number] = line
        self._keep(number, pieces, hidden)
        self.version += 1

    def _keep(self, number: int, pieces: list[Piece], hidden: int) -> None:
        for piece in self._pieces.pop(number, ()):  # Of an earlier run.
            self._room += len(piece.body)
        self._unkept.discard(number)
        self._hidden[number] = hidden
        size = sum(len(piece.body) for piece in pieces)
        if size > self._room:
            self._unkept.add(number)
        elif pieces:
            self._room -= size
            self._pieces[number] = pieces
        if pieces or hidden:
            self.version += 1

    def as_bundle(self) -> dict[str, str]:
        """Return the output in both forms."""
        block = Block(self._more)
        failing = set(sorted(self._failures)[:MOST_FAILURES])
        # Of failures beyond those that are named, nothing is shown: `more` has all of them.
        for number in sorted((self._pieces.keys() - self._failures.keys()) | failing):
            name = self._name_of(number)
            put(block, name, self._pieces.get(number, ()))
            if number in failing:
                block.print(f"[{name}] {self._failures[number]}\n", "stderr")
        for line in self._left_out(len(self._failures) - len(failing)):
            block.print(f"{line}\n", "stdout")
        return block.as_bundle()

    def _left_out(self, failures: int) -> Iterable[str]:
        if failures > 0:
            yield f"… {failures:,} more failed"
        if self._unkept:
            yield f"… {len(self._unkept):,} more printed — `{self._more}`"
        if hidden := sum(self._hidden.values()):
            yield f"… {hidden:,} bytes of output of single elements hidden"


def put(block: Block, name: str, pieces: Iterable[Piece]) -> None:
    """Put what an element printed and showed into a block, under its name."""
    for piece in pieces:
        if piece.kind in PRINTED:
            block.print(labelled(name, piece.body.decode(errors="replace")), PRINTED[piece.kind])
            continue
        shown: dict[str, Any] = json.loads(piece.body)
        block.print(f"[{name}]\n", "stdout")
        block.show(shown["data"])


def labelled(name: str, text: str) -> str:
    """Return each line of the text with the name before it. Of a line that was written over, its last form is taken."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.removesuffix("\n").split("\n")]
    return "".join(f"[{name}] {line}\n" for line in lines)
