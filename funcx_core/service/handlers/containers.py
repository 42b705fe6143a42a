"""Containers, with the routes of published clients."""

from __future__ import annotations

from typing import Any

import msgspec

from funcx_core.ids import ContainerId, new_endpoint_id, parse_id
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.operations.containers import ContainerRequest
from funcx_core.service.operations.endpoints import EndpointRequest
from funcx_core.service.registry_views import ContainerView, container_view
from funcx_core.service.route import operation


class RegisterBody(msgspec.Struct, frozen=True, kw_only=True):
    """What published clients send; `public` and `group` are ours."""

    location: str
    type: str
    name: str | None = None
    description: str | None = None
    public: bool | None = None
    group: str | None = None


class Registered(msgspec.Struct, frozen=True):
    """The new container's id."""

    container_id: str


class Found(msgspec.Struct, frozen=True):
    """One container."""

    container: ContainerView


class ForEndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """The name of an endpoint of the caller, which is made if there is none."""

    endpoint_name: str
    description: Any = None


class ForEndpoint(msgspec.Struct, frozen=True):
    """The endpoint, and the containers that it may be asked for."""

    endpoint_uuid: str
    endpoint_containers: list[ContainerView]


class Containers(ApiHandler):
    """GET and POST containers."""

    @operation(Scope.READ, reply=list[ContainerView])
    async def get(self) -> None:
        """Reply with the containers that the caller may use, newest first."""
        found = await self.context.operations.containers.all(self.user)
        self.reply([container_view(container, self.user) for container in found])

    @operation(Scope.SUBMIT, body=RegisterBody, reply=Registered)
    async def post(self) -> None:
        """Register a container."""
        body = self.read_body(RegisterBody)
        request = ContainerRequest(
            location=body.location,
            kind=body.type,
            name=body.name or "",
            description=body.description or "",
            public=bool(body.public),
            group=body.group,
        )
        self.reply(Registered(await self.context.operations.containers.register(self.user, request)))


class OneContainer(ApiHandler):
    """GET and DELETE containers/{id}."""

    @operation(Scope.READ, reply=Found)
    async def get(self, container_id: str) -> None:
        """Reply with a container."""
        known = ContainerId(parse_id(container_id, "container id"))
        found = await self.context.operations.containers.get(self.user, known)
        self.reply(Found(container_view(found, self.user)))

    @operation(Scope.SUBMIT)
    async def delete(self, container_id: str) -> None:
        """Delete a container of the caller."""
        known = ContainerId(parse_id(container_id, "container id"))
        await self.context.operations.containers.delete(self.user, known)
        self.reply({"status": "Success", "container_id": known})


class ContainerOfType(ApiHandler):
    """GET containers/{id}/{type}."""

    @operation(Scope.READ, reply=Found)
    async def get(self, container_id: str, container_type: str) -> None:
        """Reply with a container, if it is of this type."""
        known = ContainerId(parse_id(container_id, "container id"))
        found = await self.context.operations.containers.get(self.user, known, container_type)
        self.reply(Found(container_view(found, self.user)))


class ContainersForEndpoint(ApiHandler):
    """POST get_containers."""

    @operation(Scope.ENDPOINTS, body=ForEndpointBody, reply=ForEndpoint)
    async def post(self) -> None:
        """Reply with an endpoint of the caller, made under this name if there was none, and containers for it."""
        name = self.read_body(ForEndpointBody).endpoint_name
        operations = self.context.operations
        known = [each.endpoint_id for each in await operations.endpoints.all(self.user) if each.name == name]
        if not known:
            known = [new_endpoint_id()]
            await operations.endpoints.register(self.user, EndpointRequest(endpoint_id=known[0], name=name))
        containers = await operations.containers.all(self.user)
        self.reply(ForEndpoint(known[0], [container_view(container, self.user) for container in containers]))
