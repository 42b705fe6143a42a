"""What C code and child processes of a task write to the file descriptors 1 and 2, as events of that task."""

from __future__ import annotations

import codecs

from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind


class RawOutput:
    """One worker's pipes: text out of bytes, bounded per task, the head kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._task_id: TaskId | None = None
        self._room = most
        self._dropped = 0
        self._lines = 0
        self._decoders = {kind: _decoder() for kind in (EventKind.STDOUT, EventKind.STDERR)}

    def take(self, task_id: TaskId, kind: EventKind, data: bytes) -> bytes:
        """Return the part of `data` that becomes an event of the task, as UTF-8; it may be empty."""
        if task_id != self._task_id:
            self._task_id, self._room, self._dropped, self._lines = task_id, self._most, 0, 0
            self._decoders = {kind: _decoder() for kind in self._decoders}
        text = self._decoders[kind].decode(data).encode()
        kept = text if len(text) <= self._room else text[: self._room].decode(errors="ignore").encode()
        self._dropped += len(text) - len(kept)
        self._lines += text.count(b"\n", len(kept))
        self._room = 0 if len(kept) < len(text) else self._room - len(kept)
        return kept

    def dropped(self, task_id: TaskId) -> tuple[int, int]:
        """Return how many bytes and lines of this task were left out, and forget it: the task has ended."""
        if task_id != self._task_id:
            return 0, 0
        dropped, self._dropped = self._dropped, 0
        return dropped, self._lines


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("backslashreplace")
