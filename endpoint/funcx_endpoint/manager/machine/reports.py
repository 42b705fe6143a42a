"""What the manager reported of leases and must be able to say again: results and losses, until they are acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from funcx_core.protocol.endpoint import GiveBack, Results
from funcx_core.protocol.task import Lease, TaskResult

FRAME_RESULTS: Final = 500
FRAME_BYTES: Final = 1024 * 1024


class Reports:
    """Reports in the order in which they are sent. An acknowledgement counts leases from the beginning of a session.

    Results are kept in the lists in which they came, so that keeping and forgetting costs nothing per task.
    """

    def __init__(self) -> None:
        self._kept: deque[list[TaskResult] | GiveBack] = deque()
        self._acknowledged = 0
        self.sent = 0
        """Leases reported in this session."""

    def __bool__(self) -> bool:
        return bool(self._kept)

    def results(self, results: list[TaskResult]) -> None:
        """Keep these results; the list must not change any more."""
        self._kept.append(results)
        self.sent += len(results)

    def lost(self, message: GiveBack) -> None:
        """Keep a report of leases that were lost."""
        self._kept.append(message)
        self.sent += len(message.lost)

    def leases(self) -> list[Lease]:
        """Return the leases that were reported on and may be reported on again."""
        leases: list[Lease] = []
        for kept in self._kept:
            leases += kept.lost if isinstance(kept, GiveBack) else [result.lease for result in kept]
        return leases

    def begin_session(self) -> None:
        """Acknowledgements count anew, from the oldest report that is kept."""
        self._acknowledged = 0
        self.sent = len(self.leases())

    def acknowledged(self, count: int) -> None:
        """The first `count` leases of this session are safe."""
        kept = self._kept
        while kept and self._acknowledged < count:
            oldest = kept.popleft()
            size = len(oldest.lost) if isinstance(oldest, GiveBack) else len(oldest)
            if self._acknowledged + size > count and not isinstance(oldest, GiveBack):
                kept.appendleft(oldest[count - self._acknowledged :])
                size = count - self._acknowledged
            self._acknowledged += size

    def again(self) -> list[Results | GiveBack]:
        """Return all that is kept, as messages of bounded size."""
        messages: list[Results | GiveBack] = []
        for kept in self._kept:
            messages += [kept] if isinstance(kept, GiveBack) else map(Results, _frames(kept))
        return messages


def _frames(results: list[TaskResult]) -> Iterator[list[TaskResult]]:
    start = size = 0
    for index, result in enumerate(results):
        if index > start and (size > FRAME_BYTES or index - start >= FRAME_RESULTS):
            yield results[start:index]
            start, size = index, 0
        size += len(result.value)
    yield results[start:]
