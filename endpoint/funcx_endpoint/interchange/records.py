"""What the interchange remembers of a lease and of a manager."""

from __future__ import annotations

import msgspec

from funcx_core.ids import BlockId, FunctionId, ManagerId
from funcx_core.protocol.functions import SentFunctions
from funcx_core.protocol.task import Task


class ManagerRecord:
    """One registered manager and what it holds.

    Attributes:
        capacity: tasks it runs at a time.
        counts: how many leases it holds, by function.
        leased: how many leases it holds.
        unsettled: results of its tasks that are not on disk yet: their slots are not free before.
        functions: which bodies it still has.
        is_buried: it is gone, and what became of its leases was settled.
        is_gone: it was given up. Results of it still count while their lease is open; nothing else does.
    """

    __slots__ = (
        "block_id",
        "capacity",
        "counts",
        "epoch",
        "functions",
        "hostname",
        "idle",
        "is_buried",
        "is_draining",
        "is_gone",
        "last_heard",
        "leased",
        "manager_id",
        "pid",
        "unsettled",
    )

    def __init__(
        self,
        manager_id: ManagerId,
        capacity: int,
        *,
        now: float,
        epoch: int = 0,
        block_id: BlockId = BlockId(""),  # noqa: B008 - an immutable string
        hostname: str = "",
        pid: int = 0,
    ) -> None:
        self.manager_id = manager_id
        self.capacity = capacity
        self.epoch = epoch
        self.block_id = block_id
        self.hostname = hostname
        self.pid = pid
        self.last_heard = now
        self.counts: dict[FunctionId, int] = {}
        self.leased = 0
        self.unsettled = 0
        self.idle = capacity
        self.functions = SentFunctions()
        self.is_gone = False
        self.is_buried = False
        self.is_draining = False

    @property
    def occupied(self) -> int:
        """Slots that cannot be given now."""
        return self.leased + self.unsettled

    @property
    def is_open(self) -> bool:
        """Whether it may be given leases at all."""
        return not (self.is_gone or self.is_draining)

    def take(self, function_id: FunctionId, number: int) -> None:
        """It holds `number` more leases of this function."""
        self.leased += number
        self.counts[function_id] = self.counts.get(function_id, 0) + number

    def release(self, function_id: FunctionId, number: int = 1) -> None:
        """It holds `number` fewer leases of this function."""
        self.leased -= number
        left = self.counts[function_id] - number
        if left:
            self.counts[function_id] = left
        else:
            del self.counts[function_id]


class Held(msgspec.Struct):
    """An open lease of this endpoint: waiting (`manager` is None), or leased on to a manager.

    Attributes:
        task: the task.
        arrived: when it came, in Unix nanoseconds, for people.
        manager: who has it.
        is_over: it ended while it waited; the queue skips it.
        is_reported: the service was told that it waits for nodes.
    """

    task: Task
    arrived: int
    manager: ManagerRecord | None = None
    is_over: bool = False
    is_reported: bool = False
