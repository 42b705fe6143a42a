"""Endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_core.errors import InvalidRequest
from funcx_core.ids import EndpointId, new_endpoint_id, parse_id
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.operations.endpoints import EndpointRequest
from funcx_core.service.route import operation
from funcx_core.service.views import endpoint_status_view, endpoint_view

MAX_META = 64 * 1024


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What endpoints send; `public_key` is ours."""

    endpoint_name: str
    endpoint_uuid: str | None = None
    version: str | None = None
    public_key: str = ""
    meta: Any = None


class Registration(ApiHandler):
    """POST, wherever endpoints register."""

    @operation(Scope.ENDPOINTS, body=RegisterBody)
    async def post(self) -> None:
        """Register an endpoint; reply with where the forwarder is."""
        body = self.read_body(RegisterBody)
        meta = msgspec.json.encode(body.meta) if body.meta else b""
        if len(meta) > MAX_META:
            raise InvalidRequest(f"'meta' has {len(meta):,} bytes; at most {MAX_META:,} are allowed.")
        endpoint_id = new_endpoint_id()
        if body.endpoint_uuid is not None:
            endpoint_id = EndpointId(parse_id(body.endpoint_uuid, "endpoint id"))
        request = EndpointRequest(
            endpoint_id=endpoint_id,
            name=body.endpoint_name,
            public_key=body.public_key,
            version=body.version or "",
            meta=meta,
        )
        self.reply(await self.context.operations.endpoints.register(self.user, request))


class Endpoints(Registration):
    """GET and POST endpoints."""

    @operation(Scope.READ)
    async def get(self) -> None:
        """Reply with the caller's endpoints, newest first."""
        found = await self.context.operations.endpoints.all(self.user)
        self.reply([endpoint_view(endpoint) for endpoint in found])


class OneEndpoint(ApiHandler):
    """GET and DELETE endpoints/{id}."""

    @operation(Scope.READ)
    async def get(self, endpoint_id: str) -> None:
        """Reply with an endpoint."""
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        self.reply(endpoint_view(await self.context.operations.endpoints.get(self.user, known)))

    @operation(Scope.ENDPOINTS)
    async def delete(self, endpoint_id: str) -> None:
        """Delete an endpoint; its open tasks are cancelled."""
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        await self.context.operations.endpoints.delete(self.user, known)
        self.reply({"status": "Success", "endpoint_id": known})


class EndpointStatusHandler(ApiHandler):
    """GET endpoints/{id}/status."""

    @operation(Scope.READ)
    async def get(self, endpoint_id: str) -> None:
        """Reply with how an endpoint is."""
        known = EndpointId(parse_id(endpoint_id, "endpoint id"))
        self.reply(endpoint_status_view(await self.context.operations.endpoints.get(self.user, known)))
