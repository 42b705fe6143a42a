"""When housekeeping has what to do. Pure: the time, in Unix seconds, is an argument.

Theory of operation. A chore is due at the start, and then each time that its period has passed since it was last done. A chore
says from which time on things are kept; whoever performs it goes about it in small steps, and calls `done` in the end.
"""

from __future__ import annotations

from typing import Final

import msgspec

from funcx_core.service.config import RetentionConfig

DAY: Final = 86_400.0


class ExpireTasks(msgspec.Struct, frozen=True):
    """End tasks that wait since before `before`, Unix seconds."""

    before: float


class DeleteTasks(msgspec.Struct, frozen=True):
    """Delete tasks that ended before `before`, with their results and logs."""

    before: float


class DeleteTokens(msgspec.Struct, frozen=True):
    """Delete tokens that have been worthless since `before`."""

    before: float


class DeleteUnusedCode(msgspec.Struct, frozen=True):
    """Delete bodies that no function has any more."""


class Backup(msgspec.Struct, frozen=True):
    """Copy the database, and keep the newest `keep` copies."""

    keep: int


class Optimize(msgspec.Struct, frozen=True):
    """Let the database renew what it knows about its tables."""


class ExpireOthers(msgspec.Struct, frozen=True):
    """Let other parts of the service, which keep things of their own, delete what is too old at `now`."""

    now: float


Chore = ExpireTasks | DeleteTasks | DeleteTokens | DeleteUnusedCode | Backup | Optimize | ExpireOthers


class Planner:
    """Knows what was done when.

    Args:
        config: the periods.
        last_backup: when the newest copy was made, in Unix seconds; 0 for never.
    """

    def __init__(self, config: RetentionConfig, *, last_backup: float = 0.0) -> None:
        self._config = config
        self._done: dict[type[Chore], float] = {Backup: last_backup}

    def change(self, config: RetentionConfig) -> None:
        """Take other periods."""
        self._config = config

    def due(self, *, now: float) -> list[Chore]:
        """Return what is to be done now, in order."""
        return [chore for period, chore in self._all(now) if self._is_due(type(chore), period, now)]

    def done(self, chore: Chore, *, now: float) -> None:
        """It was done."""
        self._done[type(chore)] = now

    def _is_due(self, kind: type[Chore], period: float, now: float) -> bool:
        last = self._done.get(kind)
        # A clock that was set back must not stop housekeeping for as long.
        return last is None or now - last >= period or last > now

    def _all(self, now: float) -> list[tuple[float, Chore]]:
        config = self._config
        often = config.every
        found: list[tuple[float, Chore]] = []
        if config.task_expiry:
            found.append((often, ExpireTasks(now - config.task_expiry * DAY)))
        if config.results:
            found.append((often, DeleteTasks(now - config.results * DAY)))
        if config.tokens:
            found.append((often, DeleteTokens(now - config.tokens * DAY)))
        found += [(often, ExpireOthers(now)), (DAY, DeleteUnusedCode()), (DAY, Optimize())]
        if config.backups and config.backup_every:
            found.append((config.backup_every * DAY, Backup(config.backups)))
        return found
