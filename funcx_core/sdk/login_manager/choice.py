"""Ways to be authorized other than by a token: chosen by the environment or by what `funcx login` saved."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec

from funcx_core.errors import AuthRequired, ConfigError
from funcx_core.sdk.login_manager.client_login import (
    ClientCredentials,
    ServiceClientAuthorizer,
    client_credentials,
)
from funcx_core.sdk.login_manager.manager import LoginManager
from funcx_core.sdk.login_manager.scopes import FuncxScopes
from funcx_core.sdk.settings import Authorizer


class GlobusLogin(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="login", tag="globus"):
    """That a service is used with a login of Globus Auth, as ``credentials.json`` has it in place of a token.

    Attributes:
        environment: the name of the set of tokens; see `LoginManager`, as for the others.
        client_id: the id of the native app.
        scope: of the service.
    """

    environment: str | None = None
    client_id: str | None = None
    scope: str | None = None

    def manager(self, folder: Path | None) -> LoginManager:
        """Return the login manager that has the tokens."""
        return LoginManager(environment=self.environment, client_id=self.client_id, scope=self.scope, home=folder)


class LoginAuthorizer:
    """The authorizer of a `GlobusLogin`, made when it is first needed. Two of the same login are equal."""

    def __init__(self, login: GlobusLogin, folder: Path | None, credentials: ClientCredentials | None) -> None:
        self._key = (login, folder, credentials)
        self._made: Authorizer | None = None
        self._lock = threading.Lock()

    @property
    def login_manager(self) -> LoginManager:
        """Who signs in and out."""
        login, folder, _ = self._key
        return login.manager(folder)

    def get_authorization_header(self) -> str | None:
        """Return the header.

        Raises:
            AuthRequired: nobody is signed in, or no more.
            ServiceUnavailable: Globus Auth cannot be reached.
        """
        try:
            return self._authorizer().get_authorization_header()
        except AuthRequired:
            self._forget()
            raise

    def handle_missing_authorization(self) -> bool:
        """The service did not take the token: whether the next header has another one."""
        return self._authorizer().handle_missing_authorization()

    def _forget(self) -> None:
        """Whoever signs in again, perhaps in another process, leaves other tokens: they are read the next time."""
        with self._lock:
            self._made = None

    def _authorizer(self) -> Authorizer:
        with self._lock:
            if self._made is None:
                self._made = self.login_manager.authorizer_for(FuncxScopes.resource_server)
            return self._made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoginAuthorizer) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


def program_authorizer(address: str, folder: Path | None) -> Authorizer | None:
    """Return the authorizer that FUNCX_SDK_CLIENT_ID and FUNCX_SDK_CLIENT_SECRET mean for a service; None without them.

    Raises:
        ConfigError: only one of them is set, or the id is none.
    """
    credentials = client_credentials()
    if credentials is None:
        return None
    if credentials.is_of_service:
        return ServiceClientAuthorizer(address, credentials)
    return LoginAuthorizer(GlobusLogin(), folder, credentials)


def saved_login(entry: dict[str, Any], address: str) -> GlobusLogin:
    """Return the login that ``credentials.json`` has for a service.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return msgspec.convert(entry, GlobusLogin)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"The login that is saved for {address} cannot be read ({error}). Sign in again: `funcx login {address}`."
        ) from None
