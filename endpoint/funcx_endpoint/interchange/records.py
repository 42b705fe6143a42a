"""What the interchange remembers of a lease and of a manager."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

from funcx_core.ids import BlockId, FunctionId, ManagerId
from funcx_core.protocol.functions import SentFunctions
from funcx_core.protocol.task import Task
from funcx_endpoint.shapes import Node, Shape

if TYPE_CHECKING:
    from funcx_endpoint.interchange.backlog import Lane


class Reported(msgspec.Struct):
    """One message in which a manager reported on leases.

    Attributes:
        waiting: what of it is not safe yet: a result is when it is on disk, a loss when the forwarder acknowledged it.
        size: how many leases it counts for in the manager's present session.
        weight: about how many bytes the manager keeps of it.
    """

    waiting: int
    size: int
    weight: int = 0


REMEMBERED_SHAPES = 1024
_MOST_OF_HOST: Final = 32
_MOST_OF_ID: Final = 4


class ManagerRecord:
    """One registered manager and what it holds.

    Attributes:
        capacity: slots, that is tasks of one slot that it runs at a time.
        place: what people know it by, as in `TaskTimes.node`.
        node: its node, divided into slots.
        ends_at: when its block ends by the rules of its batch system, by the monotonic clock; `math.inf` for never.
        lasts: seconds from its first registration to `ends_at`: what is left of a new block when its managers are there.
        bound: the only container whose tasks it runs (empty: only tasks without one); None if it may run any.
        container: the container of the tasks that it was given last; empty for none.
        counts: how many leases it holds, by function.
        leased: how many leases it holds.
        extra: slots that its leases take beyond one each.
        reserved_for: whose first task it is kept free for.
        is_held: somebody asked that it be given nothing for now.
        unsettled: results of its tasks that are not on disk yet: their slots are not free before.
        functions: which bodies it still has.
        session: number of its registration.
        reports: what it reported and was not told to be safe, in order.
        settling: those of `reports` whose results are on their way to disk.
        safe: leases reported in this session that are safe; `told`: how many of them the manager was told about.
        weight: about how many bytes the manager could forget if it were told.
        load: processes that wanted a processor of its node lately, on average.
        memory_free: bytes of memory that its node could still give away.
        containers: how many of its workers run in which container, by location.
        is_full: its journal cannot be written, so it takes nothing.
        is_buried: it is gone, and what became of its leases was settled.
        is_gone: it was given up. Results of it still count while their lease is open; nothing else does.
    """

    __slots__ = (
        "block_id",
        "bound",
        "capacity",
        "container",
        "containers",
        "counts",
        "ends_at",
        "epoch",
        "extra",
        "functions",
        "hostname",
        "idle",
        "is_buried",
        "is_draining",
        "is_full",
        "is_gone",
        "is_held",
        "last_heard",
        "lasts",
        "leased",
        "load",
        "manager_id",
        "memory_free",
        "node",
        "pid",
        "place",
        "reports",
        "reserved_for",
        "safe",
        "session",
        "settling",
        "told",
        "unsettled",
        "weight",
        "widths",
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
        node: Node | None = None,
        ends_at: float = math.inf,
        bound: str | None = None,
    ) -> None:
        self.manager_id = manager_id
        self.capacity = capacity
        self.epoch = epoch
        self.block_id = block_id
        self.hostname = hostname
        self.place = f"{hostname.partition('.')[0][:_MOST_OF_HOST]}:{manager_id[:_MOST_OF_ID]}"
        self.pid = pid
        self.last_heard = now
        self.counts: dict[FunctionId, int] = {}
        self.node = node or Node(capacity)
        self.widths: dict[Shape, int] = {}
        self.ends_at = ends_at
        self.lasts = ends_at - now
        self.bound = bound
        self.container = bound or ""
        self.reserved_for: Lane | None = None
        self.leased = 0
        self.load: float | None = None
        self.memory_free = 0
        self.containers: dict[str, int] = {}
        self.extra = 0
        self.unsettled = 0
        self.idle = capacity
        self.functions = SentFunctions()
        self.is_gone = False
        self.is_buried = False
        self.is_draining = False
        self.is_full = False
        self.is_held = False
        self.session = 0
        self.reports: deque[Reported] = deque()
        self.settling: deque[Reported] = deque()
        self.safe = self.told = self.weight = 0

    @property
    def occupied(self) -> int:
        """Slots that cannot be given now."""
        return self.leased + self.extra + self.unsettled

    @property
    def is_open(self) -> bool:
        """Whether it may be given leases at all."""
        return not (self.is_gone or self.is_draining or self.is_full or self.is_held)

    @property
    def is_particular(self) -> bool:
        """Whether it depends on the task if it may be given one."""
        return self.ends_at < math.inf or self.bound is not None or (self.node.nodes or 1) > 1

    def width(self, shape: Shape) -> int:
        """Return how many slots a task of this shape takes here; more than `capacity` if it cannot run here."""
        width = self.widths.get(shape)
        if width is None:
            if len(self.widths) > REMEMBERED_SHAPES:
                self.widths.clear()
            width = self.widths[shape] = self.node.width(shape)
        return width

    def begin_session(self, session: int) -> None:
        """It registered (again): it remembers no bodies, and counts its reports anew.

        Reports of the session before come again. They must not seem safe before what they repeat is.
        """
        self.session = session
        self.functions = SentFunctions()
        self.safe = self.told = self.weight = 0
        for report in self.reports:
            report.size = report.weight = 0

    def reported(self, waiting: int, size: int, weight: int = 0) -> Reported:
        """It reported on `size` leases, of which `waiting` are news that must be made safe."""
        report = Reported(waiting, size, weight)
        self.reports.append(report)
        return report

    def count_safe(self) -> None:
        """Something that it reported became safe."""
        reports = self.reports
        while reports and not reports[0].waiting:
            report = reports.popleft()
            self.safe += report.size
            self.weight += report.weight

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

    def release_one(self, held: Held) -> None:
        """It does not hold this lease any more."""
        self.release(held.task.function_id)
        self.extra -= held.width - 1


class Held(msgspec.Struct):
    """An open lease of this endpoint: waiting (`manager` is None), or leased on to a manager.

    Attributes:
        task: the task.
        arrived: when it came, in Unix nanoseconds, for people.
        manager: who has it.
        is_over: it ended while it waited; the queue skips it.
        is_reported: the service was told that it waits for nodes.
        is_fetching: its arguments are on their way here; it is not in the queue before they are.
        fetched_again: how often its inputs were found to be gone.
        cancel: how its manager was asked to stop it, if it was: whether by force.
        container: id of the container of its function, where that matters and the task names none.
        width: slots that it takes of its manager.
        charged: seconds for which its owner was charged when it was leased on.
    """

    task: Task
    arrived: int
    manager: ManagerRecord | None = None
    is_over: bool = False
    is_reported: bool = False
    is_fetching: bool = False
    fetched_again: int = 0
    cancel: bool | None = None
    container: str = ""
    width: int = 1
    charged: float = 0.0
