"""All that a task has printed and shown, as one piece of HTML with a text twin, which is put up again as it grows.

An asynchronous cell has one, because only what has a display id can be changed after its cell has ended. Its size has a bound, whatever
the task prints: the beginning and the end are shown, and what was left out between them is counted. Pure, and for one thread.
"""

from __future__ import annotations

import base64
import html
import json
from typing import Any, Final

import msgspec

from funcx_core.protocol.progress import Progress
from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display import ansi
from funcx_jupyter.display.bars import Bars, NotebookBars
from funcx_jupyter.display.cap import counted, left_out

HEAD: Final = 16 * 1024
"""Characters of text that are shown from the beginning, and stay."""
TAIL: Final = 48 * 1024
"""Characters that are shown from the end."""
MOST_RICH: Final = 8 * 1024 * 1024
"""Characters of figures and tables; the oldest after the beginning go first."""
_BARS: Final = "funcx-progress"
"""What stands for the display id of progress bars."""
_TEXT: Final = {EventKind.STDOUT: "stdout", EventKind.STDERR: "stderr", EventKind.LOG: "stderr"}
_PRE: Final = (
    "margin: 0; padding: 0 0 0 var(--jp-code-padding, 0); white-space: pre-wrap; font-family: var(--jp-code-font-family, monospace); "
    "font-size: var(--jp-code-font-size, inherit); line-height: var(--jp-code-line-height, inherit)"
)
"""As a front end shows what a cell prints: in Lab's own variables, elsewhere in what is usual there."""
_STDERR: Final = f"{_PRE}; background: var(--jp-rendermime-error-background, #fdd)"


class Printed(msgspec.Struct):
    """Text of one stream."""

    stream: str
    text: str


class Shown(msgspec.Struct):
    """A MIME bundle."""

    data: dict[str, Any]
    display_id: str = ""

    @property
    def size(self) -> int:
        """Characters, about."""
        return sum(len(content) for content in self.data.values() if isinstance(content, str))


class Block:
    """The output of one task.

    Args:
        more: what to type to see all of it.
    """

    def __init__(self, more: str) -> None:
        self._more = more
        self._head: list[Printed | Shown] = []
        self._tail: list[Printed | Shown] = []
        self._head_room = HEAD
        self._tail_size = 0
        self._rich_size = 0
        self._hidden_lines = 0
        self._hidden_things = 0
        self._clear_next = False
        self._bars = Bars(BlockBars(self))

    @property
    def size(self) -> int:
        """Characters that are put up each time, about."""
        return HEAD - self._head_room + self._tail_size + self._rich_size

    def feed(self, event: TaskEvent) -> None:
        """The task printed, showed or cleared something."""
        if event.kind in _TEXT:
            self.print(event.body.decode(errors="replace"), _TEXT[event.kind])
            return
        match event.kind:
            case EventKind.DISPLAY:
                body = json.loads(event.body)
                self.show(body["data"], str((body.get("transient") or {}).get("display_id") or ""))
            case EventKind.UPDATE_DISPLAY:
                body = json.loads(event.body)
                self.update(body["data"], str((body.get("transient") or {}).get("display_id") or ""))
            case EventKind.CLEAR:
                self._clear_next = True
                if not json.loads(event.body).get("wait"):
                    self._clear_if_due()
            case EventKind.PROGRESS:
                self._bars.feed(event)
            case EventKind.TRUNCATED:
                self._left_out(*left_out(event.body))
            case _:
                return

    def end(self) -> bool:
        """The task has ended; whether that changes anything here."""
        return self._bars.end()

    def print(self, text: str, stream: str) -> None:
        """Add text."""
        self._clear_if_due()
        if not self._tail and self._head_room > 0:
            taken = text[: self._head_room]
            self._head_room -= len(taken)
            _append(self._head, taken, stream)
            text = text[len(taken) :]
        if text:
            self._tail_size += _append(self._tail, text, stream)
            if self._tail_size > 2 * TAIL:
                self._shorten()

    def show(self, data: dict[str, Any], display_id: str = "") -> None:
        """Add something in its own form."""
        self._clear_if_due()
        shown = Shown(data, display_id)
        (self._tail if self._tail or self._head_room <= 0 else self._head).append(shown)
        self._rich_size += shown.size
        while self._rich_size > MOST_RICH:
            oldest = next((each for each in self._tail[:-1] if isinstance(each, Shown)), None)
            if oldest is None:
                break
            self._tail.remove(oldest)
            self._rich_size -= oldest.size
            self._hidden_things += 1

    def as_bundle(self) -> dict[str, str]:
        """Return both forms."""
        return {"text/plain": self._as_text(), "text/html": self._as_html()}

    def _left_out(self, lines: int, size: int) -> None:
        self._head_room = 0  # What comes now is the end.
        self._hidden_lines += lines
        if not lines:
            self.print(f"\n… {counted(size, 'byte')} hidden\n", "stdout")

    def _clear_if_due(self) -> None:
        if self._clear_next:
            bars = self._bars
            self.__init__(self._more)  # type: ignore[misc]
            self._bars = bars
            bars.cleared()

    def update(self, data: dict[str, Any], display_id: str) -> None:
        """Change what was shown under this id."""
        for each in [*self._head, *self._tail]:
            if isinstance(each, Shown) and each.display_id == display_id:
                self._rich_size -= each.size
                each.data = data
                self._rich_size += each.size

    def _shorten(self) -> None:
        """Leave out the oldest text of the tail."""
        kept: list[Printed | Shown] = []
        room = TAIL
        for each in reversed(self._tail):
            if isinstance(each, Printed):
                self._hidden_lines += each.text[: max(0, len(each.text) - room)].count("\n")
                each.text = each.text[-room:] if room > 0 else ""
                room -= len(each.text)
                if not each.text:
                    continue
            kept.append(each)
        self._tail = kept[::-1]
        self._tail_size = TAIL - room

    def _hidden(self) -> str:
        hidden = [
            counted(count, what)
            for count, what in ((self._hidden_lines, "line"), (self._hidden_things, "figure"))
            if count
        ]
        return f"… {' and '.join(hidden)} hidden — `{self._more}`" if hidden else ""

    def _as_text(self) -> str:
        hidden = f"\n{self._hidden()}\n" if self._hidden() else ""
        return f"{''.join(map(_text_of, self._head))}{hidden}{''.join(map(_text_of, self._tail))}".rstrip("\n")

    def _as_html(self) -> str:
        hidden = f"<div>{html.escape(self._hidden())}</div>" if self._hidden() else ""
        pieces = [*map(_html_of, self._head), hidden, *map(_html_of, self._tail)]
        return f'<div class="funcx-output">{"".join(pieces)}</div>'


class BlockBars:
    """Progress bars as a piece of a block."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._view = NotebookBars(self._show, is_live=True)

    def paint(self, progress: Progress) -> None:
        """Show how they are now."""
        self._view.paint(progress)

    def aside(self) -> None:
        """They are a piece among others."""

    def cleared(self) -> None:
        """The block is empty."""
        self._view.cleared()

    def end(self) -> None:
        """They change no more."""

    def _show(self, bundle: dict[str, Any], update: bool) -> None:
        if update:
            self._block.update(bundle, _BARS)
        else:
            self._block.show(bundle, _BARS)


def _append(pieces: list[Printed | Shown], text: str, stream: str) -> int:
    """Add text to the last piece, or as a piece of its own; return by how much all text has grown."""
    last = pieces[-1] if pieces else None
    if isinstance(last, Printed) and last.stream == stream:
        # Only the last line can be overwritten by what follows.
        start = last.text.rfind("\n") + 1
        line = ansi.as_printed(last.text[start:] + text)
        grown = start + len(line) - len(last.text)
        last.text = last.text[:start] + line
        return grown
    text = ansi.as_printed(text)
    pieces.append(Printed(stream, text))
    return len(text)


def _text_of(piece: Printed | Shown) -> str:
    if isinstance(piece, Printed):
        return ansi.without_codes(piece.text)
    return f"{_plain(piece.data)}\n"


def _plain(data: dict[str, Any]) -> str:
    return str(data.get("text/plain") or f"<{next(iter(data), 'nothing')}>")


def _html_of(piece: Printed | Shown) -> str:
    if isinstance(piece, Printed):
        return f'<pre style="{_STDERR if piece.stream == "stderr" else _PRE}">{ansi.as_html(piece.text)}</pre>'
    data = piece.data
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f'<div><img src="data:{kind};base64,{html.escape("".join(str(data[kind]).split()))}"></div>'
    if "image/svg+xml" in data:
        encoded = base64.b64encode(str(data["image/svg+xml"]).encode()).decode()
        return f'<div><img src="data:image/svg+xml;base64,{encoded}"></div>'
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>"
    if "text/latex" in data:
        return f"<div>{html.escape(str(data['text/latex']))}</div>"
    return f'<pre style="{_PRE}">{ansi.as_html(_plain(data))}</pre>'
