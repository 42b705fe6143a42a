"""What users can do with endpoints."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from funcx_core.errors import EndpointNotFound
from funcx_core.ids import EndpointId, UserId
from funcx_core.protocol.client import Limits
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.protocol.handoff import CancelRequested
from funcx_core.service.checks import check_endpoint_name, check_id, check_public_key
from funcx_core.service.handoff import Handoff
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Endpoint, User

CANCEL_PAGE: Final = 10_000
REMEMBER_SECONDS: Final = 5.0


class ForwarderAddress(msgspec.Struct, frozen=True):
    """Where endpoints find the forwarder."""

    public_key: str
    public_ip: str
    tasks_port: int
    results_port: int
    commands_port: int


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint says about itself when it registers."""

    endpoint_id: EndpointId
    name: str
    public_key: str = ""
    version: str = ""
    meta: bytes = b""


class Endpoints:
    """The endpoints of one store, all of one forwarder."""

    def __init__(self, store: Store, handoff: Handoff, forwarder: ForwarderAddress, limits: Limits) -> None:
        self._store = store
        self._handoff = handoff
        self._forwarder = forwarder
        self._limits = limits
        self._usable: dict[tuple[UserId, EndpointId], float] = {}

    async def register(self, user: User, request: EndpointRequest) -> EndpointRegistration:
        """Make an endpoint known, or renew what is known of it, and tell it where the forwarder is."""
        check_id(request.endpoint_id, "endpoint id")
        check_endpoint_name(request.name)
        check_public_key(request.public_key)
        await self._store.save_endpoint(
            Endpoint(
                endpoint_id=request.endpoint_id,
                owner_id=user.user_id,
                name=request.name,
                public_key=request.public_key,
                version=request.version,
                meta=request.meta,
                created_at=time.time(),
            )
        )
        return EndpointRegistration(
            endpoint_id=request.endpoint_id,
            forwarder_pubkey=self._forwarder.public_key,
            public_ip=self._forwarder.public_ip,
            tasks_port=self._forwarder.tasks_port,
            results_port=self._forwarder.results_port,
            commands_port=self._forwarder.commands_port,
        )

    async def all(self, user: User) -> list[Endpoint]:
        """Return the user's endpoints, newest first."""
        return await self._store.endpoints(user.user_id)

    async def get(self, user: User, endpoint_id: EndpointId) -> Endpoint:
        """Return an endpoint of the user."""
        check_id(endpoint_id, "endpoint id")
        found = await self._store.endpoint(endpoint_id)
        if found is None or found.owner_id != user.user_id:
            raise EndpointNotFound(endpoint_id, "`funcx-endpoint list` shows yours.")
        return found

    async def delete(self, user: User, endpoint_id: EndpointId) -> None:
        """Delete an endpoint of the user; its open tasks are cancelled."""
        await self.get(user, endpoint_id)
        await self._store.delete_endpoint(user.user_id, endpoint_id)
        self._usable.clear()
        waiting = await self._store.open_tasks(endpoint_id, at_most=self._limits.max_open_tasks)
        for start in range(0, len(waiting), CANCEL_PAGE):
            await self._handoff.put(CancelRequested(endpoint_id, waiting[start : start + CANCEL_PAGE]))

    async def check_usable(self, user: User, endpoint_id: EndpointId) -> None:
        """Raise `EndpointNotFound` unless the user may submit to this endpoint."""
        # Remembered for a moment: a stream submits to the same endpoint thousands of times a second.
        now = time.monotonic()
        key = (user.user_id, endpoint_id)
        if self._usable.get(key, 0) < now:
            await self.get(user, endpoint_id)
            self._usable[key] = now + REMEMBER_SECONDS
