"""The seam: what the web service needs of a store, on top of what the forwarder needs of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Self

from funcx_core.forwarder.store import LeaseStore
from funcx_core.ids import EndpointId, FunctionId, GroupId, GroupRef, TaskId, UserId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import Function, Lease, TaskEvent, TaskResult, Transition
from funcx_core.service.store.accounts import AccountStore
from funcx_core.service.store.allow_lists import AllowLists
from funcx_core.service.store.blob_catalog import BlobCatalog
from funcx_core.service.store.container_catalog import ContainerCatalog
from funcx_core.service.store.dependencies import Dependencies
from funcx_core.service.store.environment_catalog import EnvironmentCatalog
from funcx_core.service.store.function_catalog import FunctionCatalog
from funcx_core.service.store.group_catalog import GroupCatalog
from funcx_core.service.store.maps import MapStore
from funcx_core.service.store.records import (
    Endpoint,
    EndpointChange,
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
from funcx_core.service.store.usage_catalog import UsageCatalog


class Store(LeaseStore, ABC):
    """Everything durable. All methods belong to the asyncio loop on which the store was opened.

    When a writing method returns, its change is committed to disk. Writing methods take effect in the order in which
    they are called. They raise `StorageFull` or `ServiceUnavailable` when nothing of the call was committed.
    """

    @property
    @abstractmethod
    def accounts(self) -> AccountStore:
        """Tokens, clients, and users who are known elsewhere."""

    @property
    @abstractmethod
    def maps(self) -> MapStore:
        """Maps and their ranges."""

    @property
    @abstractmethod
    def dependencies(self) -> Dependencies:
        """Tasks that wait for others."""

    # --- its life ----------------------------------------------------------------------------------------------

    @abstractmethod
    async def open(self) -> None:
        """Make the tables if they are not there, and check them.

        Raises:
            ConfigError: if the store is damaged, or was made by another version.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish every write that was asked for, then let go of everything."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- users and tokens --------------------------------------------------------------------------------------

    @abstractmethod
    async def ensure_user(self, user: User) -> User:
        """Return the user of that name, made as `user` if there was none."""

    @abstractmethod
    async def user(self, user_id: UserId) -> User | None:
        """Return the user with this id."""

    @abstractmethod
    async def add_token(self, token: Token) -> None:
        """Keep a token."""

    @abstractmethod
    async def token(self, digest: str) -> Token | None:
        """Return the token with this digest, also if it expired or was revoked."""

    @abstractmethod
    async def revoke_token(self, user_id: UserId, digest: str) -> bool:
        """Revoke a token of this user; whether there was one."""

    # --- functions ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def add_function(self, function: StoredFunction, source: str = "") -> bool:
        """Register a function, with its text if there is one; whether it is new. The same one again changes nothing.

        Raises:
            Conflict: if the id names a function of another body or owner, or one that was deleted.
        """

    @abstractmethod
    async def function(self, function_id: FunctionId) -> StoredFunction | None:
        """Return a function that was not deleted, whoever owns it."""

    @property
    @abstractmethod
    def function_catalog(self) -> FunctionCatalog:
        """Functions as they are listed, searched, changed and deleted."""

    # --- endpoints ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def save_endpoint(self, endpoint: Endpoint) -> None:
        """Register an endpoint, or renew name, key, version and meta of one of the same owner.

        Raises:
            Conflict: if the id was registered by somebody else or was deleted, or the key belongs to another endpoint.
            ResourceLocked: if its owner locked it.
        """

    @abstractmethod
    async def endpoint(self, endpoint_id: EndpointId) -> Endpoint | None:
        """Return an endpoint that was not deleted, whoever owns it."""

    @abstractmethod
    async def endpoints(self, owner_id: UserId) -> list[Endpoint]:
        """Return the endpoints of an owner, newest first."""

    @abstractmethod
    async def usable_endpoints(self, user_id: UserId, groups: Collection[GroupRef]) -> list[Endpoint]:
        """Return the endpoints that a user who is in these groups may use: their own first, then newest first."""

    @abstractmethod
    async def change_endpoint(self, owner_id: UserId, endpoint_id: EndpointId, change: EndpointChange) -> bool:
        """Change an endpoint of this owner; whether there was one."""

    @abstractmethod
    async def delete_endpoint(self, owner_id: UserId, endpoint_id: EndpointId) -> bool:
        """Delete an endpoint of this owner; whether there was one."""

    @abstractmethod
    async def abandoned_endpoints(self) -> list[EndpointId]:
        """Return deleted endpoints that have open tasks."""

    @abstractmethod
    async def all_offline(self) -> None:
        """Record that no endpoint is connected: the forwarder has just started."""

    # --- large values ------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def blobs(self) -> BlobCatalog:
        """The catalog of blobs. Its bytes are elsewhere."""

    # --- what is beside them -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def allow_lists(self) -> AllowLists:
        """Which functions restricted endpoints run."""

    @property
    @abstractmethod
    def environments(self) -> EnvironmentCatalog:
        """What there is on the nodes of endpoints."""

    @property
    @abstractmethod
    def containers(self) -> ContainerCatalog:
        """Registered containers."""

    @property
    @abstractmethod
    def groups(self) -> GroupCatalog:
        """Groups of users that this service keeps."""

    @property
    @abstractmethod
    def usage(self) -> UsageCatalog:
        """What usage statistics are made of."""

    # --- tasks -------------------------------------------------------------------------------------------------

    @abstractmethod
    async def submit(self, submission: Submission) -> Receipt:
        """Accept each call once: one with a known id and the same content is `repeated`, with another `conflicting`.

        If something in ``options.after`` has not succeeded, the new calls are held until it has.

        Raises:
            TaskNotFound: something in ``options.after`` is no task of the owner. Nothing was accepted.
        """

    @abstractmethod
    async def count_open(self, owner_id: UserId) -> int:
        """Return how many tasks of this owner have not ended."""

    @abstractmethod
    async def request_cancel(self, owner_id: UserId, task_ids: Sequence[TaskId]) -> list[OpenTask]:
        """Put those of the tasks that are open and of this owner into state ``cancelling``, and return them."""

    @abstractmethod
    async def tasks(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, brief: bool = False
    ) -> dict[TaskId, TaskRow]:
        """Return those of the tasks that exist and are of this owner; if `brief`, with empty values, which are not read."""

    @property
    @abstractmethod
    def revision(self) -> int:
        """A number that rises with every change to what `tasks` and the calls of `maps` tell, at the latest when its caller hears of it."""

    @abstractmethod
    def has_changed(self, since: int, endpoint_ids: Collection[EndpointId] | None) -> bool:
        """Whether tasks of these endpoints may have changed since `revision` was `since`; of any endpoint, if it is None.

        No row is read for it. It may say so of tasks that have not changed, never the other way round; what was not there
        may appear at any endpoint.
        """

    @abstractmethod
    async def results(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, at_most_bytes: int
    ) -> tuple[list[TaskResult], list[TaskId]]:
        """Return results of those tasks of this owner that ended, and the rest of `task_ids`, to be asked for next.

        It stops after about `at_most_bytes` of values, but never before the first.
        """

    @abstractmethod
    async def newest(self, owner_id: UserId, *, at_most: int) -> list[TaskId]:
        """Return the tasks of this owner that were accepted last, newest first."""

    @abstractmethod
    async def group(self, owner_id: UserId, group_id: GroupId) -> list[TaskId]:
        """Return the tasks of a group of this owner, in the order in which they were accepted."""

    @abstractmethod
    async def events(self, task_id: TaskId, *, after: int, at_most: int) -> list[TaskEvent]:
        """Return entries of a task's log with a higher `seq` than `after`, lowest first."""

    # --- numbers -----------------------------------------------------------------------------------------------

    @abstractmethod
    async def overview(self, owner_id: UserId, *, at_most: int) -> Overview:
        """Return what an owner has, with the newest `at_most` tasks and functions."""

    @abstractmethod
    async def totals(self) -> Totals:
        """Return what there is of everybody, and what was counted."""

    # --- what is too old ---------------------------------------------------------------------------------------

    @abstractmethod
    async def delete_tasks(self, before: int, *, after: int, at_most: int) -> tuple[int, int]:
        """Delete up to `at_most` tasks that ended before `before` (Unix nanoseconds), with their results and logs.

        Ranges of maps are not among them: see `delete_map`. It looks at those behind position `after`. Returns how many were deleted, and where to look on; 0 when all were looked at.
        """

    @abstractmethod
    async def delete_map(self, before: int) -> int:
        """Delete one map whose last range ended before `before` (Unix nanoseconds), as a whole; whether there was one, 0 or 1."""

    @abstractmethod
    async def waiting_since(self, before: int, *, after: int, at_most: int) -> tuple[list[OpenTask], int]:
        """Return tasks that wait since before `before`, behind position `after`, and where to look on; 0 at the end."""

    @abstractmethod
    async def delete_tokens(self, before: float, *, at_most: int) -> int:
        """Delete tokens that expired before `before`, or were revoked and made before; how many there were."""

    @abstractmethod
    async def delete_bodies(self, *, at_most: int) -> int:
        """Delete code that no function has any more; how many there were."""

    @abstractmethod
    async def optimize(self) -> None:
        """Renew what helps the database to choose how to look for rows."""

    @abstractmethod
    async def copy_database(self, path: Path) -> None:
        """Write all rows, as they are at one moment, to a new file that only its owner may read."""

    # --- leases: see `LeaseStore` ------------------------------------------------------------------------------

    @abstractmethod
    async def endpoint_by_key(self, public_key: str) -> EndpointId | None: ...  # noqa: D102

    @abstractmethod
    async def open_tasks(self, endpoint_id: EndpointId, *, at_most: int) -> list[TaskId]: ...  # noqa: D102

    @abstractmethod
    async def offers(self, task_ids: Sequence[TaskId]) -> list[Offer]: ...  # noqa: D102

    @abstractmethod
    async def headers(self, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]: ...  # noqa: D102

    @abstractmethod
    async def functions(self, function_ids: Sequence[FunctionId]) -> list[Function]: ...  # noqa: D102

    @abstractmethod
    async def begin_attempts(self, leases: Sequence[Lease]) -> None: ...  # noqa: D102

    @abstractmethod
    async def complete(  # noqa: D102
        self, endpoint_id: EndpointId, results: Sequence[TaskResult], *, may_wait: bool = False
    ) -> None: ...

    @abstractmethod
    async def transition(self, endpoint_id: EndpointId, transitions: Sequence[Transition]) -> None: ...  # noqa: D102

    @abstractmethod
    async def append_events(self, endpoint_id: EndpointId, events: Sequence[TaskEvent]) -> None: ...  # noqa: D102

    @abstractmethod
    async def endpoint_seen(  # noqa: D102
        self, endpoint_id: EndpointId, status: EndpointStatus | None, *, online: bool, epoch: int
    ) -> None: ...

    @abstractmethod
    async def save_environments(self, endpoint_id: EndpointId, environments: Sequence[Environment]) -> None: ...  # noqa: D102
