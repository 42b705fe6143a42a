"""A forwarder with nothing in front of it: endpoints register here, tasks are handed in here, all is kept in memory.

For finding out whether a fault is in the web service or behind it. It listens on loopback only and asks for a token, because
whoever can hand in a task runs code as the owner of the endpoint.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

import msgspec
from tornado import httpserver, netutil, web

from funcx_core.errors import AuthRequired, ConfigError, FuncxError, InvalidRequest, TaskNotFound
from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.memory_store import MemoryLeaseStore, Row
from funcx_core.forwarder.process import Forwarder
from funcx_core.ids import (
    EndpointId,
    FunctionId,
    TaskId,
    UserId,
    new_endpoint_id,
    new_function_id,
    new_group_id,
    new_task_id,
    parse_id,
)
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.protocol.handoff import (
    FromForwarder,
    Offer,
    Submitted,
    ToForwarder,
    forwarder_topic,
    outcomes_topic,
)
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.task import Function, Task, TaskResult
from funcx_core.queues.base import NotConnected
from funcx_core.queues.memory import MemoryQueue
from funcx_core.transport.loopback import is_loopback
from funcx_core.transport.zmq import KeyPair

KEPT: Final = 10_000
"""Ended tasks that are remembered."""
MAX_BODY: Final = 32 * 1024 * 1024
MAX_WAIT: Final = 60.0

_OWNER: Final = UserId("forwarder-service")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint says when it registers."""

    endpoint_name: str
    public_key: str
    endpoint_uuid: str | None = None


class TaskBody(msgspec.Struct, frozen=True, kw_only=True):
    """One call: a function and its arguments, packed as text."""

    endpoint_id: str
    function_name: str
    function_code: str
    payload: str


class _Rows(MemoryLeaseStore):
    """The store, which tells of tasks that have ended."""

    def __init__(self, on_ended: Callable[[list[TaskId]], Awaitable[None]]) -> None:
        super().__init__()
        self._on_ended = on_ended

    async def complete(self, endpoint_id: EndpointId, results: Sequence[TaskResult], *, may_wait: bool = False) -> None:
        await super().complete(endpoint_id, results, may_wait=may_wait)
        await self._on_ended([result.task_id for result in results])


class DirectForwarder:
    """Forwarder and registration on one loop.

    >>> async with DirectForwarder("127.0.0.1", 50005) as direct:
    ...     await direct.wait()

    Args:
        address: a loopback address, for HTTP and for the three channels.
        port: of HTTP; 0 for any free one.
        keys: the forwarder's key pair.
        token: what callers must send; a new one if it is None.
        heartbeat_period: seconds between heartbeats.
        heartbeat_threshold: seconds of silence after which an endpoint is offline.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        keys: KeyPair | None = None,
        token: str | None = None,
        heartbeat_period: float = 5.0,
        heartbeat_threshold: float = 30.0,
    ) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.names: dict[EndpointId, str] = {}
        self._host, self._asked_port = address, port
        self._store = _Rows(self._on_ended)
        self._inbox: MemoryQueue[ToForwarder] = MemoryQueue()
        self._outbox: MemoryQueue[FromForwarder] = MemoryQueue(limit=100_000)
        self._forwarder = Forwarder(
            ForwarderConfig(host=address, heartbeat_period=heartbeat_period, heartbeat_threshold=heartbeat_threshold),
            keys=keys or KeyPair.generate(),
            store=self._store,
            inbox=self._inbox,
            outbox=self._outbox,
        )
        self._parts = AsyncExitStack()
        self._news = asyncio.Condition()
        self._ended: deque[TaskId] = deque()
        self._port = 0

    @property
    def address(self) -> str:
        """Where endpoints register: their ``broker_address``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    # --- what callers ask for --------------------------------------------------------------------------------------

    def register(self, body: RegisterBody) -> EndpointRegistration:
        """Make an endpoint known and tell it where the channels are."""
        endpoint_id = new_endpoint_id()
        if body.endpoint_uuid is not None:
            endpoint_id = EndpointId(parse_id(body.endpoint_uuid, "endpoint id"))
        self._store.keys = {key: known for key, known in self._store.keys.items() if known != endpoint_id}
        self._store.keys[body.public_key] = endpoint_id
        self.names[endpoint_id] = body.endpoint_name
        _log.info("endpoint %s (%s) registered", body.endpoint_name, endpoint_id)
        return EndpointRegistration(
            endpoint_id=endpoint_id,
            forwarder_pubkey=self._forwarder.public_key,
            public_ip=self._host,
            tasks_port=self._forwarder.tasks_port,
            results_port=self._forwarder.results_port,
            commands_port=self._forwarder.commands_port,
        )

    def mappings(self) -> list[dict[str, Any]]:
        """Return the endpoints that registered, and whether they are connected."""
        return [
            {"endpoint_id": endpoint_id, "name": name, "online": self._store.online.get(endpoint_id, False)}
            for endpoint_id, name in self.names.items()
        ]

    async def submit(self, body: TaskBody) -> TaskId:
        """Hand one call to the forwarder.

        Raises:
            InvalidRequest: the endpoint did not register here.
        """
        endpoint_id = EndpointId(parse_id(body.endpoint_id, "endpoint id"))
        if endpoint_id not in self.names:
            raise InvalidRequest(f"Endpoint '{endpoint_id}' did not register here; GET /list_mappings shows who did.")
        function = Function(new_function_id(), body.function_name, body.function_code.encode(errors="surrogatepass"))
        self._store.bodies[FunctionId(function.function_id)] = function
        task = Task(new_task_id(), 1, function.function_id, body.payload.encode(errors="surrogatepass"))
        offers = [Offer(task, _OWNER, new_group_id())]
        self._store.accept(endpoint_id, offers)
        await self._inbox.put(forwarder_topic(), [Submitted(endpoint_id, offers, [function])])
        return task.task_id

    async def task(self, task_id: TaskId, seconds: float) -> Row:
        """Return a task when it has ended, or as it is after some seconds.

        Raises:
            TaskNotFound: there is none.
        """
        row = self._store.rows.get(task_id)
        if row is None:
            raise TaskNotFound(task_id, "It was not handed in here, or too long ago.")
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, MAX_WAIT)), self._news:
                await self._news.wait_for(lambda: not row.is_open)
        return row

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken, or others could reach the address.
        """
        if not is_loopback(self._host):
            raise ConfigError(f"Refusing to listen on {self._host}: use a loopback address such as 127.0.0.1.")
        async with AsyncExitStack() as parts:
            for queue in (self._inbox, self._outbox):
                await queue.connect()
                parts.push_async_callback(queue.close)
            await parts.enter_async_context(self._forwarder)
            try:
                (listening,) = netutil.bind_sockets(self._asked_port, self._host)
            except OSError as error:
                raise ConfigError(
                    f"Cannot listen on {self._host}:{self._asked_port}: {error.strerror}. Choose another --port."
                ) from None
            self._port = int(listening.getsockname()[1])
            given = {"direct": self}
            server = httpserver.HTTPServer(
                web.Application(
                    [
                        ("/register", _Register, given),
                        ("/list_mappings", _Mappings, given),
                        ("/tasks", _Tasks, given),
                        ("/tasks/([^/]+)", _OneTask, given),
                    ],
                    default_handler_class=_Nothing,
                    default_handler_args=given,
                    log_function=lambda _: None,
                ),
                max_body_size=MAX_BODY,
            )
            server.add_socket(listening)
            parts.push_async_callback(server.close_all_connections)
            parts.callback(server.stop)
            reading = asyncio.get_running_loop().create_task(self._drop_outcomes())
            parts.callback(reading.cancel)
            self._parts = parts.pop_all()

    async def _drop_outcomes(self) -> None:
        """Nobody listens to the outcomes: callers read the rows."""
        with suppress(NotConnected):
            while True:
                await self._outbox.get(outcomes_topic())

    async def _on_ended(self, ended: list[TaskId]) -> None:
        self._ended.extend(ended)
        while len(self._ended) > KEPT:
            row = self._store.rows.pop(self._ended.popleft(), None)
            if row is not None:
                self._store.bodies.pop(row.offer.task.function_id, None)
        async with self._news:
            self._news.notify_all()

    async def wait(self) -> None:
        """Return when closed; raise what ended the forwarder otherwise."""
        await self._forwarder.wait()

    async def close(self) -> None:
        """Stop. Tasks that did not end are lost: nothing here is durable."""
        await self._parts.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def row_view(task_id: TaskId, row: Row) -> dict[str, Any]:
    """Return a task as JSON: ``status``, and ``result`` (text) or ``error`` once it has ended."""
    view: dict[str, Any] = {"task_id": task_id, "status": row.state.value, "attempt": row.attempt}
    if row.result is not None and row.result.error is not None:
        view["error"] = msgspec.to_builtins(row.result.error)
    elif row.result is not None:
        view["result"] = as_text(row.result.value)
    return view


class _Handler(web.RequestHandler):
    def initialize(self, direct: DirectForwarder) -> None:
        self.direct = direct

    def prepare(self) -> None:
        host = urlsplit(f"//{self.request.host}").hostname or ""
        kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(token.strip().encode(), self.direct.token.encode())
        if kind.lower() != "bearer" or not right or not is_loopback(host):
            raise AuthRequired(
                "This forwarder needs the token that it wrote to forwarder-service.json in the folder of its user."
            )

    def form(self, form: type[T]) -> T:
        try:
            return msgspec.json.decode(self.request.body, type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"The request body cannot be read: {str(error)[:300]}") from None

    def reply(self, body: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(body))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        raised = kwargs.get("exc_info", (None, None, None))[1]
        text = str(raised) if isinstance(raised, FuncxError) else "The request cannot be served."
        self.set_status(raised.http_status if isinstance(raised, FuncxError) else status_code)
        self.reply({"status": "Failed", "reason": text})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, FuncxError | web.HTTPError):
            _log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))


class _Register(_Handler):
    def post(self) -> None:
        self.reply(self.direct.register(self.form(RegisterBody)))


class _Mappings(_Handler):
    def get(self) -> None:
        self.reply(self.direct.mappings())


class _Tasks(_Handler):
    async def post(self) -> None:
        self.reply({"task_id": await self.direct.submit(self.form(TaskBody))})


class _OneTask(_Handler):
    async def get(self, text: str) -> None:
        task_id = TaskId(parse_id(text, "task id"))
        try:
            seconds = float(self.get_query_argument("timeout", "0"))
        except ValueError:
            raise InvalidRequest("'timeout' must be a number of seconds.") from None
        started = time.monotonic()
        row = await self.direct.task(task_id, seconds)
        _log.debug("task %s is %s after %.3f s", task_id, row.state.value, time.monotonic() - started)
        self.reply(row_view(task_id, row))


class _Nothing(_Handler):
    def prepare(self) -> None:
        super().prepare()
        raise web.HTTPError(404)
