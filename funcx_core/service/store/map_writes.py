"""Operations that change maps; each runs in a transaction of the writer.

Theory of operation. A map is a row of `maps`; `map_ranges` names the tasks that run its calls, and keeps the arguments of each
span in the row of its first range. A range's task lives as any task does, except that its own row has no arguments. When
it ends, its row in `map_ranges` learns in the same transaction what became of each call, as one byte per call. So counting, finding and
resuming need to open no value. `resume` marks calls as moved on before it gives them to new ranges: a call is in at
most one range that has not ended, and its success is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from funcx_core.errors import Conflict
from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId, TaskId, UserId, new_task_id
from funcx_core.protocol.blob import names_blobs
from funcx_core.protocol.codec import encode
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.ranges import CallState
from funcx_core.protocol.task import DEFAULT_OPTIONS, Call, TaskError, TaskOptions, TaskResult
from funcx_core.service.store import map_blobs, schema
from funcx_core.service.store.map_records import Resumed
from funcx_core.service.store.map_tallies import tally_of
from funcx_core.service.store.records import Receipt, Submission
from funcx_core.service.store.rows import chunks, flat, many_rows
from funcx_core.service.store.task_writes import TaskWrites, inline_or_blob
from funcx_core.service.store.upstreams import still_open
from funcx_core.service.store.writer import Transaction

DIVISOR: Final = 10
"""Calls that were lost or failed together run again in ranges of a tenth of the size, so that a culprit is soon alone."""

_UNSUSPICIOUS: Final = frozenset({"task_cancelled", "dependency_error"})

_insert_first = many_rows(
    "INSERT INTO map_ranges (position, map, start, size, unfinished, payload, payload_blob) VALUES", 7
)
_insert_later = many_rows("INSERT INTO map_ranges (position, map, start, size, positions) VALUES", 5)
_ended = many_rows(
    "SELECT t.task_id, r.position, r.size, s.position, s.unfinished, s.payload_blob FROM (VALUES",
    2,
    ") AS v CROSS JOIN tasks t ON t.task_id = v.column1 AND t.attempt = v.column2"
    " CROSS JOIN map_ranges r ON r.position = t.position"
    " CROSS JOIN map_ranges s ON s.map = r.map AND s.start = r.start AND s.positions IS NULL"
    " WHERE NOT r.ended AND t.completed_at = ?",
)
_end_ranges = many_rows(
    "UPDATE map_ranges SET ended = 1, succeeded = v.column2, failed = v.column3, not_run = v.column4,"
    " states = v.column5 FROM (VALUES",
    5,
    ") AS v WHERE map_ranges.position = v.column1",
)
_finish_spans = many_rows(
    "UPDATE map_ranges SET unfinished = unfinished - v.column2,"
    " payload = CASE WHEN unfinished > v.column2 THEN payload END,"
    " payload_blob = CASE WHEN unfinished > v.column2 THEN payload_blob END FROM (VALUES",
    2,
    ") AS v WHERE map_ranges.position = v.column1",
)
_error: Final = msgspec.msgpack.Decoder(TaskError)
_options: Final = msgspec.msgpack.Decoder(TaskOptions)
_positions: Final = msgspec.msgpack.Decoder(list[int])


class MapWrites:
    """The operations, with the ranges that have not ended, so that the end of any other task costs nothing here."""

    def __init__(self, tasks: TaskWrites) -> None:
        self._tasks = tasks
        self._open: set[TaskId] = set()

    def resume_after_start(self, connection: sa.Connection) -> None:
        """Find out where an earlier process stopped."""
        tasks, ranges = schema.tasks, schema.ranges
        query = sa.select(tasks.c.task_id).join(ranges, ranges.c.position == tasks.c.position).where(~ranges.c.ended)
        self._open = {TaskId(task_id) for task_id in connection.scalars(query)}

    # --- submit ------------------------------------------------------------------------------------------------

    def submit(self, transaction: Transaction, owner_id: UserId, message: SubmitMap, received_at: int) -> Receipt:
        """Make the map if it is new, and add the ranges to it; see `MapStore.submit`."""
        number, was_cancelled = _ensure_map(transaction, owner_id, message, received_at)
        submission = Submission(
            owner_id=owner_id,
            endpoint_id=message.endpoint_id,
            group_id=message.group_id,
            calls=list(message.ranges),
            received_at=received_at,
            options=message.options,
        )
        first = self._tasks.next_position
        receipt = self._tasks.submit(transaction, submission, keep_payloads=False)
        known = receipt.repeated | receipt.conflicting
        fresh = [pair for pair in enumerate(message.ranges, first) if pair[1].task_id not in known]
        if fresh:
            if was_cancelled:
                raise Conflict(f"Map '{message.map_id}' was cancelled. Resume it before you add calls to it.")
            _check_free(transaction, number, message.map_id, [one for _, one in fresh])
            self._add(transaction, number, fresh)
            if naming := [one.task_id for _, one in fresh if names_blobs(one.payload)]:
                map_blobs.keep_for_map(transaction, message.map_id, naming, received_at)
        return receipt

    def _add(self, transaction: Transaction, number: int, fresh: Sequence[tuple[int, RangeCall]]) -> None:
        rows = [
            (position, number, one.start, one.size, one.size, *inline_or_blob(transaction, one.payload))
            for position, one in fresh
        ]
        _insert(transaction, _insert_first, rows)
        _, last = fresh[-1]
        if last.is_last:
            transaction.run("UPDATE maps SET size = ? WHERE number = ?", (last.start + last.size, number))
        self._open.update(one.task_id for _, one in fresh)  # One that is rolled back does no harm.

    # --- the end of a range ------------------------------------------------------------------------------------

    def ended(self, transaction: Transaction, results: Sequence[TaskResult], now: int) -> None:
        """Record what became of the calls of those results that ended a range at `now`."""
        if not self._open:
            return
        mine = {result.task_id: result for result in results if result.task_id in self._open}
        if not mine:
            return
        found = _just_ended(transaction, mine, now)
        finished: dict[int, int] = {}
        rows = []
        for task_id, position, size, span, _, _ in found:
            tally = tally_of(mine[task_id], size)
            rows.append((position, *tally))
            finished[span] = finished.get(span, 0) + tally[0]
        for chunk in chunks(rows):
            transaction.run(_end_ranges(len(chunk)), flat(chunk))
        # The arguments go when there is nothing left that might run again.
        for chunk in chunks([(span, count) for span, count in finished.items() if count]):
            transaction.run(_finish_spans(len(chunk)), flat(chunk))
        blobs = {span: blob for _, _, _, span, left, blob in found if blob is not None and left <= finished[span]}
        transaction.doomed.extend(blobs.values())
        gone = [row[0] for row in found]
        # Not before the commit: what is rolled back is applied again.
        transaction.afterwards.append(lambda: self._open.difference_update(gone))

    # --- cancel and resume -------------------------------------------------------------------------------------

    def cancel(self, transaction: Transaction, owner_id: UserId, map_id: MapId, now: int) -> bool:
        """Mark the map as cancelled; whether there is one."""
        changed = transaction.run(
            "UPDATE maps SET cancelled_at = ? WHERE map_id = ? AND owner_id = ?", (now, map_id, owner_id)
        )
        self._tasks.revisions.will_change_everywhere(transaction)
        return changed.rowcount > 0

    def resume(
        self, transaction: Transaction, owner_id: UserId, map_id: MapId, *, failed: bool, now: int, at_most: int
    ) -> Resumed:
        """Make ranges of what has ended without success; see `MapStore.resume`."""
        found = transaction.run(
            "SELECT number, endpoint_id, group_id, function_id, options FROM maps WHERE map_id = ? AND owner_id = ?",
            (map_id, owner_id),
        ).fetchone()
        if found is None:
            return Resumed()
        number, endpoint_id, group_id, function_id, encoded = found
        transaction.run("UPDATE maps SET cancelled_at = NULL WHERE number = ?", (number,))
        self._tasks.revisions.will_change_everywhere(transaction)
        parts: list[tuple[int, list[int]]] = []
        for start, size, positions, error in self._take_unfinished(transaction, number, failed=failed):
            parts += [(start, part) for part in _parts(positions, size, error)]
            if len(parts) >= at_most:
                break
        task_ids = [new_task_id() for _ in parts]
        if parts:
            options = DEFAULT_OPTIONS if encoded is None else _options.decode(encoded)
            # What it waited for and has ended since, perhaps badly, is no reason any more: its owner wants it to run now.
            options = msgspec.structs.replace(options, after=still_open(transaction, owner_id, options.after))
            submission = Submission(
                owner_id=owner_id,
                endpoint_id=EndpointId(endpoint_id),
                group_id=GroupId(group_id),
                calls=[Call(task_id, FunctionId(function_id), b"") for task_id in task_ids],
                received_at=now,
                options=options,
            )
            rows = [
                (position, number, start, len(part), msgspec.msgpack.encode(part))
                for position, (start, part) in enumerate(parts, self._tasks.next_position)
            ]
            self._tasks.submit(transaction, submission, keep_payloads=False)
            _insert(transaction, _insert_later, rows)
            map_blobs.give_to_ranges(transaction, map_id, task_ids, now)
            self._open.update(task_ids)
        return Resumed(EndpointId(endpoint_id), task_ids, sum(len(part) for _, part in parts))

    def _take_unfinished(
        self, transaction: Transaction, number: int, *, failed: bool
    ) -> Iterator[tuple[int, int, list[int], TaskError | None]]:
        """Yield start, size, positions to run again and error of ended ranges; those positions are moved on then."""
        rows = transaction.run(
            "SELECT r.position, r.start, r.size, r.positions, r.states, t.error FROM map_ranges r"
            " JOIN tasks t ON t.position = r.position"
            " WHERE r.map = ? AND r.ended AND (r.not_run > 0 OR (? AND r.failed > 0)) ORDER BY r.position",
            (number, failed),
        ).fetchall()
        wanted = {CallState.NOT_RUN, CallState.FAILED} if failed else {CallState.NOT_RUN}
        for position, start, size, positions, states, error in rows:
            places = [place for place, state in enumerate(states) if state in wanted]
            _move_on(transaction, position, states, places)
            known = range(size) if positions is None else _positions.decode(positions)
            reason = None if error is None else _error.decode(error)
            yield start, size, [known[place] for place in places], reason

    # --- delete ------------------------------------------------------------------------------------------------

    def delete(self, transaction: Transaction, owner_id: UserId, map_id: MapId) -> bool:
        """Delete an ended map with its arguments and results; see `MapStore.delete`."""
        mine = transaction.run(
            "SELECT number FROM maps WHERE map_id = ? AND owner_id = ?", (map_id, owner_id)
        ).fetchone()
        if mine is None:
            return False
        is_open = transaction.run("SELECT 1 FROM map_ranges WHERE map = ? AND NOT ended", mine).fetchone()
        if is_open is not None:
            raise Conflict(f"Map '{map_id}' still runs. Cancel it, and delete it when its ranges have ended.")
        names = transaction.run(
            "SELECT r.payload_blob, t.result_blob FROM map_ranges r JOIN tasks t ON t.position = r.position"
            " WHERE r.map = ?",
            mine,
        ).fetchall()
        transaction.doomed.extend(name for row in names for name in row if name is not None)
        transaction.run(
            "DELETE FROM task_events WHERE task_id IN (SELECT task_id FROM tasks WHERE position IN"
            " (SELECT position FROM map_ranges WHERE map = ?))",
            mine,
        )
        transaction.run("DELETE FROM tasks WHERE position IN (SELECT position FROM map_ranges WHERE map = ?)", mine)
        transaction.run("DELETE FROM map_ranges WHERE map = ?", mine)
        transaction.run("DELETE FROM maps WHERE number = ?", mine)
        self._tasks.revisions.will_change_everywhere(transaction)
        return True


def _parts(positions: list[int], size: int, error: TaskError | None) -> Iterable[list[int]]:
    """Cut what is to run again: as it was if it never began or was only cancelled, else into smaller pieces."""
    is_suspect = error is None or error.code not in _UNSUSPICIOUS
    step = max(1, size // DIVISOR) if is_suspect else size
    return (positions[first : first + step] for first in range(0, len(positions), step))


def _ensure_map(transaction: Transaction, owner_id: UserId, message: SubmitMap, received_at: int) -> tuple[int, bool]:
    """Make the map if it is new; return its number, and whether it was cancelled."""
    options = None if message.options == DEFAULT_OPTIONS else encode(message.options)
    wanted = owner_id, message.endpoint_id, message.group_id, message.function_id, options, message.name
    found = transaction.run(
        "SELECT owner_id, endpoint_id, group_id, function_id, options, name, number, cancelled_at FROM maps"
        " WHERE map_id = ?",
        (message.map_id,),
    ).fetchone()
    if found is None:
        made = transaction.run(
            "INSERT INTO maps (map_id, owner_id, endpoint_id, group_id, function_id, options, name, received_at, about)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (message.map_id, *wanted, received_at, message.about or None),
        )
        return made.lastrowid or 0, False
    *known, number, cancelled_at = found
    if tuple(known) != wanted:
        raise Conflict(f"Map '{message.map_id}' was made with another function, endpoint or options. Use a new id.")
    if message.about:  # The message that has it was refused at first, and another one made the map.
        transaction.run("UPDATE maps SET about = ? WHERE number = ? AND about IS NULL", (message.about, number))
    return number, cancelled_at is not None


def _check_free(transaction: Transaction, number: int, map_id: MapId, fresh: Sequence[RangeCall]) -> None:
    """Raise `Conflict` if a call is there already, or the map has ended before it."""
    first, last = fresh[0], fresh[-1]
    taken = transaction.run(
        "SELECT start, size FROM map_ranges WHERE map = ? AND start >= ? AND start < ? AND positions IS NULL",
        (number, first.start, last.start + last.size),
    ).fetchall()
    before = transaction.run(
        "SELECT start, size FROM map_ranges WHERE map = ? AND start < ? AND positions IS NULL ORDER BY start DESC LIMIT 1",
        (number, first.start),
    ).fetchall()
    for start, size in taken + before:
        if any(one.start < start + size and start < one.start + one.size for one in fresh):
            raise Conflict(f"Map '{map_id}' has calls {start} to {start + size - 1} already. Use a new map id.")
    sealed = transaction.run("SELECT size FROM maps WHERE number = ?", (number,)).fetchone()[0]
    if sealed is not None and last.start >= sealed:
        raise Conflict(f"Map '{map_id}' was submitted as one of {sealed} calls. Use a new map id for more.")


def _insert(transaction: Transaction, statement: Any, rows: list[tuple[Any, ...]]) -> None:
    for chunk in chunks(rows):
        transaction.run(statement(len(chunk)), flat(chunk))


def _move_on(transaction: Transaction, position: int, states: bytes, places: list[int]) -> None:
    moved = bytearray(states)
    for place in places:
        moved[place] = CallState.MOVED
    transaction.run(
        "UPDATE map_ranges SET failed = ?, not_run = ?, states = ? WHERE position = ?",
        (moved.count(CallState.FAILED), moved.count(CallState.NOT_RUN), bytes(moved), position),
    )


def _just_ended(transaction: Transaction, results: dict[TaskId, TaskResult], now: int) -> list[Any]:
    """Return the ranges that these results have ended at `now`; a result of an older attempt has ended nothing.

    Each is a row of its task's id, its position and size, and of its span the position, unfinished calls and blob.
    """
    found = []
    for chunk in chunks([(task_id, result.attempt) for task_id, result in results.items()]):
        found += transaction.run(_ended(len(chunk)), flat(chunk, now)).fetchall()
    return found
