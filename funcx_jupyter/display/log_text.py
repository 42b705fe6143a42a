"""The log of a task as text: what it has printed, how much of that is gone, and how its bars were last. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from funcx_core.progress.text import lines
from funcx_core.protocol.progress import Progress, read_progress
from funcx_core.protocol.task import EventKind
from funcx_jupyter.display.cap import counted, left_out

_STREAMS: Final = {
    EventKind.STDOUT.value: "stdout",
    EventKind.STDERR.value: "stderr",
    EventKind.LOG.value: "stderr",
}


class LogText:
    """Turns entries of a log, as the service tells them, into text of ``stdout`` and ``stderr``."""

    def __init__(self) -> None:
        self._bars = Progress()

    def feed(self, events: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
        """Return what these entries print."""
        found: list[tuple[str, str]] = []
        for event in events:
            kind, body = event["kind"], str(event["body"])
            if kind in _STREAMS:
                found.append((_STREAMS[kind], body))
            elif kind == EventKind.TRUNCATED.value:
                found.append(("stdout", _gone(*left_out(body.encode()))))
            elif kind == EventKind.PROGRESS.value:
                self._bars = read_progress(body.encode()) or self._bars
        return found

    def end(self) -> list[tuple[str, str]]:
        """Return what the bars were at the end of the log."""
        return [("stderr", "".join(f"{line}\n" for line in lines(self._bars)))] if self._bars.bars else []


def _gone(number: int, size: int) -> str:
    what = counted(number, "line") if number else counted(size, "byte")
    return f"\n… {what} gone: an endpoint keeps the beginning and the end of what a task prints (`max_output`)\n"
