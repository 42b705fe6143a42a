"""Repeats in the notebook what the cell prints and shows on its worker, in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_jupyter.display.bars import Bars, BarsView

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
    """

    def __init__(
        self,
        publisher: Publisher,
        after_clear: Callable[[], None],
        bars: BarsView,
        before_text: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publisher = publisher
        self._after_clear = after_clear
        self._bars = Bars(bars)
        self._before_text = before_text
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

    def _write(self, kind: EventKind | None, pieces: list[str]) -> None:
        if kind is None or not pieces:
            return
        text = "".join(pieces)
        self._make_room()
        self._before_text(text)
        # Looked up now: `%%capture` and tests replace the streams.
        stream = getattr(sys, _TEXT[kind])
        stream.write(text)
        stream.flush()
        pieces.clear()

    def end(self, *, is_over: bool) -> None:
        """No more of the task will be played. `is_over`: because it has ended."""
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

    def _show(self, event: TaskEvent) -> None:
        if event.kind is EventKind.PROGRESS:
            self._bars.feed(event)
            return
        if event.kind is EventKind.CLEAR:
            if json.loads(event.body).get("wait"):
                self._clears_next = (
                    True  # The header would be the next thing, and take the place of a picture too early.
                )
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
                dropped = json.loads(event.body).get("bytes", 0)
                self._write(EventKind.STDOUT, [f"\n… {dropped:,} bytes of output hidden\n"])
            case EventKind.LOG:
                self._write(EventKind.STDERR, [event.body.decode(errors="replace")])
            case _:
                return
