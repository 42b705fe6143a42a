"""A real web service on a free port, with a fake forwarder behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from funcx_core.ids import new_endpoint_id
from funcx_core.protocol.client import Limits, Welcome, to_client
from funcx_core.protocol.codec import encode
from funcx_core.protocol.handoff import Ended, Offer, Submitted, forwarder_topic, outcomes_topic
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.queues.memory import MemoryQueue
from funcx_core.service.auth.composition import authenticator_of
from funcx_core.service.auth.local import LocalTokens
from funcx_core.service.config import ServiceConfig
from funcx_core.service.operations.endpoints import ForwarderAddress
from funcx_core.service.store import SqliteStore
from funcx_core.service.web import WebService, listen
from tests.support.stored import ALICE, BOB

FORWARDER = ForwarderAddress("K" * 40, "127.0.0.1", 1001, 1002, 1003)


class Stream:
    """A client of the stream."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        await self.connection.write_message(encode(message), binary=True)

    async def receive(self) -> Any:
        frame = await self.connection.read_message()
        return None if frame is None else to_client.decode(frame)


class TestedService:
    """What tests need of one service."""

    __test__ = False

    def __init__(
        self, web: WebService, store: SqliteStore, tokens: LocalTokens, *, inbox: Any, outbox: Any, folder: Path
    ) -> None:
        self.folder = folder
        self.web = web
        self.store = store
        self.tokens = tokens
        self.inbox = inbox
        self.outbox = outbox
        self.alice = ""
        self.bob = ""
        self._connections: list[WebSocketClientConnection] = []

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        **more: Any,
    ) -> HTTPResponse:
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.alice if token is None else token}", **more.pop("headers", {})}
        request = HTTPRequest(
            f"{self.web.address.removesuffix('/v2')}{path}" if path.startswith("/") else f"{self.web.address}/{path}",
            method=method,
            body=content,
            headers=headers,
            allow_nonstandard_methods=True,
            request_timeout=20,
            **more,
        )
        return await AsyncHTTPClient().fetch(request, raise_error=False)

    async def get(self, path: str, **more: Any) -> Any:
        response = await self.request("GET", path, **more)
        assert response.code == 200, response.body
        return json.loads(response.body)

    async def post(self, path: str, body: Any, *, code: int = 200, **more: Any) -> Any:
        response = await self.request("POST", path, body, **more)
        assert response.code == code, response.body
        return json.loads(response.body)

    async def an_endpoint(self, name: str = "theta", **more: Any) -> str:
        body = {"endpoint_name": name, "endpoint_uuid": new_endpoint_id()}
        return (await self.post("endpoints", body, **more))["endpoint_id"]

    async def a_function(self, **more: Any) -> str:
        body = {"function_name": "double", "function_code": "9\n04\nbody\n", **more.pop("body", {})}
        return (await self.post("functions", body, **more))["function_uuid"]

    async def stream(self, token: str | None = None) -> Stream:
        request = HTTPRequest(
            self.web.address.replace("http", "ws") + "/stream",
            headers={"Authorization": f"Bearer {self.alice if token is None else token}"},
        )
        stream = Stream(await websocket_connect(request, max_message_size=1 << 30))
        self.close_later(stream.connection)
        assert isinstance(await stream.receive(), Welcome)
        return stream

    # --- the fake forwarder ------------------------------------------------------------------------------------

    async def handed_over(self) -> list[Any]:
        return await self.inbox.get(forwarder_topic(), timeout=5)

    async def offers(self, count: int) -> list[tuple[str, Offer]]:
        found: list[tuple[str, Offer]] = []
        while len(found) < count:
            for message in await self.handed_over():
                assert isinstance(message, Submitted)
                assert {offer.task.function_id for offer in message.offers} == {
                    function.function_id for function in message.functions
                }
                found += [(message.endpoint_id, offer) for offer in message.offers]
        return found

    async def end(
        self, endpoint_id: str, offer: Offer, result: TaskResult | None = None, *, commit: bool = True
    ) -> None:
        task = offer.task
        result = result or TaskResult(task.task_id, task.attempt, TaskState.SUCCESS, b"pb\n" + task.payload)
        await self.tell(Ended(offer.owner_id, offer.group_id, [result]))
        if commit:
            await self.store.complete(endpoint_id, [result])

    async def tell(self, *messages: Any) -> None:
        assert await self.outbox.put(outcomes_topic(), list(messages))

    def close_later(self, connection: WebSocketClientConnection) -> None:
        self._connections.append(connection)

    async def close_streams(self) -> None:
        for connection in self._connections:
            connection.close()


@asynccontextmanager
async def a_service(
    folder: Path, limits: Limits | None = None, inbox_limit: int = 1000, **settings: Any
) -> AsyncIterator[TestedService]:
    config = ServiceConfig(data_dir=folder, limits=limits or Limits(), **settings)
    inbox, outbox = MemoryQueue(inbox_limit), MemoryQueue()
    await inbox.connect()
    await outbox.connect()
    async with SqliteStore(folder) as store:
        tokens = LocalTokens(store)
        authenticator = authenticator_of(config.auth, tokens, store)
        web = WebService(
            config,
            store=store,
            authenticator=authenticator,
            group_sources=[authenticator],
            inbox=inbox,
            outbox=outbox,
            forwarder=FORWARDER,
            listening=listen("127.0.0.1", 0),
        )
        async with web:
            service = TestedService(web, store, tokens, inbox=inbox, outbox=outbox, folder=folder)
            for user in (ALICE, BOB):
                await store.ensure_user(user)
                setattr(service, user.name, await tokens.mint(user, label="test"))
            yield service
            await service.close_streams()
        await authenticator.close()
        await inbox.close()
        await outbox.close()
