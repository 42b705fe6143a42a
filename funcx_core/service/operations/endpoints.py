"""What users can do with endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from funcx_core.errors import EndpointNotFound, EndpointTooOld
from funcx_core.ids import EndpointId, UserId
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.protocol.features import does_without
from funcx_core.protocol.handoff import CancelRequested, EndpointClosed
from funcx_core.service.access import may_manage
from funcx_core.service.checks import check_endpoint_name, check_id, check_public_key, checked_entries, checked_features
from funcx_core.service.dependents import Dependents
from funcx_core.service.handoff import Handoff
from funcx_core.service.operations.sharing import Sharing
from funcx_core.service.store.base import Store
from funcx_core.service.store.environment_catalog import Reported
from funcx_core.service.store.records import Endpoint, EndpointChange, User

CANCEL_PAGE: Final = 10_000
MOST_CANCELLED: Final = 10_000_000
REMEMBER_SECONDS: Final = 5.0

_HINT: Final = "`funcx-endpoint list` shows yours."


class ForwarderAddress(msgspec.Struct, frozen=True):
    """Where endpoints find the forwarder."""

    public_key: str
    public_ip: str
    tasks_port: int
    results_port: int
    commands_port: int


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint says about itself when it registers. What is unset stays as it was.

    Attributes:
        group: the name or id of a group to share it with; None for no group.
        allowed_functions: it runs only these; None for all.
        features: what it understands; None if that is not said because no agent registers.
    """

    endpoint_id: EndpointId
    name: str
    public_key: str = ""
    version: str = ""
    meta: bytes = b""
    public: bool | UnsetType = UNSET
    group: str | UnsetType | None = UNSET
    allowed_functions: list[str] | UnsetType | None = UNSET
    features: tuple[str, ...] | None = None


class EndpointUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner wants to be different.

    Attributes:
        public: every user may submit to it.
        group: the name or id of a group whose members may; None for no group.
        restricted: it runs only functions on its list.
    """

    public: bool | UnsetType = UNSET
    group: str | UnsetType | None = UNSET
    restricted: bool | UnsetType = UNSET


class _Usable(NamedTuple):
    """A decision for a user and an endpoint."""

    until: float
    version: tuple[int, int]
    allowed: frozenset[str] | None


class Endpoints:
    """The endpoints of one store, all of one forwarder."""

    def __init__(
        self, store: Store, handoff: Handoff, sharing: Sharing, forwarder: ForwarderAddress, dependents: Dependents
    ) -> None:
        self._store = store
        self._lists = store.allow_lists
        self._handoff = handoff
        self._sharing = sharing
        self._forwarder = forwarder
        self._dependents = dependents
        self._usable: dict[tuple[UserId, EndpointId], _Usable] = {}
        self._changes = 0

    async def register(self, user: User, request: EndpointRequest) -> EndpointRegistration:
        """Make an endpoint known, or renew what is known of it, and tell it where the forwarder is.

        Raises:
            Conflict: the id or the key is taken.
            ResourceLocked: the endpoint is locked.
            AuthGroupNotFound: it names a group that the user is not in.
        """
        check_id(request.endpoint_id, "endpoint id")
        check_endpoint_name(request.name)
        check_public_key(request.public_key)
        allowed = request.allowed_functions
        entries = checked_entries(allowed) if isinstance(allowed, list) else []
        change = await self._change_of(user, public=request.public, group=request.group)
        await self._store.save_endpoint(
            Endpoint(
                endpoint_id=request.endpoint_id,
                owner_id=user.user_id,
                name=request.name,
                public_key=request.public_key,
                version=request.version,
                meta=request.meta,
                features=None if request.features is None else " ".join(checked_features(request.features)),
                created_at=time.time(),
            )
        )
        if isinstance(allowed, list):
            await self._lists.replace(request.endpoint_id, entries)
        elif allowed is None:
            change = msgspec.structs.replace(change, restricted=False)
        await self._apply(user, request.endpoint_id, change)
        return EndpointRegistration(
            endpoint_id=request.endpoint_id,
            forwarder_pubkey=self._forwarder.public_key,
            public_ip=self._forwarder.public_ip,
            tasks_port=self._forwarder.tasks_port,
            results_port=self._forwarder.results_port,
            commands_port=self._forwarder.commands_port,
        )

    async def _change_of(
        self,
        user: User,
        *,
        public: bool | UnsetType = UNSET,
        group: str | UnsetType | None = UNSET,
        restricted: bool | UnsetType = UNSET,
    ) -> EndpointChange:
        shared_with = UNSET if group is UNSET else await self._sharing.group_named(user, group)
        return EndpointChange(public=public, shared_with=shared_with, restricted=restricted)

    async def _apply(self, user: User, endpoint_id: EndpointId, change: EndpointChange) -> None:
        if not await self._store.change_endpoint(user.user_id, endpoint_id, change):
            raise EndpointNotFound(endpoint_id, _HINT)
        self._forget()

    def _forget(self) -> None:
        """Decisions that were made may be others now."""
        self._changes += 1
        self._usable.clear()

    @property
    def _version(self) -> tuple[int, int]:
        return self._changes, self._sharing.changes

    async def all(self, user: User) -> list[Endpoint]:
        """Return the user's endpoints, newest first."""
        return await self._store.endpoints(user.user_id)

    async def usable(self, user: User) -> list[Endpoint]:
        """Return the endpoints that the user may submit to: their own first."""
        return await self._store.usable_endpoints(user.user_id, await self._sharing.groups_of(user))

    async def get(self, user: User, endpoint_id: EndpointId) -> Endpoint:
        """Return an endpoint that the user may submit to.

        Raises:
            EndpointNotFound: there is none.
        """
        check_id(endpoint_id, "endpoint id")
        found = await self._store.endpoint(endpoint_id)
        if found is None or not await self._sharing.may_use(user, found):
            raise EndpointNotFound(endpoint_id, _HINT)
        return found

    async def environments(self, user: User, endpoint_id: EndpointId) -> Reported:
        """Return what there is on the nodes of an endpoint that the user may submit to.

        Raises:
            EndpointNotFound: there is none.
        """
        await self.get(user, endpoint_id)
        return await self._store.environments.get(endpoint_id)

    async def own(self, user: User, endpoint_id: EndpointId) -> Endpoint:
        """Return an endpoint of the user.

        Raises:
            EndpointNotFound: there is none.
        """
        found = await self.get(user, endpoint_id)
        if not may_manage(found, user.user_id):
            raise EndpointNotFound(endpoint_id, _HINT)
        return found

    async def update(self, user: User, endpoint_id: EndpointId, update: EndpointUpdate) -> None:
        """Change whom an endpoint of the user is shared with, and whether its list counts. It holds at once."""
        change = await self._change_of(user, public=update.public, group=update.group, restricted=update.restricted)
        await self._apply(user, endpoint_id, change)

    async def delete(self, user: User, endpoint_id: EndpointId) -> None:
        """Delete an endpoint of the user: its agent is sent home, and its open tasks are cancelled."""
        await self.own(user, endpoint_id)
        await self._store.delete_endpoint(user.user_id, endpoint_id)
        self._forget()
        await self._handoff.put(EndpointClosed(endpoint_id, "deleted", "This endpoint was deleted by its owner."))
        await self._cancel_all(endpoint_id)

    async def _cancel_all(self, endpoint_id: EndpointId) -> None:
        await self._dependents.cancel_at(endpoint_id)
        waiting = await self._store.open_tasks(endpoint_id, at_most=MOST_CANCELLED)
        for start in range(0, len(waiting), CANCEL_PAGE):
            await self._handoff.put(CancelRequested(endpoint_id, waiting[start : start + CANCEL_PAGE]))

    async def finish_deletions(self) -> None:
        """Cancel what is still open on deleted endpoints: an earlier process may have ended before it had done so."""
        for endpoint_id in await self._store.abandoned_endpoints():
            await self._cancel_all(endpoint_id)

    # --- locks -------------------------------------------------------------------------------------------------

    async def lock(self, user: User, endpoint_id: EndpointId, seconds: float) -> float:
        """Send the agent of an endpoint home, and let none register for so long; return until when, in Unix seconds."""
        await self.own(user, endpoint_id)
        until = time.time() + seconds
        await self._apply(user, endpoint_id, EndpointChange(locked_until=until))
        await self._handoff.put(EndpointClosed(endpoint_id, "locked", "This endpoint was locked by its owner."))
        return until

    async def unlock(self, user: User, endpoint_id: EndpointId) -> None:
        """Let agents of an endpoint register again."""
        await self.own(user, endpoint_id)
        await self._apply(user, endpoint_id, EndpointChange(locked_until=0.0))

    # --- which functions it runs -------------------------------------------------------------------------------

    async def allowed(self, user: User, endpoint_id: EndpointId) -> tuple[bool, list[str]]:
        """Return whether an endpoint of the user runs only what is on its list, and the list."""
        found = await self.own(user, endpoint_id)
        return found.restricted, await self._lists.of(endpoint_id)

    async def allow(self, user: User, endpoint_id: EndpointId, entries: Sequence[str]) -> None:
        """Put function ids and content hashes on the list of an endpoint; from now on it runs only what is there."""
        await self.own(user, endpoint_id)
        await self._lists.add(endpoint_id, checked_entries(entries))
        self._forget()

    async def disallow(self, user: User, endpoint_id: EndpointId, entry: str) -> None:
        """Take an entry off the list. An empty list allows nothing; `update` with `restricted` False allows all."""
        await self.own(user, endpoint_id)
        (known,) = checked_entries([entry])
        await self._lists.remove(endpoint_id, known)
        self._forget()

    # --- for submits -------------------------------------------------------------------------------------------

    async def not_understood(self, endpoint_id: EndpointId, features: Iterable[str]) -> dict[str, EndpointTooOld]:
        """Return which of these features an endpoint that the caller may use does not have, each with what to say of it."""
        found = await self._store.endpoint(endpoint_id)
        if found is None or found.features is None:
            return {}
        known = found.features.split()
        faults = {feature: does_without(found.name, found.version, feature, known) for feature in features}
        return {feature: EndpointTooOld(fault) for feature, fault in faults.items() if fault}

    async def usable_for(self, user: User, endpoint_id: EndpointId) -> frozenset[str] | None:
        """Return which functions this user may submit to this endpoint: ids and content hashes, or None for all.

        Raises:
            EndpointNotFound: the user may not submit to it.
        """
        # Remembered for a moment: a stream submits to the same endpoint thousands of times a second.
        key = (user.user_id, endpoint_id)
        now, version = time.monotonic(), self._version
        known = self._usable.get(key)
        if known is not None and known.until > now and known.version == version:
            return known.allowed
        found = await self.get(user, endpoint_id)
        allowed = frozenset(await self._lists.of(endpoint_id)) if found.restricted else None
        # If something changed meanwhile, the old version keeps this from being used.
        self._usable[key] = _Usable(now + REMEMBER_SECONDS, version, allowed)
        return allowed
