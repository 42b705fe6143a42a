"""Text with the colours of terminals, as HTML.

The classes are those of notebooks. Front ends have styles for them in streams only, so the same colours are written beside them.
"""

from __future__ import annotations

import html
import re
from typing import Final

_CODES: Final = re.compile(r"\x1b\[([0-9;]*)m")
_OTHERS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07]*\x07")
_OVERWRITTEN: Final = re.compile(r"[^\n]*\r(?=[^\r\n])")
_COLOURS: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES: Final = {1: "ansi-bold", 4: "ansi-underline", 7: "ansi-inverse"}
_NORMAL: Final = ("#3e424d", "#e75c58", "#00a250", "#ddb62b", "#208ffb", "#d160c4", "#60c6c8", "#c5c1b4")
_INTENSE: Final = ("#282c36", "#b22b31", "#007427", "#b27d12", "#0065ca", "#a03196", "#258f8f", "#a1a6b2")
_WRITTEN: Final = {
    **{f"ansi-{name}-fg": f"color: {colour}" for name, colour in zip(_COLOURS, _NORMAL, strict=True)},
    **{f"ansi-{name}-bg": f"background-color: {colour}" for name, colour in zip(_COLOURS, _NORMAL, strict=True)},
    **{f"ansi-{name}-intense-fg": f"color: {colour}" for name, colour in zip(_COLOURS, _INTENSE, strict=True)},
    **{
        f"ansi-{name}-intense-bg": f"background-color: {colour}"
        for name, colour in zip(_COLOURS, _INTENSE, strict=True)
    },
    "ansi-bold": "font-weight: bold",
    "ansi-underline": "text-decoration: underline",
    "ansi-inverse": "filter: invert(1)",
}
_CUBE: Final = (0, 95, 135, 175, 215, 255)
_GREYS: Final = 232
_OF_TABLE: Final = 5
_OF_PARTS: Final = 2
_MOST: Final = 255


def as_printed(text: str) -> str:
    """Return what a terminal would show in place of `text`: what a carriage return overwrites is gone."""
    return _OVERWRITTEN.sub("", text) if "\r" in text else text


def without_codes(text: str) -> str:
    """Return `text` without what colours it."""
    return _OTHERS.sub("", _CODES.sub("", text))


def as_html(text: str) -> str:
    """Return `text`, escaped, in spans of the classes ``ansi-red-fg`` and its kin; other colours as they are."""
    pieces: list[str] = []
    looks: dict[str, str] = {}
    written = 0
    text = _OTHERS.sub("", text)
    for code in _CODES.finditer(text):
        pieces.append(_span(text[written : code.start()], looks))
        written = code.end()
        _follow(looks, [int(number or 0) for number in code[1].split(";")])
    pieces.append(_span(text[written:], looks))
    return "".join(pieces)


def _span(text: str, looks: dict[str, str]) -> str:
    if not text or not looks:
        return html.escape(text)
    classes = " ".join(look for look in looks.values() if look in _WRITTEN)
    style = "; ".join(_WRITTEN.get(look, look) for look in looks.values())
    known = f'class="{classes}" ' if classes else ""
    return f'<span {known}style="{style}">{html.escape(text)}</span>'


def _follow(looks: dict[str, str], numbers: list[int]) -> None:
    """Change how text looks by the numbers of one code."""
    at = 0
    while at < len(numbers):
        if numbers[at] in {38, 48}:
            at += _chosen(looks, "fg" if numbers[at] == 38 else "bg", numbers[at + 1 :])  # noqa: PLR2004 - codes of ECMA-48
        else:
            _change(looks, numbers[at])
        at += 1


def _chosen(looks: dict[str, str], place: str, rest: list[int]) -> int:
    """Set a colour of the table of 256, or one by its parts; return how many numbers it took."""
    match rest:
        case [kind, number, *_] if kind == _OF_TABLE and number <= _MOST:
            looks[place] = _of_table(number, place)
            return 2
        case [kind, red, green, blue, *_] if kind == _OF_PARTS and max(red, green, blue) <= _MOST:
            looks[place] = _written(place, red, green, blue)
            return 4
        case _:
            return len(rest)


def _of_table(number: int, place: str) -> str:
    if number < 2 * len(_COLOURS):
        bright = "-intense" if number >= len(_COLOURS) else ""
        return f"ansi-{_COLOURS[number % len(_COLOURS)]}{bright}-{place}"
    if number >= _GREYS:
        grey = 8 + 10 * (number - _GREYS)
        return _written(place, grey, grey, grey)
    red, rest = divmod(number - 2 * len(_COLOURS), len(_CUBE) ** 2)
    return _written(place, *(_CUBE[part] for part in (red, *divmod(rest, len(_CUBE)))))


def _written(place: str, red: int, green: int, blue: int) -> str:
    return f"{'color' if place == 'fg' else 'background-color'}: rgb({red}, {green}, {blue})"


def _change(looks: dict[str, str], number: int) -> None:
    if number == 0:
        looks.clear()
    elif number in _STYLES:
        looks[_STYLES[number]] = _STYLES[number]
    elif number == 22:  # noqa: PLR2004 - codes of ECMA-48, here and below
        looks.pop("ansi-bold", None)
    for first, place, bright in ((30, "fg", ""), (90, "fg", "-intense"), (40, "bg", ""), (100, "bg", "-intense")):
        if first <= number < first + len(_COLOURS):
            looks[place] = f"ansi-{_COLOURS[number - first]}{bright}-{place}"
        elif number == first + 9 and not bright:
            looks.pop(place, None)
