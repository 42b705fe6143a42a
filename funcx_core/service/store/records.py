"""What goes into the store and comes out of it."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.ids import ClientId, ContainerId, EndpointId, FunctionId, GroupId, GroupRef, TaskId, TokenId, UserId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    Call,
    Function,
    TaskError,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
)
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.histogram import Times

TOKEN_ID_DIGITS: Final = 32
"""How much of a digest is the token's id: a random 128 bits, as in any UUID."""


class User(msgspec.Struct, frozen=True):
    """Somebody who owns functions, endpoints and tasks."""

    user_id: UserId
    name: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token as it is kept: only the SHA-256 of it. Times are Unix seconds; `expires_at` None for never.

    `last_used_at` is some minutes behind. `client_id`: the client that it was given to, if any.
    """

    digest: str
    user_id: UserId
    label: str
    created_at: float
    expires_at: float | None = None
    revoked: bool = False
    scopes: frozenset[Scope] = ALL
    last_used_at: float | None = None
    client_id: ClientId | None = None

    @property
    def token_id(self) -> TokenId:
        """The id under which its user sees it; who knows it knows neither the token nor its digest."""
        return token_id_of(self.digest)


def token_id_of(digest: str) -> TokenId:
    """Return the id of the token with this digest."""
    return TokenId(str(UUID(digest[:TOKEN_ID_DIGITS])))


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A program that gets tokens of `user_id` for an id and a secret, of which only the SHA-256 is kept."""

    client_id: ClientId
    user_id: UserId
    label: str
    secret_digest: str
    created_at: float
    scopes: frozenset[Scope] = ALL


class StoredFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A registered function, who owns it, whom it is shared with, and what its owner said about it."""

    function: Function
    owner_id: UserId
    description: str = ""
    public: bool = False
    shared_with: GroupRef | None = None
    searchable: bool = True
    container_id: ContainerId | None = None
    entry_point: str = ""
    created_at: float = 0.0

    @property
    def content_hash(self) -> str:
        """Names the body, whoever registered it under whatever id; allow-lists take it."""
        return f"sha256:{sha256(self.function.body).hexdigest()}"


class FunctionChange(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner wants to be different about a function."""

    description: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    shared_with: GroupRef | UnsetType | None = UNSET
    searchable: bool | UnsetType = UNSET


class Sought(StrEnum):
    """Where a word is looked for."""

    ANYWHERE = "anywhere"
    NAME = "name"
    DESCRIPTION = "description"


class FunctionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which functions are looked for: those that the viewer may use, of this owner if one is named, with all words."""

    viewer_id: UserId
    groups: frozenset[GroupRef]
    words: tuple[tuple[Sought, str], ...] = ()
    owner: str = ""
    limit: int = 20
    offset: int = 0


class FoundFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it is listed: without its body. `source` is its text; where many are listed only a short one."""

    function_id: FunctionId
    name: str
    owner_id: UserId
    owner_name: str
    description: str
    public: bool
    shared_with: GroupRef | None
    searchable: bool
    container_id: ContainerId | None
    entry_point: str
    created_at: float
    source: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A registered endpoint. `epoch` is that of the agent that was heard last; times are Unix seconds, 0 for never.

    `features` are words with spaces between them: see `funcx_core.protocol.features`; None if it has not registered since it is asked.
    """

    endpoint_id: EndpointId
    owner_id: UserId
    name: str
    public_key: str = ""
    version: str = ""
    meta: bytes = b""
    online: bool = False
    last_seen: float = 0.0
    epoch: int = 0
    status: EndpointStatus | None = None
    created_at: float = 0.0
    public: bool = False
    shared_with: GroupRef | None = None
    restricted: bool = False
    locked_until: float = 0.0
    features: str | None = None


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner wants to be different about an endpoint. `restricted`: it runs only functions on its list."""

    public: bool | UnsetType = UNSET
    shared_with: GroupRef | UnsetType | None = UNSET
    restricted: bool | UnsetType = UNSET
    locked_until: float | UnsetType = UNSET


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """An environment to run in. `kind` is ``docker``, ``singularity``, ``shifter`` and the like, in lower case."""

    container_id: ContainerId
    owner_id: UserId
    name: str
    description: str
    kind: str
    location: str
    public: bool = False
    shared_with: GroupRef | None = None
    created_at: float = 0.0


class Role(StrEnum):
    """What a member may do in a group of users."""

    ADMIN = "admin"
    """Change who is in it, and delete it."""
    MEMBER = "member"
    """Use what is shared with it."""


class UserGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of users that this service keeps."""

    group_id: GroupRef
    name: str
    description: str = ""
    created_at: float = 0.0


class Member(msgspec.Struct, frozen=True):
    """Somebody in a group."""

    user_id: UserId
    name: str
    role: Role


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """Calls to be made durable together. `received_at` is in Unix nanoseconds."""

    owner_id: UserId
    endpoint_id: EndpointId
    group_id: GroupId
    calls: list[Call]
    received_at: int
    options: TaskOptions = DEFAULT_OPTIONS


class Receipt(msgspec.Struct, frozen=True):
    """What became of a submission; on the ordinary path both are empty and every call was new.

    Attributes:
        repeated: had been accepted before, with the same content.
        conflicting: name a task of another content or owner, and were not accepted.
        is_held: the new calls wait for other tasks, and nobody may lease them before the store has released them.
    """

    repeated: frozenset[TaskId] = frozenset()
    conflicting: frozenset[TaskId] = frozenset()
    is_held: bool = False


NOTHING_SPECIAL: Final = Receipt()


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task as its owner may see it. Times are Unix nanoseconds, 0 where it never came."""

    task_id: TaskId
    function_id: FunctionId
    endpoint_id: EndpointId
    group_id: GroupId
    state: TaskState
    attempt: int
    value: bytes = b""
    error: TaskError | None = None
    received_at: int = 0
    times: TaskTimes = TaskTimes()
    completed_at: int = 0
    waits_for: tuple[TaskId, ...] = ()


class HeldTask(msgspec.Struct, frozen=True):
    """A task that waits for others, with what is needed to end it and to report on that."""

    task_id: TaskId
    attempt: int
    endpoint_id: EndpointId
    owner_id: UserId
    group_id: GroupId


class HeldEnd(msgspec.Struct, frozen=True):
    """How a task ended that waited for others."""

    task: HeldTask
    result: TaskResult


class Settled(msgspec.Struct, frozen=True):
    """What followed from the ends of tasks that others waited for.

    Attributes:
        released: endpoints that have tasks to run now.
        ended: tasks that cannot be run any more.
        is_whole: nothing else follows from the same ends.
    """

    released: frozenset[EndpointId] = frozenset()
    ended: list[HeldEnd] = []
    is_whole: bool = True


class OpenTask(msgspec.Struct, frozen=True, array_like=True):
    """Names an open task and where it is."""

    task_id: TaskId
    endpoint_id: EndpointId


class OpenCount(msgspec.Struct, frozen=True):
    """How many open tasks an endpoint has in a state."""

    endpoint_id: EndpointId
    state: TaskState
    count: int


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a list. Times are Unix nanoseconds, 0 where it never came."""

    task_id: TaskId
    state: TaskState
    function_name: str
    endpoint_id: EndpointId
    attempt: int
    received_at: int
    times: TaskTimes
    completed_at: int


class FunctionRow(msgspec.Struct, frozen=True):
    """A function in a list."""

    function_id: FunctionId
    name: str
    description: str
    created_at: float


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner has, as far as a page can show it."""

    endpoints: list[Endpoint]
    open: list[OpenCount]
    tasks: list[TaskLine]
    functions: list[FunctionRow]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of everybody, and what this process has counted since its start.

    Attributes:
        open: open tasks.
        endpoints: that are registered.
        endpoints_online: that are connected.
        workers: of endpoints that are connected.
        idle_workers: those of them that do nothing.
        database_bytes: size of the database, with its log.
        submitted: tasks accepted since the start.
        ended: tasks ended since the start, by state.
        commit_operations: operations in all transactions since the start.
        commit_times: how long these took.
    """

    open: list[OpenCount]
    endpoints: int
    endpoints_online: int
    workers: int
    idle_workers: int
    database_bytes: int
    submitted: int
    ended: dict[str, int]
    commit_operations: int
    commit_times: Times
