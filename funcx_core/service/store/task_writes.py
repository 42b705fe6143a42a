"""Operations on tasks that change them; each runs in a transaction of the writer thread."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from hmac import digest as hmac_digest
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, TaskId, UserId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    TERMINAL,
    Call,
    EventKind,
    Lease,
    TaskEvent,
    TaskResult,
    TaskState,
    Transition,
)
from funcx_core.service.store import schema
from funcx_core.service.store.lanes import held, lane_of
from funcx_core.service.store.log_bounds import LogBounds
from funcx_core.service.store.records import NOTHING_SPECIAL, OpenTask, Receipt, Submission
from funcx_core.service.store.revisions import Revisions
from funcx_core.service.store.rows import chunks, flat, many_rows
from funcx_core.service.store.upstreams import NO_UPSTREAMS, hold, look_up
from funcx_core.service.store.writer import Transaction

INLINE_LIMIT: Final = 64 * 1024
"""Payloads and results over this many bytes are kept as files."""
IN_LIMIT: Final = 500
"""Ids looked up by one statement."""

_insert = many_rows(
    "INSERT OR IGNORE INTO tasks"
    " (position, task_id, submit_id, function_id, endpoint_id, request_hash, lane, payload, payload_blob) VALUES",
    9,
)
_end = many_rows(
    "UPDATE tasks SET state = r.column3, result = r.column4, result_blob = r.column5, error = r.column6,"
    " times = r.column7, completed_at = r.column8, payload = NULL, payload_blob = NULL FROM (VALUES",
    8,
    ") AS r WHERE tasks.task_id = r.column1 AND tasks.attempt = r.column2"
    " AND tasks.completed_at IS NULL AND tasks.endpoint_id = ?",
)
_move = many_rows(
    "UPDATE tasks SET state = r.column3, times = r.column4 FROM (VALUES",
    4,
    ") AS r WHERE tasks.task_id = r.column1 AND tasks.attempt = r.column2 AND tasks.completed_at IS NULL"
    " AND tasks.endpoint_id = ? AND tasks.state <> 'cancelling'",
)
_raise_attempt = many_rows(
    "UPDATE tasks SET attempt = r.column2, times = NULL,"
    " state = CASE state WHEN 'cancelling' THEN state ELSE 'waiting-for-ep' END FROM (VALUES",
    2,
    ") AS r WHERE tasks.task_id = r.column1 AND tasks.attempt < r.column2 AND tasks.completed_at IS NULL",
)
_append = many_rows("INSERT OR IGNORE INTO task_events (task_id, seq, kind, at, body) VALUES", 5)


class TaskWrites:
    """The operations, with what the writer thread remembers between them."""

    def __init__(self) -> None:
        self._next_position = 1
        self._next_submit = 1
        self._payload_blobs: dict[TaskId, str] = {}
        self._logs = LogBounds()
        self.awaited: set[TaskId] = set()  # Those that others wait for. One too many does no harm.
        self.revisions = Revisions()
        self.submitted = 0
        self.ended = dict.fromkeys(TERMINAL, 0)

    def resume(self, connection: sa.Connection) -> None:
        """Find out where an earlier process stopped."""
        self._next_position = 1 + _largest(connection, schema.tasks.c.position)
        self._next_submit = 1 + _largest(connection, schema.submits.c.submit_id)
        tasks = schema.tasks.c
        rows = connection.execute(sa.select(tasks.task_id, tasks.payload_blob).where(tasks.payload_blob.is_not(None)))
        self._payload_blobs = {TaskId(row[0]): row[1] for row in rows}
        self.awaited = set(connection.scalars(sa.select(schema.dependencies.c.upstream).distinct()))

    @property
    def next_position(self) -> int:
        """The position of the first call of the next submission; the others follow it."""
        return self._next_position

    # --- submit ------------------------------------------------------------------------------------------------

    def submit(self, transaction: Transaction, submission: Submission, *, keep_payloads: bool = True) -> Receipt:
        """Insert the calls; see `Store.submit`. Without `keep_payloads`, somebody else keeps their arguments."""
        calls = submission.calls
        first, submit_id = self._next_position, self._next_submit
        # Gaps after a rollback are harmless, using a number twice is not.
        self._next_position += len(calls)
        self._next_submit += 1
        hashes = _request_hashes(submission)
        payloads = [inline_or_blob(transaction, call.payload) if keep_payloads else (None, None) for call in calls]
        endpoint_id, lane = submission.endpoint_id, lane_of(submission.owner_id, submission.options.priority)
        upstreams = look_up(transaction, submission) if submission.options.after else NO_UPSTREAMS
        if upstreams.unmet:
            lane = held(lane)
        rows = [
            (position, call.task_id, submit_id, call.function_id, endpoint_id, request_hash, lane, *payload)
            for position, (call, request_hash, payload) in enumerate(zip(calls, hashes, payloads, strict=True), first)
        ]
        inserted = sum(transaction.run(_insert(len(chunk)), flat(chunk)).rowcount for chunk in chunks(rows))
        self.submitted += inserted
        if inserted:
            self.revisions.will_change(transaction, (endpoint_id,))
            transaction.run(
                "INSERT INTO submits (submit_id, owner_id, endpoint_id, group_id, options, received_at,"
                " first_position, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    submit_id,
                    submission.owner_id,
                    submission.endpoint_id,
                    submission.group_id,
                    None if submission.options == DEFAULT_OPTIONS else encode(submission.options),
                    submission.received_at,
                    first,
                    len(calls),
                ),
            )
            if upstreams.unmet:
                self.awaited.update(hold(transaction, submit_id, upstreams))
        receipt = NOTHING_SPECIAL
        if inserted < len(calls):
            receipt = _explain_ignored(transaction, submission, submit_id, hashes)
        if upstreams.unmet:
            receipt = msgspec.structs.replace(receipt, is_held=True)
        self._remember_blobs(transaction, calls, payloads, receipt)
        return receipt

    def _remember_blobs(
        self, transaction: Transaction, calls: list[Call], payloads: list[tuple[Any, str | None]], receipt: Receipt
    ) -> None:
        for call, (_, blob) in zip(calls, payloads, strict=True):
            if blob is None:
                continue
            if call.task_id in receipt.repeated or call.task_id in receipt.conflicting:
                transaction.doomed.append(blob)
            else:
                self._payload_blobs[call.task_id] = blob

    # --- leases ------------------------------------------------------------------------------------------------

    def complete(
        self, transaction: Transaction, endpoint_id: EndpointId, results: Sequence[TaskResult], now: int
    ) -> None:
        """End tasks; see `LeaseStore.complete`. The arguments of an ended task are not needed any more."""
        blobs: dict[TaskId, str] = {}
        rows = []
        for result in results:
            value, blob = inline_or_blob(transaction, result.value) if result.value else (None, None)
            if blob is not None:
                blobs[result.task_id] = blob
            error = encode(result.error) if result.error is not None else None
            rows.append(
                (result.task_id, result.attempt, result.state, value, blob, error, encode(result.times), now)
            )  # fmt: skip
        self.revisions.will_change(transaction, (endpoint_id,))
        ended = sum(transaction.run(_end(len(chunk)), flat(chunk, endpoint_id)).rowcount for chunk in chunks(rows))
        # Too late ones are rare, so these numbers are those of the results as a whole: a rollback counts twice.
        states = [result.state for result in results]
        for state in TERMINAL:
            self.ended[state] += states.count(state)
        self._logs.forget(result.task_id for result in results)
        if blobs and ended < len(rows):
            _drop_unnamed(transaction, blobs)
        if self._payload_blobs:
            self._forget_payloads(transaction, [result.task_id for result in results], sure=ended == len(rows))

    def _forget_payloads(self, transaction: Transaction, task_ids: list[TaskId], *, sure: bool) -> None:
        mine = [task_id for task_id in task_ids if task_id in self._payload_blobs]
        if mine and not sure:
            still_named = _blobs_of(transaction, mine, schema.tasks.c.payload_blob)
            mine = [task_id for task_id in mine if task_id not in still_named]
        transaction.doomed.extend(self._payload_blobs.pop(task_id) for task_id in mine)

    def transition(self, transaction: Transaction, endpoint_id: EndpointId, transitions: Sequence[Transition]) -> None:
        """Record states; see `LeaseStore.transition`."""
        rows = [
            (each.task_id, each.attempt, each.state, None if (passed := each.passed) is None else encode(passed))
            for each in transitions
            if each.state not in TERMINAL
        ]
        for chunk in chunks(rows):
            transaction.run(_move(len(chunk)), flat(chunk, endpoint_id))
        self.revisions.will_change(transaction, (endpoint_id,))

    def begin_attempts(self, transaction: Transaction, leases: Sequence[Lease]) -> None:
        """Raise attempt numbers; see `LeaseStore.begin_attempts`."""
        for chunk in chunks([(lease.task_id, lease.attempt) for lease in leases]):
            transaction.run(_raise_attempt(len(chunk)), flat(chunk))
        self.revisions.will_change_everywhere(transaction)

    def append_events(self, transaction: Transaction, endpoint_id: EndpointId, events: Sequence[TaskEvent]) -> None:
        """Append to logs; see `LeaseStore.append_events`."""
        tasks = schema.tasks.c
        named = list({event.task_id for event in events})
        condition = sa.and_(tasks.endpoint_id == endpoint_id, tasks.completed_at.is_(None))
        open_ones: set[str] = set()
        for ids in _pages(named):
            query = sa.select(tasks.task_id).where(tasks.task_id.in_(ids), condition)
            open_ones.update(transaction.connection.scalars(query))
        rows = [
            (event.task_id, event.seq, event.kind, event.at, event.body)
            for event in events
            if event.task_id in open_ones
        ]
        for chunk in chunks(rows):
            transaction.run(_append(len(chunk)), flat(chunk))
        for progressed in {str(event.task_id) for event in events if event.kind is EventKind.PROGRESS} & open_ones:
            _forget_old_progress(transaction, progressed)
        self._logs.appended(transaction, (event for event in events if event.task_id in open_ones))

    # --- cancel ------------------------------------------------------------------------------------------------

    def request_cancel(self, transaction: Transaction, owner_id: UserId, task_ids: Sequence[TaskId]) -> list[OpenTask]:
        """Mark tasks; see `Store.request_cancel`."""
        tasks, submits = schema.tasks, schema.submits
        found: list[OpenTask] = []
        for ids in _pages(task_ids):
            query = (
                sa.select(tasks.c.task_id, tasks.c.endpoint_id)
                .join(submits, submits.c.submit_id == tasks.c.submit_id)
                .where(tasks.c.task_id.in_(ids), tasks.c.completed_at.is_(None), submits.c.owner_id == owner_id)
            )
            found.extend(OpenTask(TaskId(row[0]), EndpointId(row[1])) for row in transaction.connection.execute(query))
        for ids in _pages([each.task_id for each in found]):
            change = sa.update(tasks).where(tasks.c.task_id.in_(ids)).values(state=TaskState.CANCELLING.value)
            transaction.connection.execute(change)
        self.revisions.will_change(transaction, {each.endpoint_id for each in found})
        return found


def _largest(connection: sa.Connection, column: sa.ColumnElement[int]) -> int:
    return connection.scalar(sa.select(sa.func.max(column))) or 0


def _pages(ids: Sequence[TaskId]) -> list[Sequence[TaskId]]:
    return [ids[start : start + IN_LIMIT] for start in range(0, len(ids), IN_LIMIT)]


def inline_or_blob(transaction: Transaction, content: bytes) -> tuple[bytes | None, str | None]:
    """Return what goes into the row, or the name of the file that holds it instead."""
    if len(content) <= INLINE_LIMIT:
        return content, None
    return None, transaction.blobs.put(content)


def _request_hashes(submission: Submission) -> list[bytes]:
    """Return what two requests have in common if and only if they ask for the same: endpoint, options, function, payload."""
    shared = submission.endpoint_id.encode() + msgspec.msgpack.encode(submission.options)
    keys: dict[str, bytes] = {}
    hashes = []
    for call in submission.calls:
        key = keys.get(call.function_id)
        if key is None:
            key = keys[call.function_id] = blake2b(shared + call.function_id.encode(), digest_size=32).digest()
        hashes.append(_keyed_hash(call.payload, key))
    return hashes


def _keyed_hash(payload: bytes, key: bytes) -> bytes:
    # SHA-256 is twice as fast where the processor helps with it, which pays for the longer way there on long payloads.
    if len(payload) > INLINE_LIMIT:
        return hmac_digest(key, payload, "sha256")[:16]
    return blake2b(payload, digest_size=16, key=key).digest()


def _explain_ignored(transaction: Transaction, submission: Submission, submit_id: int, hashes: list[bytes]) -> Receipt:
    """Find which calls were not inserted because their id was there, and whether it is the same task."""
    tasks, submits = schema.tasks, schema.submits
    wanted = {call.task_id: request_hash for call, request_hash in zip(submission.calls, hashes, strict=True)}
    repeated: set[TaskId] = set()
    conflicting: set[TaskId] = set()
    for ids in _pages([call.task_id for call in submission.calls]):
        query = (
            sa.select(tasks.c.task_id, tasks.c.request_hash, submits.c.owner_id)
            .join(submits, submits.c.submit_id == tasks.c.submit_id)
            .where(tasks.c.task_id.in_(ids), tasks.c.submit_id != submit_id)
        )
        for task_id, request_hash, owner_id in transaction.connection.execute(query):
            same = request_hash == wanted[task_id] and owner_id == submission.owner_id
            (repeated if same else conflicting).add(TaskId(task_id))
    return Receipt(frozenset(repeated), frozenset(conflicting))


def _blobs_of(
    transaction: Transaction, task_ids: Sequence[TaskId], column: sa.ColumnElement[str | None]
) -> dict[TaskId, str]:
    tasks = schema.tasks.c
    found: dict[TaskId, str] = {}
    for ids in _pages(task_ids):
        query = sa.select(tasks.task_id, column).where(tasks.task_id.in_(ids), column.is_not(None))
        for row in transaction.connection.execute(query):
            found[TaskId(row[0])] = row[1]
    return found


def _drop_unnamed(transaction: Transaction, blobs: dict[TaskId, str]) -> None:
    """Some results came too late: the files written for them are not wanted."""
    named = _blobs_of(transaction, list(blobs), schema.tasks.c.result_blob)
    transaction.doomed.extend(name for task_id, name in blobs.items() if named.get(task_id) != name)


def _forget_old_progress(transaction: Transaction, task_id: str) -> None:
    """Keep of a task's progress the newest, which says everything, and the first, which says where in the log it belongs."""
    of_task = "task_id = ? AND kind = 'progress'"
    transaction.run(
        f"DELETE FROM task_events WHERE {of_task} "  # noqa: S608 - no value is in it
        f"AND seq > (SELECT min(seq) FROM task_events WHERE {of_task}) "
        f"AND seq < (SELECT max(seq) FROM task_events WHERE {of_task})",
        (task_id, task_id, task_id),
    )
