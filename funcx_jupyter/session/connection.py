"""What cells and verbs need of a service, and what they send it and hear of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import FuncxError
from funcx_core.ids import EndpointId, GroupId, MapId, TaskId
from funcx_core.protocol.blob import BlobReference
from funcx_core.protocol.client import Limits
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import Function, TaskOptions
from funcx_core.sdk.futures import FuncXFuture, TaskListener
from funcx_jupyter.session.endpoints import Endpoint
from funcx_jupyter.session.staging import BlobStore

if TYPE_CHECKING:
    from funcx_core.sdk.maps import FuncXMap


class LogPage(msgspec.Struct, frozen=True):
    """A part of a task's log.

    Attributes:
        events: its entries, as the service tells them.
        last: the `seq` of the last one, after which it goes on.
        is_over: the task has ended: if this part is empty, there is no more.
    """

    events: list[dict[str, Any]]
    last: int
    is_over: bool


class MapOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a map beside its elements.

    Attributes:
        map_id: its id, made by who sends it.
        endpoint_id: where it runs.
        function: what each element is given to.
        chunksize: elements in one task, or ``auto``.
        name: what the user calls it.
        options: those of each of its tasks.
        about: what the parameters are, for who looks at it from another process.
        blobs: values that all elements have beside them, and that are complete.
    """

    map_id: MapId
    endpoint_id: EndpointId
    function: Function
    chunksize: int | str
    name: str
    options: TaskOptions
    about: bytes
    blobs: Sequence[BlobReference] = ()


class Connection(Protocol):
    """What cells and verbs need of a service."""

    address: str

    @property
    def client(self) -> Any:
        """The SDK's client, for questions."""

    def limits(self) -> Limits:
        """Return what the service accepts."""

    def result_days(self) -> float:
        """Return for how many days after their end the service keeps tasks; 0 for ever, or if it does not say."""

    def endpoints(self, *, patiently: bool = True) -> list[Endpoint]:
        """Return the user's endpoints. If not `patiently`, a service that does not answer soon is not waited for."""

    def shared_endpoint(self, endpoint_id: str) -> list[Endpoint]:
        """Return the endpoint of this id, which may be somebody else's; nothing if there is none that the user may use."""

    def ask(self, *path: str, query: str = "") -> Any:
        """Return what the service answers to one question of a user."""

    @property
    def group_id(self) -> GroupId:
        """The group of the tasks that are submitted now."""

    @property
    def store(self) -> BlobStore:
        """The service's store for large values."""

    def submit(
        self,
        endpoint_id: EndpointId,
        spec: CellSpec,
        options: TaskOptions,
        listener: TaskListener,
        task_id: TaskId | None = None,
    ) -> FuncXFuture:
        """Run a cell, as the task of this id. The blobs that it names are complete."""

    def submit_map(self, order: MapOrder, calls: Iterator[tuple[Any, ...]]) -> FuncXMap:
        """Run a cell once for each element; return when the service has all of it."""

    def find_map(self, map_id: MapId) -> FuncXMap:
        """Return a map that was submitted before."""

    def watch(self, task_id: TaskId, group_id: GroupId, endpoint_id: EndpointId, listener: TaskListener) -> FuncXFuture:
        """Follow a task that was submitted before, with all its events from the first."""

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what the service tells of a task."""

    def states(self, task_ids: Sequence[TaskId]) -> dict[str, dict[str, Any]]:
        """Return what is known of these tasks, by id, without their values, in one question."""

    def log(self, task_id: str, after: int = 0, *, wait: float = 0.0) -> LogPage:
        """Return the next entries of a task's log after a `seq`, waiting for one for at most so many seconds."""

    def result(self, task_id: str) -> Any:
        """Return the value of a task, or raise its exception."""

    def environments(self, endpoint_id: str) -> list[Environment]:
        """Return what there is on the nodes of an endpoint; nothing if it has not reported it."""

    def trusts(self, endpoint_id: str) -> bool:
        """Whether results of an endpoint may hold more than plain data."""

    def presented(self, error: FuncxError) -> FuncxError:
        """Return an error of a question as a notebook shows it: in one line, and what to do about it there."""

    def outage(self) -> float | None:
        """Return for how many seconds the service has not been heard; None if it is, or nobody has tried."""

    def close(self) -> None:
        """Let go of the service."""
