"""Signing in as a program: an id and a secret from the environment, and nobody to ask."""

from __future__ import annotations

import os
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec

from funcx_core.errors import AuthRequired, ConfigError, FuncxError, InvalidId, RemoteProtocolError, ServiceUnavailable
from funcx_core.ids import parse_id
from funcx_core.sdk.login_manager.forms import post_form
from funcx_core.sdk.login_manager.scopes import FuncxScopes

ID_VARIABLE: Final = "FUNCX_SDK_CLIENT_ID"
SECRET_VARIABLE: Final = "FUNCX_SDK_CLIENT_SECRET"  # noqa: S105 - the name of a variable
SERVICE_SECRET: Final = "fxs_"  # noqa: S105 - how a secret begins
"""Begins the secrets that a funcX service makes itself: they are shown to that service only, never to Globus."""

RENEW_BEFORE: Final = 60.0
"""Seconds before its end that a token counts as expired."""


class ClientCredentials(msgspec.Struct, frozen=True):
    """The id and the secret of a program."""

    client_id: str
    secret: str

    def __repr__(self) -> str:
        return f"ClientCredentials({self.client_id!r})"  # a secret must not end up in a traceback or log

    @property
    def is_of_service(self) -> bool:
        """Whether a funcX service made them, so that Globus does not know them."""
        return self.secret.startswith(SERVICE_SECRET)


def client_credentials() -> ClientCredentials | None:
    """Return what FUNCX_SDK_CLIENT_ID and FUNCX_SDK_CLIENT_SECRET say, or None if neither is set.

    Raises:
        ConfigError: only one of them is set, or the id is none.
    """
    client_id, secret = os.environ.get(ID_VARIABLE, ""), os.environ.get(SECRET_VARIABLE, "")
    if not client_id and not secret:
        return None
    if not client_id or not secret:
        missing = SECRET_VARIABLE if client_id else ID_VARIABLE
        raise ConfigError(f"{missing} is not set. Set both {ID_VARIABLE} and {SECRET_VARIABLE}, or neither.")
    try:
        return ClientCredentials(parse_id(client_id), secret)
    except InvalidId:
        raise ConfigError(
            f"{ID_VARIABLE} is '{client_id[:100]}', which is no UUID. Was a name copied in place of the id?"
        ) from None


class ServiceClientAuthorizer:
    """Tokens that a funcX service gives for an id and a secret of its own. Safe from any thread; two of a pair are equal.

    Args:
        address: of the service, ending in ``/v2``.
        credentials: what ``funcx token --client`` printed.
        now: gives Unix seconds.
    """

    def __init__(self, address: str, credentials: ClientCredentials, *, now: Callable[[], float] = time.time) -> None:
        self._url = f"{address.removesuffix('/v2')}/v2/oauth2/token"
        self._credentials = credentials
        self._now = now
        self._key = (address, credentials)
        self._token = ""
        self._expires_at = 0.0
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceClientAuthorizer) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    def get_authorization_header(self) -> str:
        """Return the header; fetch a token if there is none or it is about to expire.

        Raises:
            AuthRequired: the service does not take the id and the secret.
            ServiceUnavailable: it cannot be reached.
        """
        with self._lock:
            if self._now() >= self._expires_at - RENEW_BEFORE:
                self._fetch()
            return f"Bearer {self._token}"

    def handle_missing_authorization(self) -> bool:
        """The service did not take the token: the next header has a new one."""
        with self._lock:
            self._expires_at = 0.0
        return True

    def _fetch(self) -> None:
        granted = _granted(self._url, self._credentials)
        self._token = granted.access_token
        self._expires_at = self._now() + granted.expires_in


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float


def _granted(url: str, credentials: ClientCredentials) -> _Granted:
    basic = b64encode(f"{credentials.client_id}:{credentials.secret}".encode()).decode()
    fields = {"grant_type": "client_credentials", "scope": FuncxScopes.all}
    status, body = post_form(url, fields, {"Authorization": f"Basic {basic}"})
    if status != HTTPStatus.OK:
        raise _refusal(status, url)
    try:
        return msgspec.json.decode(body, type=_Granted)
    except msgspec.MsgspecError:
        raise RemoteProtocolError(f"{url} answers something else than a token. Is the address right?") from None


def _refusal(status: int, url: str) -> FuncxError:
    if status in {400, 401, 403}:
        return AuthRequired(
            f"{url} does not take the id and secret of {ID_VARIABLE} and {SECRET_VARIABLE}. "
            "`funcx token --client` where the service runs makes a new pair."
        )
    if status >= 500 or status == 429:  # noqa: PLR2004 - HTTP statuses
        return ServiceUnavailable(f"{url} answers {status}. Try again in a moment.")
    return RemoteProtocolError(f"{url} answers {status}. Is the address right?")
