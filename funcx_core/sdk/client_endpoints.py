"""The client's methods about endpoints."""

from __future__ import annotations

from typing import Any

from funcx_core import __version__
from funcx_core.ids import parse_id
from funcx_core.sdk.client_core import ClientCore


class EndpointMethods(ClientCore):
    """Registering endpoints, and how they are."""

    def get_endpoint_status(self, endpoint_uuid: str) -> dict[str, Any]:
        """Return the state of an endpoint, given by id or name."""
        return dict(self._web.get("endpoints", self.find_endpoint(endpoint_uuid), "status"))

    def register_endpoint(
        self,
        name: str,
        endpoint_id: str,
        endpoint_version: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        public_key: str | None = None,
    ) -> dict[str, Any]:
        """Make an endpoint known to the service and return where it is to connect.

        Args:
            name: its name, unique among your endpoints.
            endpoint_id: its id, made by the caller; the same id registers the same endpoint again.
            endpoint_version: version of its software.
            metadata: plain facts about it.
            public_key: its CURVE public key (Z85); it can connect with no other.
        """
        body: dict[str, Any] = {
            "endpoint_name": name,
            "endpoint_uuid": parse_id(endpoint_id, "endpoint id"),
            "version": endpoint_version or __version__,
        }
        if metadata is not None:
            body["meta"] = metadata
        if public_key is not None:
            body["public_key"] = public_key
        return dict(self._web.post("endpoints", body=body))
