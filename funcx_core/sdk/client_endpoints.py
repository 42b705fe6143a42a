"""The client's methods about endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from funcx_core import __version__
from funcx_core.errors import InvalidRequest, NoMessageBroker, NotFound
from funcx_core.ids import parse_id
from funcx_core.protocol.environment import Environment
from funcx_core.sdk.client_core import ClientCore


class EndpointMethods(ClientCore):
    """Registering endpoints, and how they are."""

    def get_endpoint_status(self, endpoint_uuid: str) -> dict[str, Any]:
        """Return the state of an endpoint, given by id or name."""
        return dict(self._web.get("endpoints", self.find_endpoint(endpoint_uuid), "status"))

    def get_endpoint_environment(self, endpoint_uuid: str) -> list[Environment]:
        """Return what tasks find on an endpoint, given by id or name: one `Environment` for each kind of its nodes, latest last.

        It is what the endpoint's nodes reported last, so it is there also while none of them runs; empty before the first did.
        """
        said = self._web.get("endpoints", self.find_endpoint(endpoint_uuid), "environment")
        return msgspec.convert(said["environments"], list[Environment])

    def register_endpoint(
        self,
        name: str,
        endpoint_id: str,
        metadata: dict[str, Any] | None = None,
        endpoint_version: str | None = None,
        *,
        public_key: str | None = None,
        multi_tenant: bool = False,
    ) -> dict[str, Any]:
        """Make an endpoint known to the service and return where it is to connect.

        Args:
            name: its name, unique among your endpoints.
            endpoint_id: its id, made by the caller; the same id registers the same endpoint again.
            metadata: plain facts about it.
            endpoint_version: version of its software.
            public_key: its CURVE public key (Z85); it can connect with no other.
            multi_tenant: whether it runs functions of several users, each as that user.
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
        if multi_tenant:
            body["multi_tenant"] = True
        return dict(self._web.post("endpoints", body=body))

    def stop_endpoint(self, endpoint_id: str) -> dict[str, Any]:
        """Lock an endpoint of yours: its agent ends by itself, and a new start is refused, until the lock expires.

        This is what ``funcx-endpoint stop --remote`` does.
        """
        return self.lock_endpoint(endpoint_id)

    def lock_endpoint(self, endpoint_id: str) -> dict[str, Any]:
        """Refuse the registration of an endpoint of yours for a while; an agent that runs ends by itself."""
        return dict(self._web.post("endpoints", self.find_endpoint(endpoint_id), "lock", body={}) or {})

    def unlock_endpoint(self, endpoint_id: str) -> dict[str, Any]:
        """Let an endpoint of yours register again before its lock expires."""
        return dict(self._web.delete("endpoints", self.find_endpoint(endpoint_id), "lock") or {})

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint of yours from the service. Its open tasks are cancelled."""
        found = self.find_endpoint(endpoint_id)
        self._web.delete("endpoints", found)
        self._endpoint_ids = {name: known for name, known in self._endpoint_ids.items() if known != found}

    # --- which functions it runs ---------------------------------------------------------------------------------

    def get_whitelist(self, endpoint_id: str) -> dict[str, Any]:
        """Return the functions that an endpoint of yours runs: ``{"status": "Success", "result": [function ids]}``.

        An endpoint without a list runs every function.
        """
        return dict(self._web.get("endpoints", self.find_endpoint(endpoint_id), "whitelist"))

    def add_to_whitelist(self, endpoint_id: str, function_ids: str | Iterable[str]) -> dict[str, Any]:
        """Let an endpoint of yours run these functions, and from now on no others but those on its list.

        In place of an id, the ``content_hash`` that `get_function` shows allows this code whoever registers it.
        """
        body = {"func": _ids(function_ids)}
        return dict(self._web.post("endpoints", self.find_endpoint(endpoint_id), "whitelist", body=body))

    def delete_from_whitelist(self, endpoint_id: str, function_ids: str | Iterable[str]) -> list[dict[str, Any]]:
        """Take functions off an endpoint's list; one answer for each."""
        found = self.find_endpoint(endpoint_id)
        return [
            dict(self._web.delete("endpoints", found, "whitelist", function_id) or {})
            for function_id in _ids(function_ids)
        ]

    # --- containers ----------------------------------------------------------------------------------------------

    def register_container(self, location: str, container_type: str, name: str = "", description: str = "") -> str:
        """Make a container known to the service and return its id.

        Args:
            location: where it is, such as ``docker://python:3.12-slim`` or the path of an image.
            container_type: ``docker``, ``singularity``, ``apptainer`` or ``shifter``, as endpoints are configured.
            name: a name for people.
            description: a text for people.
        """
        body = {"name": name, "location": location, "description": description, "type": container_type}
        return str(self._web.post("containers", body=body)["container_id"])

    def get_container(self, container_uuid: str, container_type: str) -> dict[str, Any]:
        """Return a container, as it is for a type of containers: ``location`` and more."""
        container_id = parse_id(container_uuid, "container id")
        return dict(self._web.get("containers", container_id, container_type)["container"])

    def get_containers(self, name: str, description: str | None = None) -> tuple[str, list[dict[str, Any]]]:
        """Return the id of an endpoint of yours, given by name, and its containers."""
        answer = self._web.post("get_containers", body={"endpoint_name": name, "description": description})
        return str(answer["endpoint_uuid"]), list(answer["endpoint_containers"])

    # --- results by a broker -------------------------------------------------------------------------------------

    def get_result_amqp_url(self) -> dict[str, str]:
        """Return ``connection_url`` and ``queue_prefix`` of the message broker that results can be read from.

        Raises:
            NoMessageBroker: the service has none, which is usual.
        """
        try:
            return dict(self._web.get("get_amqp_result_connection_url"))
        except (NotFound, InvalidRequest) as error:
            raise NoMessageBroker from error


def _ids(function_ids: str | Iterable[str]) -> list[str]:
    one = isinstance(function_ids, str)
    return [_entry(str(text)) for text in ([function_ids] if one else function_ids)]


def _entry(text: str) -> str:
    return text if text.startswith("sha256:") else parse_id(text, "function id")
