"""What users can do with containers."""

from __future__ import annotations

import time

import msgspec

from funcx_core.errors import ContainerNotFound
from funcx_core.ids import ContainerId, new_container_id
from funcx_core.protocol.task import ContainerImage
from funcx_core.service.checks import check_container, check_description, check_id
from funcx_core.service.operations.sharing import Sharing
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Container, User


class ContainerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What its owner says about a container. `group`: the name or id of a group to share it with."""

    location: str
    kind: str
    name: str = ""
    description: str = ""
    public: bool = False
    group: str | None = None


class Containers:
    """The containers of one store."""

    def __init__(self, store: Store, sharing: Sharing) -> None:
        self._catalog = store.containers
        self._sharing = sharing

    async def register(self, user: User, request: ContainerRequest) -> ContainerId:
        """Make a container known, and return its id."""
        check_container(request.name, request.kind, request.location)
        check_description(request.description)
        container = Container(
            container_id=new_container_id(),
            owner_id=user.user_id,
            name=request.name,
            description=request.description,
            kind=request.kind.lower(),
            location=request.location,
            public=request.public,
            shared_with=await self._sharing.group_named(user, request.group),
            created_at=time.time(),
        )
        await self._catalog.add(container)
        return container.container_id

    async def get(self, user: User, container_id: ContainerId, kind: str | None = None) -> Container:
        """Return a container that the user may use, of this kind if one is named.

        Raises:
            ContainerNotFound: there is none.
        """
        check_id(container_id, "container id")
        found = await self._catalog.get(container_id)
        if found is None or not await self._sharing.may_use(user, found):
            raise ContainerNotFound(container_id)
        if kind is not None and found.kind != kind.lower():
            raise ContainerNotFound(container_id, f"There is one of type '{found.kind}', not '{kind[:100]}'.")
        return found

    async def image(self, user: User, container_id: ContainerId | None) -> ContainerImage | None:
        """Return what a task needs to know of a container that the user may use; None for none.

        Raises:
            ContainerNotFound: there is none with this id.
        """
        if container_id is None:
            return None
        found = await self.get(user, container_id)
        return ContainerImage(container_id, found.kind, found.location)

    async def all(self, user: User) -> list[Container]:
        """Return the containers that the user may use, newest first."""
        return await self._catalog.usable(user.user_id, await self._sharing.groups_of(user))

    async def delete(self, user: User, container_id: ContainerId) -> None:
        """Delete a container of the user."""
        check_id(container_id, "container id")
        if not await self._catalog.delete(user.user_id, container_id):
            raise ContainerNotFound(container_id)
