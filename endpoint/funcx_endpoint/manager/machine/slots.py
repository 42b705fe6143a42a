"""A worker as the machine sees it: what was dealt to it, in order, and since when the first of it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from funcx_core.protocol.functions import SentFunctions
from funcx_endpoint.manager.machine.held import Held

SENT_FUNCTIONS: Final = 512
"""Bodies that a worker is trusted to have; it keeps twice as many."""


class Life(Enum):
    """Of the process in a slot."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"
    """It was dismissed, and has not ended yet."""


@dataclass(slots=True, eq=False)
class Slot:
    """One slot.

    Attributes:
        dealt: what the worker has and has not answered for, by number, in the order in which it runs.
        chunks: last number and expected seconds (None: unknown) of each chunk that is not done.
        since: when the first of `dealt` began; since when there is none, if there is none.
        number: the number given last; numbers rise for ever, over respawns too.
        recalled: first of `dealt` when the rest was asked for, so that it is asked for once.
        looked: first of `dealt` when the page was looked at for results that wait to be sent.
        report_at: when to look again whether the first of `dealt` has begun, if it had not when it was due.
        failures: deaths in a row before the worker was ready.
        spawn_at: when a worker that is down is to be started.
        kind: what the worker runs in, or the next one if this one is not of that kind any more.
        is_moving: whether the present process is of another kind, and gives way to one of `kind` when it is idle.
        kind_since: since when it is of that kind.
    """

    index: int
    life: Life = Life.DOWN
    dealt: dict[int, Held] = field(default_factory=dict)
    chunks: deque[tuple[int, float | None]] = field(default_factory=deque)
    since: float = 0.0
    number: int = 0
    recalled: int = 0
    looked: int = 0
    report_at: float = 0.0
    failures: int = 0
    spawn_at: float = 0.0
    kind: str = ""
    is_moving: bool = False
    kind_since: float = 0.0
    sent: SentFunctions = field(default_factory=lambda: SentFunctions(SENT_FUNCTIONS))

    @property
    def head(self) -> Held | None:
        """The task that the worker runs, or is about to."""
        return next(iter(self.dealt.values()), None)

    @property
    def is_idle(self) -> bool:
        """Whether the worker waits for work."""
        return self.life is Life.READY and not self.dealt

    @property
    def is_stopping(self) -> bool:
        """Whether what it runs is being stopped: nothing more must come near it."""
        head = self.head
        return head is not None and head.stop is not None

    def drop_done_chunks(self) -> None:
        """Forget chunks of which nothing is left."""
        first = next(iter(self.dealt), None)
        while self.chunks and (first is None or self.chunks[0][0] < first):
            self.chunks.popleft()

    def remove(self, numbers: Iterable[int]) -> list[Held]:
        """Take these tasks out again; numbers that are not here are passed over."""
        found = [held for number in numbers if (held := self.dealt.pop(number, None)) is not None]
        for held in found:
            held.worker = None
        self.drop_done_chunks()
        return found
