"""Blobs beside the ranges of a map: the map keeps them for as long as calls of it may be run again, as it keeps their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from funcx_core.ids import MapId, TaskId
from funcx_core.service.store.rows import chunks, flat, many_rows
from funcx_core.service.store.writer import Transaction

_insert: Final = many_rows("INSERT OR IGNORE INTO blob_uses (blob_id, task_id, kind, created_at) VALUES", 4)
_NANO: Final = 1e9


def keep_for_map(transaction: Transaction, map_id: MapId, task_ids: Sequence[TaskId], now: int) -> None:
    """Let the map have the blobs of these ranges of it. `now`: in nanoseconds."""
    found = {blob_id for task_id in task_ids for blob_id in _used_by(transaction, task_id)}
    _use(transaction, [(blob_id, map_id, "argument", now / _NANO) for blob_id in sorted(found)])


def give_to_ranges(transaction: Transaction, map_id: MapId, task_ids: Sequence[TaskId], now: int) -> None:
    """Let these new ranges use the blobs of their map: their endpoint may fetch them then. `now`: in nanoseconds."""
    found = _used_by(transaction, map_id)
    _use(transaction, [(blob_id, task_id, "argument", now / _NANO) for task_id in task_ids for blob_id in found])


def _used_by(transaction: Transaction, user: str) -> list[str]:
    rows = transaction.run("SELECT blob_id FROM blob_uses WHERE task_id = ?", (user,)).fetchall()
    return [row[0] for row in rows]


def _use(transaction: Transaction, rows: list[tuple[str, str, str, float]]) -> None:
    for chunk in chunks(rows):
        transaction.run(_insert(len(chunk)), flat(chunk))
