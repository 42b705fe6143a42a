"""Repeats in the notebook what the cell prints and shows on its worker, in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from funcx_core.protocol.task import EventKind, TaskEvent

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
        before_text: called with text that is about to be written.
    """

    def __init__(
        self,
        publisher: Publisher,
        after_clear: Callable[[], None],
        before_text: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._publisher = publisher
        self._after_clear = after_clear
        self._before_text = before_text
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
        self._before_text(text)
        # Looked up now: `%%capture` and tests replace the streams.
        stream = getattr(sys, _TEXT[kind])
        stream.write(text)
        stream.flush()
        pieces.clear()

    def _show(self, event: TaskEvent) -> None:
        match event.kind:
            case EventKind.DISPLAY | EventKind.UPDATE_DISPLAY:
                body = json.loads(event.body)
                self._publisher.publish(
                    body["data"],
                    body.get("metadata") or {},
                    transient=body.get("transient") or {},
                    update=event.kind is EventKind.UPDATE_DISPLAY,
                )
            case EventKind.CLEAR:
                self._publisher.clear_output(wait=bool(json.loads(event.body).get("wait")))
                self._after_clear()
            case EventKind.TRUNCATED:
                dropped = json.loads(event.body).get("bytes", 0)
                self._write(EventKind.STDOUT, [f"\n… {dropped:,} bytes of output hidden\n"])
            case EventKind.LOG:
                self._write(EventKind.STDERR, [event.body.decode(errors="replace")])
            case _:
                return  # Progress has no view of its own yet: its text twin comes with stderr.
