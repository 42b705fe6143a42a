"""Repeats in the notebook what the cell prints and shows on its worker, in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display.bars import Bars, BarsView
from funcx_jupyter.display.cap import Cap, Hidden, left_out

_TEXT = {EventKind.STDOUT: "stdout", EventKind.STDERR: "stderr"}


class Publisher(Protocol):
    """IPython's `display_pub`."""

    def publish(
        self, data: dict[str, Any], metadata: dict[str, Any], *, transient: dict[str, Any], update: bool
    ) -> Any:
        """Show a MIME bundle."""

    def clear_output(self, *, wait: bool) -> Any:
        """Remove what the cell has shown."""


class Player:
    """Plays the events of one task, each once. To be used by the main thread, so that output lands in the running cell.

    Args:
        publisher: where rich output goes.
        after_clear: called when the cell's output was cleared, and with it the header.
        bars: where progress bars are shown.
        before_text: called with text that is about to be written.
        hidden: keeps back text of which there is too much.
    """

    def __init__(
        self,
        publisher: Publisher,
        after_clear: Callable[[], None],
        bars: BarsView,
        before_text: Callable[[str], None] = lambda _: None,
        hidden: Hidden | None = None,
    ) -> None:
        self._publisher = publisher
        self._after_clear = after_clear
        self._bars = Bars(bars)
        self._before_text = before_text
        self._hidden = hidden or Hidden(Cap("%funcx logs"), lambda *_: None)
        self._clears_next = False
        self._played = 0

    def play(self, events: Sequence[TaskEvent]) -> None:
        """Show what is new in `events`, which are in order. Text of one stream is written in one piece."""
        pieces: list[str] = []
        writing: EventKind | None = None
        for event in events:
            if event.seq <= self._played:
                continue
            self._played = event.seq
            if event.kind is not writing:
                self._write(writing, pieces)
                writing = event.kind if event.kind in _TEXT else None
            if writing is None:
                self._show(event)
            else:
                pieces.append(event.body.decode(errors="replace"))
        self._write(writing, pieces)
        self._hidden.tell()

    def _write(self, kind: EventKind | None, pieces: list[str]) -> None:
        if kind is None or not pieces:
            return
        if self._clears_next:
            self._make_room()  # What is cleared does not count.
        self._print(_TEXT[kind], self._hidden.cap.take(_TEXT[kind], "".join(pieces)))
        pieces.clear()

    def _print(self, name: str, text: str) -> None:
        if not text:
            return
        self._make_room()
        self._before_text(text)
        # Looked up now: `%%capture` and tests replace the streams.
        stream = getattr(sys, name)
        stream.write(text)
        stream.flush()

    def end(self, *, is_over: bool) -> None:
        """No more of the task will be played. `is_over`: because it has ended."""
        self._bars.aside()
        for name, text in self._hidden.finish():
            self._print(name, text)
        self._bars.end(is_over=is_over)

    def _make_room(self) -> None:
        """Something is about to be shown: what it is to take the place of goes now."""
        self._bars.aside()
        if self._clears_next:
            self._clear(wait=True)

    def _clear(self, *, wait: bool) -> None:
        self._clears_next = False
        self._publisher.clear_output(wait=wait)
        self._after_clear()
        self._bars.cleared()
        self._hidden.cleared()

    def _show(self, event: TaskEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            self._bars.feed(event)
            return
        if event.kind is EventKind.CLEAR:
            if json.loads(event.body).get("wait"):
                # Not yet: the header would be the next thing, and take the place of a picture too early.
                self._clears_next = True
            else:
                self._bars.aside()
                self._clear(wait=False)
            return
        if event.kind is not EventKind.UPDATE_DISPLAY:
            self._make_room()
        match event.kind:
            case EventKind.DISPLAY | EventKind.UPDATE_DISPLAY:
                body = json.loads(event.body)
                self._publisher.publish(
                    body["data"],
                    body.get("metadata") or {},
                    transient=body.get("transient") or {},
                    update=event.kind is EventKind.UPDATE_DISPLAY,
                )
            case EventKind.TRUNCATED:
                self._hidden.cap.left_out(*left_out(event.body))
                self._hidden.tell()  # Before what comes after it.
            case EventKind.LOG:
                self._write(EventKind.STDERR, [event.body.decode(errors="replace")])
            case _:
                return
