"""HTML that fits into light and dark themes, and stays readable where nothing but HTML is left. Every text is escaped here."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import ansi

FONT: Final = (
    "font-family: var(--jp-ui-font-family, sans-serif); font-size: var(--jp-ui-font-size1, 13px); line-height: 1.6"
)
MUTED: Final = "color: var(--jp-ui-font-color2, inherit)"
LINE: Final = "var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
GOOD: Final = "var(--jp-success-color1, #2e7d32)"
BAD: Final = "var(--jp-error-color1, #c62828)"
WARN: Final = "var(--jp-warn-color1, #b26a00)"
BUSY: Final = "var(--jp-brand-color1, #1976d2)"
REST: Final = "var(--jp-border-color1, #9e9e9e)"

# Words and glyphs carry the meaning; colour only repeats it.
STATE_COLOURS: Final = {
    TaskState.RUNNING: BUSY,
    TaskState.CANCELLING: WARN,
    TaskState.SUCCESS: GOOD,
    TaskState.FAILED: BAD,
    TaskState.CANCELLED: WARN,
}


def text(content: str, *, colour: str = "", bold: bool = False, title: str = "") -> str:
    """Return an inline piece of text."""
    style = (f"color: {colour};" if colour else "") + ("font-weight: 600;" if bold else "")
    about = (f' title="{html.escape(title)}"' if title else "") + (f' style="{style}"' if style else "")
    return f"<span{about}>{html.escape(content)}</span>"


def paragraph(content: str, *, style: str = "", role: str = "") -> str:
    """Return a line of its own. With a `role` such as ``status`` or ``alert`` screen readers say it when it changes."""
    about = f' role="{role}"' if role else ""
    return f'<div{about} style="{FONT}; overflow-wrap: anywhere; {style}">{html.escape(content)}</div>'


def block(*parts: str) -> str:
    """Return pieces of HTML as one."""
    return f'<div class="funcx-widget" style="{FONT}">{"".join(parts)}</div>'


def grid(columns: str, cells: Sequence[str], *, heading: bool = False) -> str:
    """Return one line of cells, which are HTML, with the same columns as other lines of this `columns`."""
    weight = "font-weight: 600;" if heading else ""
    style = f"{FONT}; {weight} display: grid; grid-template-columns: {columns}; column-gap: 0.7em; line-height: 1.6"
    inner = "".join(
        f'<div style="overflow: hidden; text-overflow: ellipsis; white-space: nowrap">{cell}</div>' for cell in cells
    )
    return f'<div style="{style}">{inner}</div>'


def table(heading: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return a table; the heading is text, the cells of `rows` are HTML."""
    left = "text-align: left; vertical-align: top; padding: 0.15em 1em 0.15em 0"
    head = "".join(f'<th scope="col" style="{left}">{html.escape(cell)}</th>' for cell in heading)
    body = "".join("<tr>" + "".join(f'<td style="{left}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    said = f'<caption style="{left}; caption-side: top">{html.escape(caption)}</caption>' if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def copyable(lines: Sequence[str]) -> str:
    """Return lines of code, each of which a click selects as a whole."""
    style = "user-select: all; display: block; font-family: var(--jp-code-font-family, monospace); padding: 0.15em 0"
    made = "".join(f'<code style="{style}">{html.escape(line)}</code>' for line in lines)
    return f'<div role="status" style="{FONT}">A click selects a line, to be copied:{made}</div>'


def preformatted(content: str) -> str:
    """Return printed text as it was printed, with its colours. Who has no mouse can scroll it."""
    style = (
        "max-height: 20em; overflow: auto; margin: 0.3em 0; white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.4;"
        " font-family: var(--jp-code-font-family, monospace)"
    )
    return f'<pre tabindex="0" style="{style}">{ansi.as_html(content)}</pre>'


def picture(kind: str, content: str, about: str) -> str:
    """Return a picture of this MIME type, in base64. Who cannot see it reads `about`."""
    source = f"data:{kind};base64,{content}"
    return f'<img style="max-width: 100%" alt="{html.escape(about)}" src="{source}">'


def details(summary: str, inner: str) -> str:
    """Return HTML that opens on a click, or a key."""
    return f"<details><summary>{html.escape(summary)}</summary>{inner}</details>"


def shares(parts: Sequence[tuple[str, float, str]], about: str) -> str:
    """Return a bar of parts, each with its label, amount and colour. Who cannot see it reads `about`."""
    total = sum(amount for _, amount, _ in parts) or 1.0
    inner = "".join(
        f'<div title="{html.escape(label)}" style="width: {100 * amount / total:.2f}%; background: {colour}"></div>'
        for label, amount, colour in parts
        if amount
    )
    style = f"display: flex; height: 6px; border-radius: 3px; overflow: hidden; background: {LINE}; margin: 0.3em 0"
    return f'<div role="img" aria-label="{html.escape(about)}" style="{style}">{inner}</div>'
