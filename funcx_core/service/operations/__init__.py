"""What the service can do for a user. Every face of it (HTTP, stream) calls these and nothing else.

Each operation takes the user it is done for and sees only what that user may see. What it returns has been committed.
"""

from __future__ import annotations

from funcx_core.protocol.client import Limits
from funcx_core.service.auth.groups import Memberships
from funcx_core.service.blobs.uploads import Blobs
from funcx_core.service.dependents import Dependents
from funcx_core.service.handoff import Handoff
from funcx_core.service.operations.containers import Containers
from funcx_core.service.operations.endpoints import Endpoints, ForwarderAddress
from funcx_core.service.operations.functions import Functions
from funcx_core.service.operations.groups import Groups
from funcx_core.service.operations.maps import Maps
from funcx_core.service.operations.sharing import Sharing
from funcx_core.service.operations.statistics import Statistics
from funcx_core.service.operations.tasks import Tasks
from funcx_core.service.store.base import Store


class Operations:
    """The operations, by what they are about, on one store and one forwarder. `result_days`: how long results are kept; 0 for ever."""

    def __init__(
        self,
        store: Store,
        handoff: Handoff,
        forwarder: ForwarderAddress,
        limits: Limits,
        *,
        blobs: Blobs,
        memberships: Memberships,
        dependents: Dependents,
    ) -> None:
        self.limits = limits
        self.result_days = 0.0
        self.blobs = blobs
        sharing = Sharing(store, memberships)
        self.groups = Groups(store, memberships)
        self.containers = Containers(store, sharing)
        self.functions = Functions(store, sharing, self.containers, limits)
        self.endpoints = Endpoints(store, handoff, sharing, forwarder, dependents)
        self.statistics = Statistics(store, self.endpoints)
        self.tasks = Tasks(
            store,
            handoff,
            functions=self.functions,
            endpoints=self.endpoints,
            containers=self.containers,
            blobs=blobs,
            dependents=dependents,
            limits=limits,
        )
        self.maps = Maps(store.maps, self.tasks)

    def change(self, limits: Limits) -> None:
        """Take other limits, from the next request on."""
        self.limits = self.functions.limits = limits
        self.tasks.change(limits)
        self.blobs.change(limits)


__all__ = ["Operations"]
