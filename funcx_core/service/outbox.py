"""What waits to be written to one stream, and what happens when its client reads too slowly.

Theory of operation. What arrives in one turn of the loop leaves as one frame of each kind. Frames are handed to the
connection while less than `WINDOW` bytes of earlier ones are unwritten; the rest waits here and grows into fewer,
larger frames. When more than `LIMIT` bytes or `LIMIT_FRAMES` frames' worth would wait, everything waiting is dropped: the store
has it all. The client hears `Poll` once it reads again, and asks for what it still misses. A single large result is let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from funcx_core.protocol.client import Poll, StateChange, TaskEvents, TaskResults, TaskStates, ToClient
from funcx_core.protocol.task import TaskEvent, TaskResult

FRAME: Final = 4 * 1024 * 1024
WINDOW: Final = 4 * 1024 * 1024
LIMIT: Final = 8 * 1024 * 1024
LIMIT_FRAMES: Final = 1_000
OVERHEAD: Final = 100
"""Bytes of a result or event besides its content, roughly."""


class Outbox:
    """Pure: `add_*` what happened, write what `take` returns, and tell `written` when it left."""

    def __init__(self, *, window: int = WINDOW, limit: int = LIMIT, frame: int = FRAME) -> None:
        self._window = window
        self._limit = limit
        self._frame = frame
        self._results: list[TaskResult] = []
        self._events: list[TaskEvent] = []
        self._changes: list[StateChange] = []
        self._waiting_bytes = 0
        self._unwritten_bytes = 0
        self._unwritten_frames = 0
        self._overflowed = False

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that were taken and have not left."""
        return self._unwritten_bytes

    def add_results(self, results: list[TaskResult]) -> None:
        """Queue results."""
        if self._make_room(sum([len(result.value) + OVERHEAD for result in results])):
            self._results += results

    def add_events(self, events: list[TaskEvent]) -> None:
        """Queue events."""
        if self._make_room(sum([len(event.body) + OVERHEAD for event in events])):
            self._events += events

    def add_changes(self, changes: list[StateChange]) -> None:
        """Queue changes of state."""
        if self._make_room(OVERHEAD * len(changes)):
            self._changes += changes

    def take(self) -> Iterator[ToClient]:
        """Yield the messages to write now. For each one taken `sent` must be called before the next."""
        if self._overflowed and not self._unwritten_bytes:
            self._overflowed = False
            yield Poll()
        yield from self._frames()

    def sent(self, size: int) -> None:
        """A frame of `size` bytes was handed to the connection."""
        self._unwritten_bytes += size
        self._unwritten_frames += 1

    def written(self, size: int) -> bool:
        """A frame of `size` bytes has left; whether there may be more to take."""
        self._unwritten_bytes -= size
        self._unwritten_frames -= 1
        return self._overflowed or self._waiting_bytes > 0

    def _make_room(self, size: int) -> bool:
        if self._overflowed:
            return False
        too_much = self._waiting_bytes + self._unwritten_bytes + size > self._limit
        alone = not self._waiting_bytes and not self._unwritten_bytes
        if (too_much and not alone) or self._unwritten_frames > LIMIT_FRAMES:
            self._overflowed = True
            self._results, self._events, self._changes = [], [], []
            self._waiting_bytes = 0
            return False
        self._waiting_bytes += size
        return True

    def _frames(self) -> Iterator[ToClient]:
        # Events come before results: an ended task has no log to add to.
        while self._waiting_bytes and self._unwritten_bytes < self._window:
            if self._changes:
                changes, self._changes = self._changes, []
                self._waiting_bytes -= OVERHEAD * len(changes)
                yield TaskStates(changes)
            elif self._events:
                count, size = first_frame([len(event.body) + OVERHEAD for event in self._events], self._frame)
                events, self._events = self._events[:count], self._events[count:]
                self._waiting_bytes -= size
                yield TaskEvents(events)
            else:
                count, size = first_frame([len(result.value) + OVERHEAD for result in self._results], self._frame)
                results, self._results = self._results[:count], self._results[count:]
                self._waiting_bytes -= size
                yield TaskResults(results)


def first_frame(sizes: Iterable[int], limit: int) -> tuple[int, int]:
    """Return how many of the things with these sizes fit into one frame (at least one), and their size."""
    count = total = 0
    for size in sizes:
        if count and total + size > limit:
            break
        count += 1
        total += size
    return count, total
