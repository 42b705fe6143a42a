"""Has tasks that wait for others run, or tells their owners that they cannot be, when those have ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from funcx_core.errors import TryAgainLater
from funcx_core.ids import EndpointId, GroupId, TaskId, UserId
from funcx_core.protocol.handoff import Ended, More
from funcx_core.protocol.task import TaskResult
from funcx_core.service.handoff import Handoff
from funcx_core.service.outcomes import Outcomes
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import HeldEnd, Settled

RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Dependents:
    """Those of one store. The forwarder knows nothing of them before they are released."""

    def __init__(self, store: Store, handoff: Handoff, outcomes: Outcomes) -> None:
        self._dependencies = store.dependencies
        self._handoff = handoff
        self._outcomes = outcomes

    async def run(self) -> None:
        """Settle what ends, for ever. What fails is logged and tried again: the service goes on without it."""
        while True:
            upstreams = await self._dependencies.noted()
            try:
                settled = await self._dependencies.settle(upstreams)
            except TryAgainLater as error:
                _log.warning("tasks that wait for others are looked at again: %s", error)
            except Exception:  # noqa: BLE001 - logged with its traceback; other tasks run all the same
                _log.exception("tasks that wait for others are looked at again")
            else:
                await self._tell(upstreams, settled)
                continue
            self._dependencies.note(upstreams)
            await asyncio.sleep(RETRY_SECONDS)

    async def cancel(self, user_id: UserId, task_ids: Sequence[TaskId]) -> None:
        """End those of the user's tasks that wait for others."""
        self._publish(await self._dependencies.cancel(user_id, task_ids))

    async def cancel_at(self, endpoint_id: EndpointId) -> None:
        """End everything that waits for others before it may go to this endpoint."""
        while ended := await self._dependencies.cancel_at(endpoint_id):
            self._publish(ended)

    async def _tell(self, upstreams: Sequence[TaskId], settled: Settled) -> None:
        if not settled.is_whole:
            self._dependencies.note(upstreams)
        self._publish(settled.ended)
        for endpoint_id in settled.released:
            await self._handoff.put(More(endpoint_id))

    def _publish(self, ends: Iterable[HeldEnd]) -> None:
        """Bring committed ends to whoever waits, as if the forwarder had reported them."""
        groups: dict[tuple[UserId, GroupId], list[TaskResult]] = {}
        for end in ends:
            groups.setdefault((end.task.owner_id, end.task.group_id), []).append(end.result)
        for (owner_id, group_id), results in groups.items():
            self._outcomes.route(Ended(owner_id, group_id, results))
