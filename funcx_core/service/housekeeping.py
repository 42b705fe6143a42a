"""Deletes what is too old, ends what waited too long, and copies the database, beside everything else that goes on.

Each step is a short transaction of at most `batch` rows with a pause after it, so that no submit waits for more than one of them.
A step that fails is logged and tried again in the next round; housekeeping never ends the service.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, assert_never

from funcx_core.errors import FuncxError
from funcx_core.ids import EndpointId, TaskId
from funcx_core.protocol.handoff import ExpireRequested
from funcx_core.service.backup import Backups
from funcx_core.service.config import RetentionConfig
from funcx_core.service.handoff import Handoff
from funcx_core.service.retention import (
    Backup,
    Chore,
    DeleteTasks,
    DeleteTokens,
    DeleteUnusedCode,
    ExpireOthers,
    ExpireTasks,
    Optimize,
    Planner,
)
from funcx_core.service.store.base import Store

PAUSE: Final = 0.02
FIRST_AFTER: Final = 5.0
"""Seconds after the start: clients and endpoints that come back go first."""

Expire = Callable[[float], Awaitable[None]]

_log = logging.getLogger(__name__)


class Housekeeping:
    """Does the chores of a `Planner`.

    Args:
        config: how often, and how much at a time.
        store: what is kept in order.
        handoff: where the forwarder hears which tasks have expired: it decides, because it knows who has them.
        backups: where copies are kept.
        others: of other parts, called with Unix seconds; each deletes what it keeps too long.
        now: Unix seconds.
    """

    def __init__(
        self,
        config: RetentionConfig,
        *,
        store: Store,
        handoff: Handoff,
        backups: Backups,
        others: Sequence[Expire] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._store = store
        self._handoff = handoff
        self._backups = backups
        self._others = others
        self._now = now
        self._planner = Planner(config, last_backup=backups.newest())

    def change(self, config: RetentionConfig) -> None:
        """Take other periods."""
        self._config = config
        self._planner.change(config)

    async def run(self) -> None:
        """Do what is due, for ever."""
        await asyncio.sleep(min(FIRST_AFTER, self._config.every))
        while True:
            await self.round()
            await asyncio.sleep(self._config.every)

    async def round(self) -> None:
        """Do what is due now."""
        for chore in self._planner.due(now=self._now()):
            try:
                await self._do(chore)
            except (FuncxError, OSError) as error:
                _log.warning("%s was not done, it is tried again: %s", type(chore).__name__, error)
            except Exception:  # noqa: BLE001 - logged with its traceback; the service goes on without it
                _log.exception("%s was not done, it is tried again", type(chore).__name__)
            else:
                self._planner.done(chore, now=self._now())

    async def _do(self, chore: Chore) -> None:
        match chore:
            case ExpireTasks(before=before):
                await self._expire(before)
            case DeleteTasks(before=before):
                await self._delete_tasks(before)
                await self._repeat("maps", lambda _: self._store.delete_map(int(before * 1e9)))
            case DeleteTokens(before=before):
                await self._repeat("tokens", lambda at_most: self._store.delete_tokens(before, at_most=at_most))
            case DeleteUnusedCode():
                await self._repeat("unused functions' code", lambda at_most: self._store.delete_bodies(at_most=at_most))
            case Backup(keep=keep):
                await self._backups.make(self._store, keep=keep, now=self._now())
            case Optimize():
                await self._store.optimize()
            case ExpireOthers(now=now):
                for expire in self._others:
                    await expire(now)
            case _:
                assert_never(chore)

    async def _delete_tasks(self, before: float) -> None:
        total, position = 0, 0
        while True:
            deleted, position = await self._store.delete_tasks(
                int(before * 1e9), after=position, at_most=self._config.batch
            )
            total += deleted
            if not position:
                break
            await asyncio.sleep(PAUSE)
        if total:
            _log.info("deleted %d tasks that ended long ago", total)

    async def _expire(self, before: float) -> None:
        position = 0
        while True:
            found, position = await self._store.waiting_since(
                int(before * 1e9), after=position, at_most=self._config.batch
            )
            by_endpoint: dict[EndpointId, list[TaskId]] = {}
            for task in found:
                by_endpoint.setdefault(task.endpoint_id, []).append(task.task_id)
            for endpoint_id, task_ids in by_endpoint.items():
                await self._handoff.put(ExpireRequested(endpoint_id, task_ids))
            if not position:
                break
            await asyncio.sleep(PAUSE)

    async def _repeat(self, what: str, delete: Callable[[int], Awaitable[int]]) -> None:
        total = 0
        while deleted := await delete(self._config.batch):
            total += deleted
            await asyncio.sleep(PAUSE)
        if total:
            _log.info("deleted %d %s", total, what)
