"""What all methods of a client stand on: its access, its requests, and the names of endpoints."""

from __future__ import annotations

import difflib
import threading
import weakref
from contextlib import closing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import msgspec

from funcx_core.errors import EndpointNotFound, InvalidId
from funcx_core.ids import parse_id
from funcx_core.protocol.client import Limits
from funcx_core.sdk.access import Access
from funcx_core.sdk.repeated_question import RepeatedQuestion
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.stream import TaskStream
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import Reader, TrustedEndpoints, TrustingReader
from funcx_core.sdk.web import WebClient

if TYPE_CHECKING:
    import asyncio

_LARGEST_KEPT: Final = 1_000_000
"""Bytes of an answer about many tasks that is kept for when they are asked for again."""


class ClientCore:
    """The part of `FuncXClient` that its groups of methods share. The constructor of `FuncXClient` sets the attributes."""

    session_task_group_id: str
    asynchronous: bool
    loop: asyncio.AbstractEventLoop | None
    _access: Access
    _web: WebClient
    _endpoint_ids: dict[str, str]
    _trusted: TrustedEndpoints
    _stream: TaskStream | None
    _stream_lock: threading.Lock
    _limits: Limits | None = None

    @cached_property
    def transfer(self) -> Transfer:
        """What uploads and fetches large values; its `on_progress` may be set."""
        return Transfer(lambda: self.settings)

    @cached_property
    def _batch_status(self) -> RepeatedQuestion:
        return RepeatedQuestion("batch_status", largest=_LARGEST_KEPT)

    def known_limits(self) -> Limits:
        """Return the service's limits, asked for once."""
        if self._limits is None:
            self._limits = msgspec.convert(self._web.get("limits"), Limits)
        return self._limits

    @property
    def settings(self) -> Settings:
        """The service and the authorization for it."""
        return self._access.settings

    @property
    def funcx_service_address(self) -> str:
        """The service's address, ending in ``/v2``."""
        return self.settings.service_address

    def get_endpoints(self) -> list[dict[str, Any]]:
        """Return your endpoints: ``uuid``, ``name``, ``state`` (online or offline), ``last_seen``, ``status``."""
        found = list(self._web.get("endpoints"))
        self._trusted.learn(found)
        return found

    def find_endpoint(self, name_or_id: str) -> str:
        """Return the id of an endpoint given by id or by name.

        Raises:
            EndpointNotFound: no endpoint of yours has that name; the nearest ones are named.
        """
        try:
            return parse_id(str(name_or_id))
        except InvalidId:
            pass
        known = self._endpoint_ids.get(name_or_id)
        if known is None:
            known = self._endpoint_ids[name_or_id] = _find_by_name(name_or_id, self.get_endpoints())
        return known

    def trusts(self, endpoint_id: str) -> bool:
        """Whether results of an endpoint may hold more than plain data: it is yours, or was named as trusted."""
        return endpoint_id in self._trusted

    def reader_of(self, endpoint_id: str) -> Reader:
        """Return what opens the results of this endpoint."""
        return TrustingReader(lambda _: self.trusts(endpoint_id))

    def reader_of_any(self) -> Reader:
        """Return what opens results of tasks that ran nobody knows where; it asks the service where it matters."""
        return TrustingReader(self._trusts_task, asks_first=False)

    def _trusts_task(self, task_id: str) -> bool:
        return self.trusts(str(self._web.get("tasks", task_id)["endpoint_id"]))

    def _reader_of_task(self, task: dict[str, Any]) -> Reader:
        return self.reader_of(str(task.get("endpoint_id", "")))

    def _list_quickly(self) -> list[dict[str, Any]]:
        # Somebody waits for a result that is here already: one try.
        with closing(WebClient(self.settings, timeout=5.0, tries=1)) as web:
            return list(web.get("endpoints"))

    def close(self) -> None:
        """Close the connections. The client may be used again; asynchronous results that are still to come do not come then."""
        self._web.close()
        with self._stream_lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _results_stream(self) -> TaskStream:
        """Return the stream of asynchronous tasks, one for this process."""
        with self._stream_lock:
            if self._stream is None or self._stream.is_forked:
                self._stream = TaskStream(self.settings)
                # The stream of a client that is dropped ends with its last task.
                weakref.finalize(self, self._stream.close_when_idle).atexit = False
            return self._stream

    def __getstate__(self) -> NoReturn:
        raise TypeError(
            "A FuncXClient stays in its process: it has connections, and a token that is not to travel. Make one where it is needed."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _find_by_name(name: str, endpoints: list[dict[str, Any]]) -> str:
    found = [endpoint for endpoint in endpoints if endpoint.get("name") == name]
    found.sort(key=lambda endpoint: endpoint.get("state") != "online")
    if found:
        return str(found[0]["uuid"])
    names = sorted({str(endpoint.get("name")) for endpoint in endpoints})
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        raise EndpointNotFound(name, f"Did you mean '{nearest[0]}'?")
    raise EndpointNotFound(
        name, f"There are: {', '.join(names)}." if names else "There is none yet; `funcx up` starts a local one."
    )
