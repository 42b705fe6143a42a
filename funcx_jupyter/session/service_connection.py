"""The kernel's way to a real service: one client for questions, one stream for cells."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from funcx_core.cells.spec import CellSpec
from funcx_core.errors import AuthRequired, FuncxError, NotConfigured, NotFound, ServiceUnavailable
from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId, TaskId, new_function_id, new_group_id
from funcx_core.protocol.blob import with_blobs
from funcx_core.protocol.client import Limits
from funcx_core.protocol.codec import encode
from funcx_core.protocol.environment import Environment
from funcx_core.protocol.task import Function, TaskOptions, TaskState
from funcx_core.sdk.futures import FuncXFuture, TaskListener
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.settings_watch import current_settings
from funcx_core.sdk.stream import Route, TaskStream
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.web import WebClient
from funcx_core.serialize import pack_call, pack_function
from funcx_core.serialize.ranges import pack_range
from funcx_jupyter.errors import AuthError, NotConnectedError, shown_in_one_line
from funcx_jupyter.session.cell_function import funcx_cell
from funcx_jupyter.session.connection import LogPage, MapOrder
from funcx_jupyter.session.endpoints import Endpoint, endpoint_of
from funcx_jupyter.session.sign_in import of_sign_in
from funcx_jupyter.session.staging import BlobStore

if TYPE_CHECKING:
    from funcx_core.sdk.maps import FuncXMap

NOT_CONNECTED: Final = "No funcX service is configured. Start one here with `%funcx start local`, or connect with `%funcx connect https://host`."
NOT_SUBMITTED: Final = "Your cell was not submitted."


class ServiceConnection:
    """A `Connection` to a real service. Nothing is sent before the first question."""

    def __init__(self, settings: Settings) -> None:
        self.address = settings.service_address
        self.settings = settings
        self._client: Any = None
        self._stream: TaskStream | None = None
        self._group_id: GroupId = new_group_id()
        self._function_id: FunctionId | None = None
        self._lost_at: float | None = None
        self._transfer: Transfer | None = None

    @classmethod
    def open(cls) -> ServiceConnection:
        """Return a connection to the service that is configured.

        Raises:
            NotConnectedError: if none is.
        """
        try:
            return cls(current_settings())
        except NotConfigured:
            raise NotConnectedError(NOT_CONNECTED) from None

    def is_current(self) -> bool:
        """Whether this is still the configured service: `funcx up` may have started another one since."""
        try:
            return current_settings() == self.settings
        except FuncxError:
            return True

    @property
    def client(self) -> Any:
        """The SDK's client, for questions."""
        if self._client is None:
            from funcx_core.sdk.client import FuncXClient  # noqa: PLC0415 - the magics load faster without it

            self._client = FuncXClient(
                funcx_service_address=self.settings.service_address,
                token=self.settings.token or None,
                fx_authorizer=self.settings.authorizer,
            )
        return self._client

    def limits(self) -> Limits:
        """Return what the service accepts, as far as it is known yet."""
        return self._open_stream().limits

    def result_days(self) -> float:
        """Return for how many days after their end the service keeps tasks; 0 for ever, or if it does not say."""
        return float(self.client.get_limits().get("result_days") or 0.0)

    def endpoints(self, *, patiently: bool = True) -> list[Endpoint]:
        """Return the user's endpoints, as they are now."""
        try:
            rows = self.client.get_endpoints() if patiently else self._endpoints_soon()
        except ServiceUnavailable as error:
            raise shown_in_one_line(ServiceUnavailable(_not_submitted(str(error)))) from None
        except FuncxError as error:
            raise self.presented(error) from None
        return [endpoint_of(row, now=time.time()) for row in rows]

    def shared_endpoint(self, endpoint_id: str) -> list[Endpoint]:
        """Return the endpoint of this id, which may be somebody else's; nothing if there is none that the user may use."""
        try:
            return [endpoint_of(self.ask("endpoints", endpoint_id), now=time.time())]
        except NotFound:
            return []

    def ask(self, *path: str, query: str = "") -> Any:
        """Return what the service answers to one question of a user."""
        try:
            with closing(WebClient(self.settings, tries=2)) as web:
                return web.get(*path, query=query)
        except FuncxError as error:
            raise self.presented(error) from None

    def _endpoints_soon(self) -> list[dict[str, Any]]:
        with closing(WebClient(self.settings, timeout=1.0, tries=1)) as web:
            return list(web.get("endpoints"))

    @property
    def group_id(self) -> GroupId:
        """The group of the tasks that are submitted now."""
        return self._group_id

    @property
    def store(self) -> BlobStore:
        """The service's store for large values; after its `close` another one."""
        if self._transfer is None or self._transfer.is_closed:
            self._transfer = Transfer(lambda: self.settings)
        return self._transfer

    def submit(
        self,
        endpoint_id: EndpointId,
        spec: CellSpec,
        options: TaskOptions,
        listener: TaskListener,
        task_id: TaskId | None = None,
    ) -> FuncXFuture:
        """Run a cell, as the task of this id. The blobs that it names are complete."""
        stream = self._open_stream()
        if self._function_id is None:
            self._function_id = new_function_id()
            stream.register(Function(self._function_id, "funcx_cell", pack_function(funcx_cell)))
        payload = with_blobs(pack_call((encode(spec),), {}), spec.blobs)
        route = Route(endpoint_id, self._group_id, options, self.client.reader_of(endpoint_id))
        if options.after:
            stream.flush()  # They may have been sent a moment ago.
        try:
            return stream.submit(self._function_id, payload, route, listener=listener, task_id=task_id)
        except FuncxError as error:
            self.close()  # It has ended for good: the next cell gets a new one.
            raise shown_in_one_line(error) from None

    def submit_map(self, order: MapOrder, calls: Iterator[tuple[Any, ...]]) -> FuncXMap:
        """Run a cell once for each element; return when the service has all of it."""
        if order.options.after:
            self._open_stream().flush()  # They may have been sent a moment ago.
        try:
            made: FuncXMap = self.client.map_maker().submit(
                order.function,
                calls,
                endpoint_id=order.endpoint_id,
                chunksize=order.chunksize,
                name=order.name,
                options=order.options,
                about=order.about,
                pack=lambda some: with_blobs(pack_range(some), order.blobs),
                map_id=order.map_id,
            )
        except FuncxError as error:
            raise shown_in_one_line(error) from None
        return made

    def find_map(self, map_id: MapId) -> FuncXMap:
        """Return a map that was submitted before."""
        found: FuncXMap = self.client.map_maker().find(map_id)
        return found

    def watch(self, task_id: TaskId, group_id: GroupId, endpoint_id: EndpointId, listener: TaskListener) -> FuncXFuture:
        """Follow a task that was submitted before, with all its events from the first."""
        (future,) = self._open_stream().watch(
            group_id,
            [task_id],
            listener_of=lambda _: listener,
            events_after={task_id: 0},
            reader=self.client.reader_of(endpoint_id),
        )
        return future

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""
        self._open_stream().cancel([task_id])

    def task(self, task_id: str) -> dict[str, Any]:
        """Return the status of a task, and where it runs."""
        found: dict[str, Any] = self.client.get_task_status(task_id)
        return found

    def states(self, task_ids: Sequence[TaskId]) -> dict[str, dict[str, Any]]:
        """Return what is known of these tasks, by id, without their values, in one question."""
        with closing(WebClient(self.settings, timeout=10.0)) as web:
            found: dict[str, dict[str, Any]] = web.post(
                "batch_status", body={"task_ids": list(task_ids), "brief": True}
            )["results"]
        return found

    def log(self, task_id: str, after: int = 0, *, wait: float = 0.0) -> LogPage:
        """Return the next entries of a task's log after a `seq`, waiting for one for at most so many seconds."""
        told = self.client.get_events(task_id, after=after, timeout=wait)
        return LogPage(told["events"], int(told["last_seq"]), is_over=TaskState(told["state"]).is_terminal)

    def result(self, task_id: str) -> Any:
        """Return the value of a task, or raise its exception."""
        return self.client.get_result(task_id)

    def environments(self, endpoint_id: str) -> list[Environment]:
        """Return what there is on the nodes of an endpoint; nothing if it has not reported it."""
        try:
            found: list[Environment] = self.client.get_endpoint_environment(endpoint_id)
        except NotFound:
            return []  # A service that does not keep it.
        except FuncxError as error:
            raise self.presented(error) from None
        return found

    def trusts(self, endpoint_id: str) -> bool:
        """Whether results of an endpoint may hold more than plain data."""
        try:
            return bool(self.client.trusts(endpoint_id))
        except FuncxError as error:
            raise self.presented(error) from None

    def presented(self, error: FuncxError) -> FuncxError:
        """Return an error as a notebook shows it: in one line, and what to do about it there."""
        if isinstance(error, AuthRequired) and not isinstance(error, AuthError):
            return of_sign_in(error, self.settings)
        return shown_in_one_line(error)

    def outage(self) -> float | None:
        """Return for how many seconds the service has not been heard; None if it is, or nobody has tried."""
        lost_at = self._lost_at  # The stream's thread changes it.
        return None if lost_at is None else time.monotonic() - lost_at

    def _connected(self, is_connected: bool) -> None:
        self._lost_at = None if is_connected else time.monotonic()

    def close(self) -> None:
        """End the stream. Open tasks go on; the next cell opens a new one."""
        if self._stream is not None:
            self._stream.close(timeout=1.0)
            self._stream = None
            self._function_id = None
        if self._transfer is not None:
            self._transfer.close()

    def _open_stream(self) -> TaskStream:
        if self._stream is not None and self._stream.error is not None:
            self.close()  # It has ended for good.
        if self._stream is None:
            self._lost_at = None
            self._stream = TaskStream(
                self.settings,
                connect_timeout=_connect_timeout(),
                on_connection=self._connected,
                on_signed_out=lambda error: of_sign_in(error, self.settings),
            )
            self._stream.open()
            self._function_id = None
        return self._stream


def _not_submitted(message: str) -> str:
    """Return what a user of cells needs to know of a service that does not answer."""
    cause = message.removesuffix(" Is it running? `funcx status` tells.").replace("/v2 (", " (")
    cause = re.sub(r"\[Errno -?\d+\] (.)", lambda found: found[1].lower(), cause)
    return f"{cause} {NOT_SUBMITTED}"


def _connect_timeout() -> float:
    return float(os.environ.get("FUNCX_CONNECT_TIMEOUT", "10"))
