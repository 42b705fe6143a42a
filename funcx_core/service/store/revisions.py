"""When what clients are told of tasks has changed, by endpoint. In memory: after a restart everything counts as changed.

One number rises with every change, and each endpoint has the number of its last one. So it costs a change nothing that grows with its
tasks, and to ask whether anything has happened to ten thousand tasks reads none of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from funcx_core.ids import EndpointId
from funcx_core.service.store.writer import Transaction


class Revisions:
    """Changes are noted after their commit, by the loop or the writer's thread, which take turns; anybody may ask."""

    def __init__(self) -> None:
        self.now = 0
        self._everywhere = 0
        self._of: dict[EndpointId, int] = {}
        self._connections: dict[EndpointId, tuple[bool, int]] = {}

    def has_changed(self, since: int, endpoint_ids: Collection[EndpointId] | None) -> bool:
        """Whether something has changed there since `now` was `since`; anywhere, if it is None."""
        if endpoint_ids is None:
            return self.now > since
        return self._everywhere > since or any(self._of.get(each, 0) > since for each in endpoint_ids)

    def will_change(self, transaction: Transaction, endpoint_ids: Iterable[EndpointId]) -> None:
        """The transaction changes tasks of these endpoints."""
        transaction.afterwards.append(partial(self._changed, endpoint_ids))

    def will_change_everywhere(self, transaction: Transaction) -> None:
        """The transaction changes tasks of endpoints that are not known."""
        transaction.afterwards.append(self._changed_everywhere)

    def will_see(self, transaction: Transaction, endpoint_id: EndpointId, *, online: bool, epoch: int) -> None:
        """The transaction says that an endpoint is connected, or not. Hearing of it again is no change."""
        transaction.afterwards.append(partial(self._seen, endpoint_id, (online, epoch)))

    def _changed(self, endpoint_ids: Iterable[EndpointId]) -> None:
        self.now += 1
        for endpoint_id in endpoint_ids:
            self._of[endpoint_id] = self.now

    def _changed_everywhere(self) -> None:
        self.now += 1
        self._everywhere = self.now

    def _seen(self, endpoint_id: EndpointId, connection: tuple[bool, int]) -> None:
        # Of two agents of one endpoint the older one may still be heard of, so that it went away is always news.
        if self._connections.get(endpoint_id) != connection or not connection[0]:
            self._connections[endpoint_id] = connection
            self._changed([endpoint_id])
