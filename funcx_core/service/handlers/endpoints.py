"""Endpoints."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.errors import InvalidRequest
from funcx_core.ids import EndpointId, new_endpoint_id, parse_id
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.operations.endpoints import EndpointRequest, EndpointUpdate
from funcx_core.service.registry_views import EndpointView, EnvironmentView, endpoint_status_view, endpoint_view
from funcx_core.service.route import operation

MAX_META: Final = 64 * 1024
USUALLY_LOCKED: Final = 300.0
"""Seconds for which an endpoint is locked if nobody says how long: enough for every agent of it to hear of it."""
MOST_LOCKED: Final = 7 * 86_400.0


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What endpoints send; `public_key` and `features`, what they understand, are ours.

    What is left out stays as it was; `group` is the name or id of a group of users, null for none, and
    `allowed_functions` null for all functions.
    """

    endpoint_name: str
    endpoint_uuid: str | None = None
    version: str | None = None
    public_key: str = ""
    meta: Any = None
    public: bool | UnsetType | None = UNSET
    group: str | UnsetType | None = UNSET
    allowed_functions: list[str] | UnsetType | None = UNSET
    features: list[str] = []


class Which(StrEnum):
    """`owner`: the caller's own; `any`: all that the caller may submit to."""

    OWNER = "owner"
    ANY = "any"


class ListQuery(msgspec.Struct, frozen=True):
    """Which endpoints are wanted."""

    role: Which = Which.OWNER


class ChangeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is left out stays as it is; `group` null shares the endpoint with no group."""

    public: bool | UnsetType = UNSET
    group: str | UnsetType | None = UNSET
    restricted: bool | UnsetType = UNSET


class LockBody(msgspec.Struct, frozen=True):
    """For how many seconds."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=MOST_LOCKED)] = USUALLY_LOCKED


def _endpoint_id(text: str) -> EndpointId:
    return EndpointId(parse_id(text, "endpoint id"))


class Registration(ApiHandler):
    """POST, wherever endpoints register."""

    @operation(Scope.ENDPOINTS, body=RegisterBody, reply=EndpointRegistration)
    async def post(self) -> None:
        """Register an endpoint; reply with where the forwarder is."""
        body = self.read_body(RegisterBody)
        meta = msgspec.json.encode(body.meta) if body.meta else b""
        if len(meta) > MAX_META:
            raise InvalidRequest(f"'meta' has {len(meta):,} bytes; at most {MAX_META:,} are allowed.")
        endpoint_id = new_endpoint_id()
        if body.endpoint_uuid is not None:
            endpoint_id = _endpoint_id(body.endpoint_uuid)
        request = EndpointRequest(
            endpoint_id=endpoint_id,
            name=body.endpoint_name,
            public_key=body.public_key,
            version=body.version or "",
            meta=meta,
            public=body.public if body.public is UNSET else bool(body.public),
            group=body.group,
            allowed_functions=body.allowed_functions,
            features=tuple(body.features) if body.public_key else None,  # Only agents have a key, and know.
        )
        self.reply(await self.context.operations.endpoints.register(self.user, request))


class Endpoints(Registration):
    """GET and POST endpoints."""

    @operation(Scope.READ, query=ListQuery, reply=list[EndpointView])
    async def get(self) -> None:
        """Reply with endpoints of the caller, newest first, and with `role=any` also with those shared with them."""
        operations = self.context.operations.endpoints
        wants_all = self.read_query(ListQuery).role is Which.ANY
        found = await (operations.usable(self.user) if wants_all else operations.all(self.user))
        self.reply([endpoint_view(endpoint, self.user) for endpoint in found])


class OneEndpoint(ApiHandler):
    """GET, PUT and DELETE endpoints/{id}."""

    @operation(Scope.READ, reply=EndpointView)
    async def get(self, endpoint_id: str) -> None:
        """Reply with an endpoint."""
        found = await self.context.operations.endpoints.get(self.user, _endpoint_id(endpoint_id))
        self.reply(endpoint_view(found, self.user))

    @operation(Scope.ENDPOINTS, body=ChangeBody, reply=EndpointView)
    async def put(self, endpoint_id: str) -> None:
        """Change whom an endpoint of the caller is shared with, and whether it runs only functions on its list."""
        body = self.read_body(ChangeBody)
        known = _endpoint_id(endpoint_id)
        operations = self.context.operations.endpoints
        update = EndpointUpdate(public=body.public, group=body.group, restricted=body.restricted)
        await operations.update(self.user, known, update)
        self.reply(endpoint_view(await operations.get(self.user, known), self.user))

    @operation(Scope.ENDPOINTS)
    async def delete(self, endpoint_id: str) -> None:
        """Delete an endpoint; its agent is sent home and its open tasks are cancelled."""
        known = _endpoint_id(endpoint_id)
        await self.context.operations.endpoints.delete(self.user, known)
        self.reply({"status": "Success", "endpoint_id": known})


class EndpointStatusHandler(ApiHandler):
    """GET endpoints/{id}/status."""

    @operation(Scope.READ)
    async def get(self, endpoint_id: str) -> None:
        """Reply with how an endpoint is."""
        found = await self.context.operations.endpoints.get(self.user, _endpoint_id(endpoint_id))
        self.reply(endpoint_status_view(found))


class EndpointEnvironment(ApiHandler):
    """GET endpoints/{id}/environment."""

    @operation(Scope.READ, reply=EnvironmentView)
    async def get(self, endpoint_id: str) -> None:
        """Reply with what tasks find on the nodes of an endpoint: Python, packages, processors, memory, accelerators."""
        known = _endpoint_id(endpoint_id)
        found = await self.context.operations.endpoints.environments(self.user, known)
        self.reply(EnvironmentView(known, found.reported_at, found.environments))


class EndpointLock(ApiHandler):
    """POST and DELETE endpoints/{id}/lock."""

    @operation(Scope.ENDPOINTS, body=LockBody, optional_body=True)
    async def post(self, endpoint_id: str) -> None:
        """Send the agent of an endpoint home, and let none register for a while: they hear 423."""
        known = _endpoint_id(endpoint_id)
        until = await self.context.operations.endpoints.lock(self.user, known, self.read_body(LockBody).seconds)
        self.reply({"status": "Success", "endpoint_id": known, "locked_until": until})

    @operation(Scope.ENDPOINTS)
    async def delete(self, endpoint_id: str) -> None:
        """Let agents of an endpoint register again."""
        known = _endpoint_id(endpoint_id)
        await self.context.operations.endpoints.unlock(self.user, known)
        self.reply({"status": "Success", "endpoint_id": known})
