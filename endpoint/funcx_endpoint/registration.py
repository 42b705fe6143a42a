"""Registers the endpoint with the web service, which answers where the forwarder listens."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from funcx_core import __version__
from funcx_core.errors import AuthRequired, RemoteProtocolError, ResourceLocked, ServiceUnavailable, UsageError
from funcx_core.ids import EndpointId
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.protocol.features import FEATURES
from funcx_core.sdk.certificates import raise_if_untrusted
from funcx_core.sdk.settings import Settings, broker_settings, load_settings
from funcx_endpoint.config import Config

TIMEOUT: Final = 10.0
_RETRIED: Final = frozenset({408, 425, 429})
_SERVER_ERRORS: Final = 500


class Registrar:
    """Registers one endpoint, as often as it is asked to. Blocking: call it from a thread."""

    def __init__(self, config: Config, *, endpoint_id: EndpointId, name: str, public_key: str) -> None:
        self._config = config
        sharing = {"public": config.public, "group": config.group, "allowed_functions": config.allowed_functions}
        self._request = {
            # What is not said stays as the service has it.
            **{name: value for name, value in sharing.items() if value is not None},
            "endpoint_name": name,
            "endpoint_uuid": endpoint_id,
            "version": __version__,
            "features": FEATURES,
            "public_key": public_key,
            "meta": {
                **config.meta,
                "description": config.description,
                "hostname": socket.gethostname(),
                "python_version": ".".join(map(str, sys.version_info[:3])),
            },
        }

    def register(self) -> EndpointRegistration:
        """Register once. The service's address and the token are looked up anew: both may have changed meanwhile.

        Raises:
            ServiceUnavailable: the service cannot be reached or is in trouble; try again.
            ResourceLocked: its owner locked the endpoint.
            UsageError: the service refuses, or nobody said where it is.
            RemoteProtocolError: what answers is not a funcX service.
        """
        if self._config.broker_test:
            settings, path = broker_settings(str(self._config.broker_address)), "/register"
        else:
            settings, path = load_settings(self._config.funcx_service_address).require_token(), "/endpoints"
        body = _post(settings, path, self._request)
        try:
            return msgspec.json.decode(body, type=EndpointRegistration)
        except msgspec.MsgspecError:
            raise RemoteProtocolError(
                f"{settings.service_address} answered, but not as a funcX service does. Check the address."
            ) from None


def _post(settings: Settings, path: str, content: dict[str, Any]) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked with the settings
        settings.service_address + path,
        data=json.dumps(content).encode(),
        headers={**settings.headers, "Content-Type": "application/json"},
        method="POST",
    )
    try:
        with _opener(settings).open(request, timeout=TIMEOUT) as answer:
            received: bytes = answer.read()
            return received
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(settings, error.code, error.read()) from None
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise_if_untrusted(settings.service_address, reason)
        raise ServiceUnavailable(
            f"The service at {settings.service_address} cannot be reached ({reason}). Start it with `funcx up`, or check the address."
        ) from None


def _opener(settings: Settings) -> urllib.request.OpenerDirector:
    host = urlsplit(settings.service_address).hostname or ""
    if host in {"localhost", "::1"} or host.startswith("127."):
        # A proxy for the web cannot reach this machine's own loopback.
        return urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener()


def _refusal(settings: Settings, status: int, body: bytes) -> Exception:
    try:
        fields = json.loads(body)
        reason = str(fields.get("reason") or fields.get("message") or "")
    except (ValueError, AttributeError):
        reason = ""
    said = reason or f"HTTP status {status}"
    if status >= _SERVER_ERRORS or status in _RETRIED:
        return ServiceUnavailable(f"The service at {settings.service_address} is in trouble: {said}")
    if status == http.HTTPStatus.LOCKED:
        return ResourceLocked(said)
    if status == http.HTTPStatus.UNAUTHORIZED:
        return AuthRequired(f"The service at {settings.service_address} does not accept the token: {said}")
    return UsageError(f"The service at {settings.service_address} refused the endpoint: {said}")
