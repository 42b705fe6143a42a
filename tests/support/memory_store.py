"""A `LeaseStore` in memory with a switch that makes it fail."""

from __future__ import annotations

from typing import Any

from funcx_core.errors import ServiceUnavailable
from funcx_core.forwarder.memory_store import MemoryLeaseStore
from funcx_core.forwarder.store import LeaseStore
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState

_CALLS = frozenset(name for name in vars(LeaseStore) if not name.startswith("_"))


class MemoryStore(MemoryLeaseStore):
    """While `broken` is True every call raises `ServiceUnavailable`."""

    broken = False

    def states(self) -> dict[TaskId, TaskState]:
        return {task_id: row.state for task_id, row in self.rows.items()}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _CALLS:
            return found

        async def call(*args: object, **more: object) -> Any:
            if self.broken:
                raise ServiceUnavailable("The test broke the store.")
            return await found(*args, **more)

        return call
