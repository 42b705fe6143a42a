"""Functions."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_core.ids import FunctionId, new_function_id, parse_id
from funcx_core.protocol.task import Function
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.route import operation
from funcx_core.service.views import function_view


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What published clients send; `function_uuid` is ours, and makes a repeated request harmless."""

    function_name: str
    function_code: str
    function_uuid: str | None = None
    description: str | None = None
    public: bool | None = None
    entry_point: Any = None
    container_uuid: Any = None
    group: Any = None
    searchable: Any = None
    function_source: Any = None


class Functions(ApiHandler):
    """POST functions."""

    max_body = MAX_HTTP_BODY

    @operation(Scope.SUBMIT, body=RegisterBody)
    async def post(self) -> None:
        """Register a function."""
        body = self.read_body(RegisterBody)
        function_id = new_function_id()
        if body.function_uuid is not None:
            function_id = FunctionId(parse_id(body.function_uuid, "function id"))
        await self.context.operations.functions.register(
            self.user,
            Function(function_id, body.function_name, body.function_code.encode(errors="surrogatepass")),
            description=body.description or "",
            public=bool(body.public),
        )
        self.reply({"function_uuid": function_id})


class OneFunction(ApiHandler):
    """GET functions/{id}."""

    @operation(Scope.READ)
    async def get(self, function_id: str) -> None:
        """Reply with what is known of a function."""
        known = FunctionId(parse_id(function_id, "function id"))
        self.reply(function_view(await self.context.operations.functions.get(self.user, known)))
