"""What the manager reported of leases and must be able to say again: results and losses, until they are acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from funcx_core.protocol.endpoint import GiveBack, Results
from funcx_core.protocol.task import Lease, TaskResult

FRAME_RESULTS: Final = 500
FRAME_BYTES: Final = 1024 * 1024


class Reports:
    """Reports in the order in which they are sent. An acknowledgement counts leases from the beginning of a session."""

    def __init__(self) -> None:
        self._kept: deque[TaskResult | GiveBack] = deque()
        self._acknowledged = 0
        self.sent = 0
        """Leases reported in this session."""

    def __bool__(self) -> bool:
        return bool(self._kept)

    def results(self, results: Sequence[TaskResult]) -> None:
        """Keep these results."""
        self._kept.extend(results)
        self.sent += len(results)

    def lost(self, message: GiveBack) -> None:
        """Keep a report of leases that were lost."""
        self._kept.append(message)
        self.sent += len(message.lost)

    def leases(self) -> list[Lease]:
        """Return the leases that were reported on and may be reported on again."""
        return [lease for kept in self._kept for lease in ([kept.lease] if isinstance(kept, TaskResult) else kept.lost)]

    def begin_session(self) -> None:
        """Acknowledgements count anew, from the oldest report that is kept."""
        self._acknowledged = 0
        self.sent = len(self.leases())

    def acknowledged(self, count: int) -> None:
        """The first `count` leases of this session are safe."""
        kept = self._kept
        while kept and self._acknowledged < count:
            oldest = kept.popleft()
            self._acknowledged += 1 if isinstance(oldest, TaskResult) else len(oldest.lost)

    def again(self) -> list[Results | GiveBack]:
        """Return all that is kept, as messages of bounded size."""
        messages: list[Results | GiveBack] = []
        frame: list[TaskResult] = []
        size = 0
        for kept in self._kept:
            if frame and (isinstance(kept, GiveBack) or len(frame) >= FRAME_RESULTS or size > FRAME_BYTES):
                messages.append(Results(frame))
                frame, size = [], 0
            if isinstance(kept, GiveBack):
                messages.append(kept)
            else:
                frame.append(kept)
                size += len(kept.value)
        return [*messages, Results(frame)] if frame else messages
