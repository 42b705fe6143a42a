"""What commands ask of the service about one endpoint, or about its user."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import msgspec

from funcx_core.errors import ConfigError
from funcx_core.ids import EndpointId
from funcx_core.sdk.settings import Settings, load_settings
from funcx_core.sdk.web import WebClient
from funcx_endpoint.config_file import load_config
from funcx_endpoint.folder import EndpointFolder

TRIES = 2
"""Somebody waits at a terminal."""


class Person(msgspec.Struct, frozen=True):
    """As whom a service knows the one who asks."""

    name: str
    user_id: str
    service_address: str


def whoami(address: str | None) -> Person:
    """Ask the service who this user is to it.

    Raises:
        FuncxError: no service is known, or it does not know this user, or it cannot be reached.
    """
    settings = load_settings(address).require_token()
    found = _request(settings, "GET", "authenticate")
    return Person(str(found["username"]), str(found["user_id"]), settings.service_address)


def lock(folder: EndpointFolder) -> float:
    """Send the agent of an endpoint home, wherever it runs; return until when (Unix seconds) no other can register.

    Raises:
        FuncxError: the endpoint was never registered, or the service refuses or cannot be reached.
    """
    return float(_request(_service_of(folder), "POST", "endpoints", _id_of(folder), "lock", body={})["locked_until"])


def remove(folder: EndpointFolder) -> None:
    """Remove an endpoint from the service; its open tasks are cancelled.

    Raises:
        FuncxError: as for `lock`.
    """
    _request(_service_of(folder), "DELETE", "endpoints", _id_of(folder))


def _id_of(folder: EndpointFolder) -> EndpointId:
    endpoint_id = folder.endpoint_id()
    if endpoint_id is None:
        raise ConfigError(f"Endpoint '{folder.name}' was never started: the service does not know it.")
    return endpoint_id


def _service_of(folder: EndpointFolder) -> Settings:
    return load_settings(load_config(folder.path).funcx_service_address).require_token()


def _request(settings: Settings, method: str, *path: str, body: Any = None) -> dict[str, Any]:
    with closing(WebClient(settings, tries=TRIES)) as web:
        return dict(web.request(method, path, body=body) or {})
