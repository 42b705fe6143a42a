"""The embedded store: one SQLite file in WAL mode, large contents in a folder beside it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa

from funcx_core.errors import ConfigError, ServiceUnavailable
from funcx_core.home import private_dir
from funcx_core.ids import EndpointId, FunctionId, GroupId, GroupRef, MapId, TaskId, UserId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import Function, Lease, TaskEvent, TaskResult, Transition
from funcx_core.service.store import (
    account_rows,
    lanes,
    map_reads,
    old_rows,
    overview_reads,
    registry,
    schema,
    task_reads,
)
from funcx_core.service.store.additions import add_missing
from funcx_core.service.store.allow_lists import AllowLists
from funcx_core.service.store.base import Store
from funcx_core.service.store.blob_catalog import BlobCatalog
from funcx_core.service.store.blob_records import Stage
from funcx_core.service.store.blobs import BlobFolder
from funcx_core.service.store.checkpoints import LONG_LOG, Checkpoints
from funcx_core.service.store.container_catalog import ContainerCatalog
from funcx_core.service.store.dependencies import Dependencies
from funcx_core.service.store.environment_catalog import EnvironmentCatalog
from funcx_core.service.store.function_catalog import FunctionCatalog
from funcx_core.service.store.group_catalog import GroupCatalog
from funcx_core.service.store.map_writes import MapWrites
from funcx_core.service.store.records import (
    Endpoint,
    EndpointChange,
    OpenCount,
    OpenTask,
    Overview,
    Receipt,
    StoredFunction,
    Submission,
    TaskRow,
    Token,
    Totals,
    User,
)
from funcx_core.service.store.sqlite_accounts import SqliteAccounts
from funcx_core.service.store.sqlite_maps import SqliteMaps
from funcx_core.service.store.task_writes import TaskWrites
from funcx_core.service.store.usage_catalog import UsageCatalog
from funcx_core.service.store.writer import BUSY_PAUSE, BUSY_SECONDS, GroupCommit, Transaction, is_busy

P = ParamSpec("P")
T = TypeVar("T")

READERS: Final = 2
WRITER_BUSY_MS: Final = 10
"""The writer asks again itself, because it may be the service's loop that waits."""
BYTES_PER_ROW: Final = 8 * 1024
"""Bytes that count as a row when a write is weighed."""
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",
    f"PRAGMA wal_autocheckpoint = {LONG_LOG}",
    "PRAGMA temp_store = MEMORY",
)

_log = logging.getLogger(__name__)


class SqliteStore(Store):
    """Keeps everything in `folder`. Writes go through one connection (see `writer`), reads through two threads.

    Args:
        folder: where the database and the blobs are.
        is_guest: a service may have the store open, too. Then nothing is cleaned up: a file that no row names yet may be
            one that the service is about to commit.
    """

    def __init__(self, folder: Path, *, is_guest: bool = False) -> None:
        self._folder = folder
        self._is_guest = is_guest
        self._path = folder / "funcx.db"
        self._blobs = BlobFolder(folder / "blobs")
        self._engine = _engine(self._path, writer=True)
        self._read_engine = _engine(self._path, writer=False)
        self._checkpoints = Checkpoints(self._path)
        self._writer = GroupCommit(self._engine, self._blobs, self._checkpoints.note_commit)
        self._writes = TaskWrites()
        self._accounts = SqliteAccounts(self._writer, self._read)
        self._map_writes = MapWrites(self._writes)
        self._dependencies = Dependencies(self._writer.do, self._writes, self._complete)
        self._maps = SqliteMaps(self._writer, self._map_writes, self._read, self._blobs, self._dependencies.note)
        self._readers: ThreadPoolExecutor | None = None
        self._of_thread = threading.local()
        self._connections: list[sa.Connection] = []

    @property
    def accounts(self) -> SqliteAccounts:
        """Tokens, clients, and users who are known elsewhere."""
        return self._accounts

    @property
    def maps(self) -> SqliteMaps:
        """Maps and their ranges."""
        return self._maps

    @property
    def dependencies(self) -> Dependencies:
        """Tasks that wait for others."""
        return self._dependencies

    # --- its parts ---------------------------------------------------------------------------------------------

    @property
    def function_catalog(self) -> FunctionCatalog:
        """Functions as they are listed."""
        return FunctionCatalog(self._writer.do, self._read)

    @property
    def allow_lists(self) -> AllowLists:
        """Which functions restricted endpoints run."""
        return AllowLists(self._writer.do, self._read)

    @property
    def containers(self) -> ContainerCatalog:
        """Registered containers."""
        return ContainerCatalog(self._writer.do, self._read)

    @property
    def groups(self) -> GroupCatalog:
        """Groups of users."""
        return GroupCatalog(self._writer.do, self._read)

    @property
    def usage(self) -> UsageCatalog:
        """What usage statistics are made of."""
        return UsageCatalog(self._writer.do, self._read)

    # --- its life ----------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make or check the database, then start the threads."""
        await asyncio.get_running_loop().run_in_executor(None, self._prepare)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._checkpoints.open()
        self._writer.open()
        self._dependencies.open()

    async def close(self) -> None:
        """Finish every write, then let go of the file."""
        await self._writer.close()
        await asyncio.get_running_loop().run_in_executor(None, self._checkpoints.close)
        readers, self._readers = self._readers, None
        if readers is not None:
            await asyncio.get_running_loop().run_in_executor(None, readers.shutdown)
        while self._connections:
            self._connections.pop().close()
        self._read_engine.dispose()
        self._engine.dispose()

    def _prepare(self) -> None:
        private_dir(self._folder)
        self._path.touch(mode=0o600)  # SQLite gives its other files the mode of this one.
        deadline = time.monotonic() + BUSY_SECONDS
        while not self._prepared(may_wait=time.monotonic() < deadline):
            time.sleep(BUSY_PAUSE)

    def _prepared(self, *, may_wait: bool) -> bool:
        """Check the tables and make those that are missing. False if another process is writing."""
        try:
            with self._engine.begin() as connection:
                _check(connection, self._path)
                add_missing(connection, schema.metadata)
                self._writes.resume(connection)
                self._map_writes.resume_after_start(connection)
                removed = 0 if self._is_guest else self._sweep(connection)
        except sa.exc.DatabaseError as error:
            if may_wait and is_busy(error):
                return False
            is_full = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            what = "Free some space" if is_full else "Restore it from a copy, or move the folder away to start anew"
            raise ConfigError(f"{self._path} cannot be used: {error.orig}. {what}.") from None
        if removed:
            _log.info("removed %d blobs that a crash left behind", removed)
        return True

    def _sweep(self, connection: sa.Connection) -> int:
        return self._blobs.sweep(task_reads.blob_names(connection).union(map_reads.blob_names(connection)))

    def _read(self, query: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> Any:
        if self._readers is None:
            raise ServiceUnavailable("The service is stopping. Try again in a moment.", retry_after=1)
        self._writer.hurry()  # Whoever reads now may look for what they have just heard of.
        return asyncio.get_running_loop().run_in_executor(
            self._readers, lambda: query(self._connection_of_thread(), *args, **kwargs)
        )

    def _connection_of_thread(self) -> sa.Connection:
        connection: sa.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = self._read_engine.connect()
            self._connections.append(connection)
        return connection

    # --- users and tokens --------------------------------------------------------------------------------------

    async def ensure_user(self, user: User) -> User:
        """Return the user of that name, made if there was none."""
        now = time.time()
        return await self._writer.do(lambda tx: account_rows.ensure_user(tx.connection, user, now))

    async def user(self, user_id: UserId) -> User | None:
        """Return a user."""
        found: User | None = await self._read(account_rows.find_user, user_id)
        return found

    async def add_token(self, token: Token) -> None:
        """Keep a token."""
        await self._writer.do(lambda tx: account_rows.add_token(tx.connection, token))

    async def token(self, digest: str) -> Token | None:
        """Return a token."""
        found: Token | None = await self._read(account_rows.find_token, digest)
        return found

    async def revoke_token(self, user_id: UserId, digest: str) -> bool:
        """Revoke a token."""
        return await self._writer.do(lambda tx: account_rows.revoke_token(tx.connection, user_id, digest))

    # --- functions ---------------------------------------------------------------------------------------------

    async def add_function(self, function: StoredFunction, source: str = "") -> bool:
        """Register a function."""
        return await self._writer.do(lambda tx: registry.add_function(tx.connection, function, source))

    async def function(self, function_id: FunctionId) -> StoredFunction | None:
        """Return a function."""
        found: StoredFunction | None = await self._read(registry.find_function, function_id)
        return found

    async def functions(self, function_ids: Sequence[FunctionId]) -> list[Function]:
        """Return bodies of functions."""
        found: list[Function] = await self._read(registry.function_bodies, function_ids)
        return found

    # --- endpoints ---------------------------------------------------------------------------------------------

    async def save_endpoint(self, endpoint: Endpoint) -> None:
        """Register an endpoint or renew it."""
        now = time.time()
        await self._writer.do(lambda tx: registry.save_endpoint(tx.connection, endpoint, now))

    async def endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """Return an endpoint."""
        found: Endpoint | None = await self._read(registry.find_endpoint, endpoint_id)
        return found

    async def endpoints(self, owner_id: UserId) -> list[Endpoint]:
        """Return the endpoints of an owner."""
        found: list[Endpoint] = await self._read(registry.endpoints_of, owner_id)
        return found

    async def usable_endpoints(self, user_id: UserId, groups: Collection[GroupRef]) -> list[Endpoint]:
        """Return the endpoints that a user may use."""
        found: list[Endpoint] = await self._read(registry.usable_endpoints, user_id, groups)
        return found

    async def change_endpoint(self, owner_id: UserId, endpoint_id: EndpointId, change: EndpointChange) -> bool:
        """Change an endpoint."""
        return await self._writer.do(lambda tx: registry.change_endpoint(tx.connection, owner_id, endpoint_id, change))

    async def delete_endpoint(self, owner_id: UserId, endpoint_id: EndpointId) -> bool:
        """Delete an endpoint."""

        def delete(transaction: Transaction) -> bool:
            self._writes.revisions.will_change(transaction, (endpoint_id,))
            return registry.delete_endpoint(transaction.connection, owner_id, endpoint_id)

        return await self._writer.do(delete)

    async def abandoned_endpoints(self) -> list[EndpointId]:
        """Return deleted endpoints that have open tasks."""
        found: list[EndpointId] = await self._read(registry.abandoned_endpoints)
        return found

    async def all_offline(self) -> None:
        """Record that no endpoint is connected."""

        def mark(transaction: Transaction) -> None:
            registry.all_offline(transaction.connection)
            self._writes.revisions.will_change_everywhere(transaction)

        await self._writer.do(mark)

    async def endpoint_by_key(self, public_key: str) -> EndpointId | None:
        """Return the endpoint with this key."""
        found: EndpointId | None = await self._read(registry.endpoint_by_key, public_key, time.time())
        return found

    async def endpoint_seen(
        self, endpoint_id: EndpointId, status: EndpointStatus | None, *, online: bool, epoch: int
    ) -> None:
        """Record that an endpoint was heard from or went away."""
        now = time.time()

        def see(transaction: Transaction) -> None:
            registry.endpoint_seen(transaction.connection, endpoint_id, status, online=online, epoch=epoch, now=now)
            self._writes.revisions.will_see(transaction, endpoint_id, online=online, epoch=epoch)

        await self._writer.do(see)

    @property
    def environments(self) -> EnvironmentCatalog:
        """The catalog of what there is on the nodes of endpoints."""
        return EnvironmentCatalog(self._writer.do, self._read)

    async def save_environments(self, endpoint_id: EndpointId, environments: Sequence[Environment]) -> None:
        """Replace what is known of the nodes of an endpoint."""
        await self.environments.save(endpoint_id, environments)

    # --- large values ------------------------------------------------------------------------------------------

    @property
    def blobs(self) -> BlobCatalog:
        """The catalog of blobs."""
        return BlobCatalog(self._writer.do, self._read)

    # --- tasks -------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> Receipt:
        """Accept each call once."""
        receipt = await self._writer.do(
            lambda tx: self._writes.submit(tx, submission),
            weight=_weight([len(call.payload) for call in submission.calls]),
        )
        if receipt.is_held:
            self._dependencies.note(submission.options.after)  # One of them may have failed before.
        return receipt

    async def count_open(self, owner_id: UserId) -> int:
        """Return how many tasks of this owner have not ended."""
        found: int = await self._read(task_reads.count_open, owner_id)
        return found

    async def request_cancel(self, owner_id: UserId, task_ids: Sequence[TaskId]) -> list[OpenTask]:
        """Put open tasks of this owner into state ``cancelling``."""
        return await self._writer.do(lambda tx: self._writes.request_cancel(tx, owner_id, task_ids))

    async def tasks(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, brief: bool = False
    ) -> dict[TaskId, TaskRow]:
        """Return tasks of this owner."""
        found: dict[TaskId, TaskRow] = await self._read(task_reads.task_rows, self._blobs, owner_id, task_ids, brief)
        return found

    @property
    def revision(self) -> int:
        """Return the number of the last change to what is told of tasks."""
        return self._writes.revisions.now

    def has_changed(self, since: int, endpoint_ids: Collection[EndpointId] | None) -> bool:
        """Whether tasks have changed since a revision."""
        return self._writes.revisions.has_changed(since, endpoint_ids)

    async def results(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, at_most_bytes: int
    ) -> tuple[list[TaskResult], list[TaskId]]:
        """Return results of ended tasks, and the ids that were not looked at."""
        found: tuple[list[TaskResult], list[TaskId]] = await self._read(
            task_reads.results, self._blobs, owner_id, task_ids, at_most_bytes
        )
        return found

    async def newest(self, owner_id: UserId, *, at_most: int) -> list[TaskId]:
        """Return an owner's newest tasks."""
        found: list[TaskId] = await self._read(task_reads.newest, owner_id, at_most)
        return found

    async def group(self, owner_id: UserId, group_id: GroupId) -> list[TaskId]:
        """Return the tasks of a group."""
        found: list[TaskId] = await self._read(task_reads.group, owner_id, group_id)
        return found

    async def events(self, task_id: TaskId, *, after: int, at_most: int) -> list[TaskEvent]:
        """Return entries of a task's log."""
        found: list[TaskEvent] = await self._read(task_reads.event_log, task_id, after, at_most)
        return found

    # --- numbers -----------------------------------------------------------------------------------------------

    async def overview(self, owner_id: UserId, *, at_most: int) -> Overview:
        """Return what an owner has."""
        found: Overview = await self._read(overview_reads.overview, owner_id, at_most)
        return found

    async def totals(self) -> Totals:
        """Return what there is of everybody, and what was counted."""
        counts: list[OpenCount] = await self._read(overview_reads.open_counts)
        fleet: dict[str, int] = await self._read(overview_reads.fleet)
        files = [self._path, self._path.with_name(f"{self._path.name}-wal")]
        return Totals(
            open=counts,
            endpoints=fleet["endpoints"],
            endpoints_online=fleet["endpoints_online"],
            workers=fleet["workers"],
            idle_workers=fleet["idle_workers"],
            database_bytes=sum(file.stat().st_size for file in files if file.exists()),
            submitted=self._writes.submitted,
            ended={state.value: count for state, count in self._writes.ended.items()},
            commit_operations=self._writer.operations,
            commit_times=self._writer.times,
        )

    # --- what is too old ---------------------------------------------------------------------------------------

    async def delete_tasks(self, before: int, *, after: int, at_most: int) -> tuple[int, int]:
        """Delete ended tasks."""
        found: old_rows.OldTasks = await self._read(old_rows.old_tasks, before, after, at_most)
        if not found.positions:
            return 0, found.next

        def delete(transaction: Transaction) -> int:
            self._writes.revisions.will_change_everywhere(transaction)
            return old_rows.delete_tasks(transaction, found.positions)

        return await self._writer.do(delete), found.next

    async def delete_map(self, before: int) -> int:
        """Delete a map that ended."""
        found: tuple[int, UserId, MapId] | None = await self._read(old_rows.old_map, before)
        if found is None:
            return 0
        number, owner_id, map_id = found

        def delete(tx: Transaction) -> int:
            submit_ids = old_rows.submits_of_map(tx, number)
            deleted = self._map_writes.delete(tx, owner_id, map_id)
            old_rows.delete_empty_submits(tx, submit_ids)
            return int(deleted)

        return await self._writer.do(delete)

    async def waiting_since(self, before: int, *, after: int, at_most: int) -> tuple[list[OpenTask], int]:
        """Return tasks that wait for long."""
        found: tuple[list[OpenTask], int] = await self._read(old_rows.waiting_since, before, after, at_most)
        return found

    async def delete_tokens(self, before: float, *, at_most: int) -> int:
        """Delete worthless tokens."""
        return await self._writer.do(lambda tx: old_rows.delete_tokens(tx, before, at_most))

    async def delete_bodies(self, *, at_most: int) -> int:
        """Delete code that no function has."""
        found: list[bytes] = await self._read(old_rows.unused_bodies, at_most)
        if not found:
            return 0
        return await self._writer.do(lambda tx: old_rows.delete_bodies(tx, found))

    async def optimize(self) -> None:
        """Renew the statistics of tables that changed much."""
        await self._writer.do(lambda tx: tx.run("PRAGMA optimize").close())

    async def copy_database(self, path: Path) -> None:
        """Copy in one step: in several, every commit in between would start it anew. Writers do not wait for it."""
        await asyncio.to_thread(_copy, self._path, path)

    # --- leases ------------------------------------------------------------------------------------------------

    async def open_tasks(self, endpoint_id: EndpointId, *, at_most: int) -> list[TaskId]:
        """Return the oldest open tasks of an endpoint."""
        found: list[TaskId] = await self._read(lanes.open_tasks, endpoint_id, at_most)
        return found

    async def offers(self, task_ids: Sequence[TaskId]) -> list[Offer]:
        """Return open tasks with their payloads."""
        found: list[Offer] = await self._read(task_reads.offers, self._blobs, task_ids)
        return found

    async def headers(self, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]:
        """Return current leases of an endpoint, without payloads."""
        found: list[Offer] = await self._read(task_reads.headers, endpoint_id, leases)
        return found

    async def begin_attempts(self, leases: Sequence[Lease]) -> None:
        """Persist raised attempt numbers."""
        await self._writer.do(lambda tx: self._writes.begin_attempts(tx, leases))

    async def complete(self, endpoint_id: EndpointId, results: Sequence[TaskResult], *, may_wait: bool = False) -> None:
        """End tasks."""
        now = time.time_ns()
        await self._writer.do(
            lambda tx: self._complete(tx, endpoint_id, results, now),
            weight=_weight([len(result.value) for result in results]),
            may_wait=may_wait,
        )
        self._dependencies.task_ended(results)

    def _complete(
        self, transaction: Transaction, endpoint_id: EndpointId, results: Sequence[TaskResult], now: int
    ) -> None:
        self._writes.complete(transaction, endpoint_id, results, now)
        self._map_writes.ended(transaction, results, now)

    async def transition(self, endpoint_id: EndpointId, transitions: Sequence[Transition]) -> None:
        """Record states of open tasks."""
        await self._writer.do(lambda tx: self._writes.transition(tx, endpoint_id, transitions), weight=len(transitions))

    async def append_events(self, endpoint_id: EndpointId, events: Sequence[TaskEvent]) -> None:
        """Append to the event logs of open tasks."""
        await self._writer.do(
            lambda tx: self._writes.append_events(tx, endpoint_id, events),
            weight=_weight([len(event.body) for event in events]),
        )


def _copy(source: Path, target: Path) -> None:
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing, pages=-1)
        # What has come of an upload that is under way is not in the copy.
        uploads = f"SELECT blob_id FROM blobs WHERE stage = '{Stage.RECEIVING}'"  # noqa: S608 - a constant
        writing.execute(f"DELETE FROM blob_chunks WHERE blob_id IN ({uploads})")  # noqa: S608 - likewise
        writing.execute("UPDATE blobs SET upload = '' WHERE stage = ?", (Stage.RECEIVING,))
        writing.commit()


def _weight(sizes: list[int]) -> int:
    return len(sizes) + sum(sizes) // BYTES_PER_ROW


def _engine(path: Path, *, writer: bool) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}",
        # Transactions are begun below, not by the sqlite3 module, which would begin them too late. Readers need
        # none: each of their statements sees one state of the database by itself.
        connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "check_same_thread": False},
        poolclass=sa.pool.QueuePool,
        pool_size=READERS,
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()
        if writer:
            connection.execute(f"PRAGMA busy_timeout = {WRITER_BUSY_MS}").close()

    return engine


def _check(connection: sa.Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
    if found != ["ok"]:
        raise ConfigError(
            f"{path} is damaged ({found[0]}). Restore it from a copy, or move the folder away to start anew."
        )
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version not in (0, schema.SCHEMA_VERSION):
        raise ConfigError(
            f"{path} was written by another version of funcX (schema {version}, this one reads {schema.SCHEMA_VERSION})."
        )
    connection.exec_driver_sql(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
