"""Text with the colours of terminals, as HTML with the classes that notebooks have styles for."""

from __future__ import annotations

import html
import re
from typing import Final

_CODES: Final = re.compile(r"\x1b\[([0-9;]*)m")
_OTHERS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07]*\x07")
_OVERWRITTEN: Final = re.compile(r"[^\n]*\r(?=[^\r\n])")
_COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES: Final = {1: "ansi-bold", 4: "ansi-underline", 7: "ansi-inverse"}


def as_printed(text: str) -> str:
    """Return what a terminal would show in place of `text`: what a carriage return overwrites is gone."""
    return _OVERWRITTEN.sub("", text) if "\r" in text else text


def without_codes(text: str) -> str:
    """Return `text` without what colours it."""
    return _OTHERS.sub("", _CODES.sub("", text))


def as_html(text: str) -> str:
    """Return `text`, escaped, in spans of the classes ``ansi-red-fg`` and its kin."""
    pieces: list[str] = []
    classes: dict[str, str] = {}
    written = 0
    text = _OTHERS.sub("", text)
    for code in _CODES.finditer(text):
        pieces.append(_span(text[written : code.start()], classes))
        written = code.end()
        for number in code[1].split(";"):
            _change(classes, int(number or 0))
    pieces.append(_span(text[written:], classes))
    return "".join(pieces)


def _span(text: str, classes: dict[str, str]) -> str:
    if not text or not classes:
        return html.escape(text)
    return f'<span class="{" ".join(classes.values())}">{html.escape(text)}</span>'


def _change(classes: dict[str, str], number: int) -> None:
    if number == 0:
        classes.clear()
    elif number in _STYLES:
        classes[_STYLES[number]] = _STYLES[number]
    elif number == 22:  # noqa: PLR2004 - codes of ECMA-48, here and below
        classes.pop("ansi-bold", None)
    for first, place, bright in ((30, "fg", ""), (90, "fg", "-intense"), (40, "bg", ""), (100, "bg", "-intense")):
        if first <= number < first + len(_COLOURS):
            classes[place] = f"ansi-{_COLOURS[number - first]}{bright}-{place}"
        elif number == first + 9 and not bright:
            classes.pop(place, None)
