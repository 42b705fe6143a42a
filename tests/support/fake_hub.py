"""A JupyterHub's ``/hub/api/user``, with the answers of JupyterHub 6.1."""

from __future__ import annotations

import json
import uuid
from types import TracebackType
from typing import Any, Self

from tornado import httpserver, netutil, web


class FakeHub:
    """Entered on the loop of the test. `broken`: answer 502."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked = 0
        self.broken = False
        (self._listening,) = netutil.bind_sockets(0, "127.0.0.1")
        self.api_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/hub/api"

    def token_of(self, name: str, *scopes: str, kind: str = "user", groups: tuple[str, ...] = ()) -> str:
        token = uuid.uuid4().hex
        self.tokens[token] = {
            "kind": kind,
            "admin": False,
            "name": name,
            "groups": list(groups),
            "user_info": None,
            "token_id": "a4",
            "session_id": None,
            "scopes": sorted([*scopes, f"read:users:name!user={name}"]),
        }
        return token

    def answer(self, token: str) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if self.broken:
            return 502, {"status": 502, "message": "Bad Gateway"}
        found = self.tokens.get(token)
        return (200, found) if found else (403, {"status": 403, "message": None})

    async def __aenter__(self) -> Self:
        hub = self

        class User(web.RequestHandler):
            def get(self) -> None:
                kind, _, token = self.request.headers.get("Authorization", "").partition(" ")
                status, body = hub.answer(token if kind == "token" else "")
                self.set_status(status)
                self.finish(json.dumps(body))

        self._server = httpserver.HTTPServer(web.Application([("/hub/api/user", User)], log_function=lambda _: None))
        self._server.add_socket(self._listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        await self._server.close_all_connections()
