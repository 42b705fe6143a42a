"""Which functions an endpoint runs: the routes of published clients, and the reading form of the newest ones."""

from __future__ import annotations

import msgspec

from funcx_core.ids import EndpointId, parse_id
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.route import operation


class AddBody(msgspec.Struct, frozen=True):
    """Ids of functions, or ``sha256:…`` hashes of function bodies; one by itself need not be in a list."""

    func: list[str] | str


class Listed(msgspec.Struct, frozen=True):
    """The list as published clients of 2020 to 2022 read it."""

    status: str
    result: list[str]
    restricted: bool


class AllowedFunctions(msgspec.Struct, frozen=True):
    """The list as the newest published clients read it; not restricted: all functions are allowed."""

    endpoint_id: str
    restricted: bool
    functions: list[str]


def _endpoint_id(text: str) -> EndpointId:
    return EndpointId(parse_id(text, "endpoint id"))


class AllowList(ApiHandler):
    """GET and POST endpoints/{id}/whitelist."""

    @operation(Scope.READ, reply=Listed)
    async def get(self, endpoint_id: str) -> None:
        """Reply with the list of an endpoint of the caller."""
        restricted, entries = await self.context.operations.endpoints.allowed(self.user, _endpoint_id(endpoint_id))
        self.reply(Listed("Success", entries, restricted))

    @operation(Scope.ENDPOINTS, body=AddBody, reply=Listed)
    async def post(self, endpoint_id: str) -> None:
        """Put functions on the list of an endpoint; from now on it runs only what is there."""
        known = _endpoint_id(endpoint_id)
        wanted = self.read_body(AddBody).func
        operations = self.context.operations.endpoints
        await operations.allow(self.user, known, [wanted] if isinstance(wanted, str) else wanted)
        restricted, entries = await operations.allowed(self.user, known)
        self.reply(Listed("Success", entries, restricted))


class AllowListEntry(ApiHandler):
    """DELETE endpoints/{id}/whitelist/{entry}."""

    @operation(Scope.ENDPOINTS, reply=Listed)
    async def delete(self, endpoint_id: str, entry: str) -> None:
        """Take a function off the list. An endpoint with an empty list runs nothing until `restricted` is false."""
        known = _endpoint_id(endpoint_id)
        operations = self.context.operations.endpoints
        await operations.disallow(self.user, known, entry)
        restricted, entries = await operations.allowed(self.user, known)
        self.reply(Listed("Success", entries, restricted))


class AllowedFunctionsHandler(ApiHandler):
    """GET /v3/endpoints/{id}/allowed_functions."""

    @operation(Scope.READ, reply=AllowedFunctions)
    async def get(self, endpoint_id: str) -> None:
        """Reply with the list of an endpoint of the caller."""
        known = _endpoint_id(endpoint_id)
        restricted, entries = await self.context.operations.endpoints.allowed(self.user, known)
        self.reply(AllowedFunctions(known, restricted, entries))
