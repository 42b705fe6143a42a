"""Why tasks wait, or may fail: endpoints that say something is wrong with them, or are of another version, told to the user once.

A task at an endpoint that cannot start workers waits until somebody mends that, and its future says nothing meanwhile.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from funcx_core import __version__
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
            status = self._ask(endpoint_id)
            if status is None:
                continue
            words = in_words(status)
            if words and self._said.get(endpoint_id) != words:
                logger.warning("%s", words)
            self._said[endpoint_id] = words

    def meet(self, endpoint_ids: Collection[EndpointId]) -> None:
        """Ask whether these endpoints are of another version than this process. Waits for the service, as `look`."""
        for endpoint_id in endpoint_ids:
            status = self._ask(endpoint_id)
            if status is not None and (words := difference(status)):
                logger.warning("%s", words)

    def _ask(self, endpoint_id: EndpointId) -> dict[str, Any] | None:
        try:
            return self._client.get_endpoint_status(endpoint_id)
        except FuncxError as error:
            logger.debug("Endpoint %s cannot be asked about: %s", endpoint_id, error)
            return None


def difference(status: dict[str, Any]) -> str:
    """Return how an endpoint's Python and funcX differ from those here, as far as that may matter; nothing if they do not."""
    details = status.get("details") or {}
    pairs = [("Python", details.get("python_version"), platform.python_version())]
    pairs.append(("funcX", details.get("version"), __version__))
    found = [(what, there, here) for what, there, here in pairs if there and _minor(str(there)) != _minor(here)]
    if not found:
        return ""
    name = status.get("name") or status.get("endpoint_id")
    words = " and ".join(f"{what} {there}, this is {what} {here}" for what, there, here in found)
    return (
        f"Endpoint '{name}' runs {words}. Functions that have source travel as that; what travels as pickled code or data may "
        "not load on the other side."
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def in_words(status: dict[str, Any]) -> str:
    """Return why tasks may wait at an endpoint, from what the service says of it; nothing if all is well."""
    name = status.get("name") or status.get("endpoint_id")
    if status.get("status") != "online":
        return f"Endpoint '{name}' is {status.get('status')}; its tasks wait until it is started (funcx-endpoint start {name})."
    details = status.get("details") or {}
    state, detail = str(details.get("state") or ""), str(details.get("detail") or "")
    if state in _QUIET:
        return ""
    if state == "degraded":  # The detail says which tasks wait.
        return f"Endpoint '{name}' is degraded. {detail}"
    return f"Endpoint '{name}' is {state}; its tasks wait. {detail}".strip()
