"""The bodies of functions that an agent has. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from funcx_core.ids import FunctionId
from funcx_core.protocol.endpoint import TaskBatch
from funcx_core.protocol.functions import FunctionCache
from funcx_core.protocol.task import Function
from funcx_endpoint.interchange.records import Held

SPARE_BODIES: Final = 1024


class Bodies:
    """They come once per session from the forwarder, and stay while the session or an open lease refers to them."""

    def __init__(self) -> None:
        self._session = FunctionCache()
        self._bodies: dict[FunctionId, Function] = {}
        self._limit = SPARE_BODIES

    def new_session(self) -> None:
        """The forwarder sends every body again."""
        self._session.clear()

    def receive(self, batch: TaskBatch) -> None:
        """Keep the bodies that came with a batch."""
        self._session.receive(batch.functions, [task.function_id for task in batch.tasks])
        for function in batch.functions:
            self._bodies[function.function_id] = function

    def __contains__(self, function_id: FunctionId) -> bool:
        return function_id in self._bodies

    def container_of(self, function_id: FunctionId) -> str:
        """Return the id of the container in which a function runs; empty for none."""
        image = self._bodies[function_id].container
        return "" if image is None else image.container_id

    def named(self, function_ids: Iterable[FunctionId]) -> list[Function]:
        """Return these bodies."""
        return [self._bodies[function_id] for function_id in function_ids]

    def prune(self, open_leases: Iterable[Held]) -> None:
        """Forget bodies that neither the session nor an open lease refers to."""
        if len(self._bodies) <= self._limit:
            return
        used = {held.task.function_id for held in open_leases}
        self._bodies = {
            function_id: body
            for function_id, body in self._bodies.items()
            if function_id in used or function_id in self._session
        }
        self._limit = len(self._bodies) + SPARE_BODIES
