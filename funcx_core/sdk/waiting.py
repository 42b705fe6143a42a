"""Why tasks wait: endpoints that say something is wrong with them, told to the user once.

A task at an endpoint that cannot start workers waits until somebody mends that, and its future says nothing meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from funcx_core.errors import FuncxError
from funcx_core.ids import EndpointId

if TYPE_CHECKING:
    from funcx_core.sdk.client import FuncXClient

logger = logging.getLogger("funcx")

_QUIET = frozenset({"", "ok", "stopping"})


class EndpointWarnings:
    """Asks about endpoints whose tasks wait, and logs a warning when an answer is a reason to, each reason once."""

    def __init__(self, client: FuncXClient) -> None:
        self._client = client
        self._said: dict[EndpointId, str] = {}

    def look(self, endpoint_ids: Collection[EndpointId]) -> None:
        """Ask about these endpoints. Waits for the service; an error of its own is nobody's business here."""
        for endpoint_id in endpoint_ids:
            try:
                status = self._client.get_endpoint_status(endpoint_id)
            except FuncxError as error:
                logger.debug("Endpoint %s cannot be asked about: %s", endpoint_id, error)
                continue
            words = in_words(status)
            if words and self._said.get(endpoint_id) != words:
                logger.warning("%s", words)
            self._said[endpoint_id] = words


def in_words(status: dict[str, Any]) -> str:
    """Return why tasks may wait at an endpoint, from what the service says of it; nothing if all is well."""
    name = status.get("name") or status.get("endpoint_id")
    if status.get("status") != "online":
        return f"Endpoint '{name}' is {status.get('status')}; its tasks wait until it is started (funcx-endpoint start {name})."
    details = status.get("details") or {}
    state, detail = str(details.get("state") or ""), str(details.get("detail") or "")
    if state in _QUIET:
        return ""
    return f"Endpoint '{name}' is {state}; its tasks wait. {detail}".strip()
