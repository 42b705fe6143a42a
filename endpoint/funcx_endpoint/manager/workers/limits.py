"""What a worker may use, and what it used too much of."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What one worker may use, together with the processes that its task starts; None for no limit.

    Attributes:
        memory: bytes.
        processes: how many there may be below the worker.
    """

    memory: int | None = None
    processes: int | None = None

    def of(self, places: int) -> Limits:
        """Return what a worker may use that has the places of so many."""
        if places == 1:
            return self
        memory, processes = self.memory, self.processes
        return Limits(memory and memory * places, processes and processes * places)

    def __bool__(self) -> bool:
        return self.memory is not None or self.processes is not None


class Excess(msgspec.Struct, frozen=True):
    """What is too much. `what` is ``memory`` (bytes) or ``processes``."""

    what: str
    used: int
    limit: int

    def details(self) -> dict[str, int]:
        """Return the facts for the error of the task that is lost by it."""
        return {f"{self.what}_used": self.used, f"{self.what}_limit": self.limit}
