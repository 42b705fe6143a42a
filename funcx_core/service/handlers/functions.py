"""Functions."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.ids import ContainerId, FunctionId, new_function_id, parse_id
from funcx_core.protocol.task import Function
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.config import MAX_HTTP_BODY
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.operations.functions import FunctionRequest, FunctionUpdate
from funcx_core.service.registry_views import FunctionPage, FunctionView, function_page, function_view
from funcx_core.service.route import operation

MOST_LISTED: Final = 100
MAX_OFFSET: Final = 1 << 31


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What published clients send; `function_uuid` is ours, and makes a repeated request harmless.

    `group` is the name or id of a group of users.
    """

    function_name: str
    function_code: str
    function_uuid: str | None = None
    description: str | None = None
    public: bool | None = None
    entry_point: str | None = None
    container_uuid: str | None = None
    group: str | None = None
    searchable: bool | None = None
    function_source: str | None = None


class FindQuery(msgspec.Struct, frozen=True):
    """Words that are looked for, and whose functions; with neither the caller's own are listed.

    `advanced`: `name:…`, `description:…` and `owner:…` in `q` are conditions on that field.
    """

    q: Annotated[str, msgspec.Meta(max_length=500)] = ""
    advanced: bool = False
    owner: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 20
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)] = 0


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is left out stays as it is; `group` null shares the function with no group."""

    description: str | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    group: str | UnsetType | None = UNSET
    searchable: bool | UnsetType = UNSET


def _function_id(text: str) -> FunctionId:
    return FunctionId(parse_id(text, "function id"))


class Functions(ApiHandler):
    """GET and POST functions."""

    max_body = MAX_HTTP_BODY

    @operation(Scope.READ, query=FindQuery, reply=FunctionPage)
    async def get(self) -> None:
        """Reply with functions that the caller may run and that have all words of `q`, best first.

        Words are looked for in names, descriptions and the source of searchable functions.
        """
        query = self.read_query(FindQuery)
        owner = query.owner or ("" if query.q.strip() else self.user.name)
        found, total = await self.context.operations.functions.find(
            self.user,
            query.q,
            advanced=query.advanced,
            owner=owner,
            limit=query.limit,
            offset=query.offset,
        )
        self.reply(function_page(found, total, query.offset, self.user))

    @operation(Scope.SUBMIT, body=RegisterBody)
    async def post(self) -> None:
        """Register a function."""
        body = self.read_body(RegisterBody)
        function_id = new_function_id()
        if body.function_uuid is not None:
            function_id = _function_id(body.function_uuid)
        container_id = parse_id(body.container_uuid, "container id") if body.container_uuid else None
        request = FunctionRequest(
            function=Function(function_id, body.function_name, body.function_code.encode(errors="surrogatepass")),
            description=body.description or "",
            public=bool(body.public),
            group=body.group,
            searchable=body.searchable is not False,
            container_id=ContainerId(container_id) if container_id else None,
            entry_point=body.entry_point or body.function_name,
            source=body.function_source or "",
        )
        await self.context.operations.functions.register(self.user, request)
        self.reply({"function_uuid": function_id})


class OneFunction(ApiHandler):
    """GET, PUT and DELETE functions/{id}."""

    @operation(Scope.READ, reply=FunctionView)
    async def get(self, function_id: str) -> None:
        """Reply with what is known of a function."""
        found, content_hash = await self.context.operations.functions.describe(self.user, _function_id(function_id))
        self.reply(function_view(found, self.user, content_hash=content_hash))

    @operation(Scope.SUBMIT, body=ChangeBody, reply=FunctionView)
    async def put(self, function_id: str) -> None:
        """Change whom a function of the caller is shared with, or its description."""
        body = self.read_body(ChangeBody)
        functions = self.context.operations.functions
        known = _function_id(function_id)
        update = FunctionUpdate(
            description=body.description, public=body.public, group=body.group, searchable=body.searchable
        )
        await functions.update(self.user, known, update)
        found, content_hash = await functions.describe(self.user, known)
        self.reply(function_view(found, self.user, content_hash=content_hash))

    @operation(Scope.SUBMIT)
    async def delete(self, function_id: str) -> None:
        """Delete a function of the caller; tasks that were accepted before run to their end."""
        known = _function_id(function_id)
        await self.context.operations.functions.delete(self.user, known)
        self.reply({"status": "Success", "function_uuid": known})
