"""`LoginManager`: signs in with Globus Auth and keeps the tokens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from funcx_core.errors import AuthRequired
from funcx_core.home import home as home_folder
from funcx_core.home import private_dir
from funcx_core.sdk.login_manager import scopes as names
from funcx_core.sdk.login_manager.client_login import ClientCredentials, client_credentials
from funcx_core.sdk.login_manager.globus import GlobusAuthorizer, errors_of_globus
from funcx_core.sdk.login_manager.login_flow import sign_in
from funcx_core.sdk.login_manager.old_tokens import as_stored, forget_old_tokens, old_tokens
from funcx_core.sdk.login_manager.scopes import FuncxScopes
from funcx_core.sdk.login_manager.token_store import FILE, TokenStore
from funcx_core.sdk.login_manager.web_client import FuncxWebClient

NATIVE_CLIENT: Final = "4cf29807-cf21-49ec-9443-ff9a3fb9f81c"
"""The id under which Globus Auth knows the clients of funcX. It is public; such programs have no secret."""
USUAL_ENVIRONMENT: Final = "production"

_SIGN_IN: Final = "Sign in again: `funcx login`."
_CHECK_PAIR: Final = "Are FUNCX_SDK_CLIENT_ID and FUNCX_SDK_CLIENT_SECRET right?"


class LoginManager:
    """Signs in with Globus Auth: as a person with a browser, or as a program by FUNCX_SDK_CLIENT_ID and _SECRET.

    Tokens are kept in ``storage.db`` of the funcX folder, apart for each environment and each program. Nothing is opened
    or contacted before the first call. Safe from any thread, and together with other processes.

    Args:
        environment: a name for a set of tokens; without it FUNCX_SDK_ENVIRONMENT, else ``production``.
        client_id: the id of a native app that Globus Auth knows; without it the one of funcX.
        scope: the one that the service was registered with; without it FUNCX_SCOPE, else the one of funcX.
        home: the funcX folder; without it FUNCX_HOME, else ``~/.funcx``.
    """

    def __init__(
        self,
        *,
        environment: str | None = None,
        client_id: str | None = None,
        scope: str | None = None,
        home: Path | None = None,
    ) -> None:
        self._environment = environment or os.environ.get("FUNCX_SDK_ENVIRONMENT") or USUAL_ENVIRONMENT
        self._client_id = client_id or NATIVE_CLIENT
        self._scope = scope
        self._home = home
        self._lock = threading.RLock()

    SCOPES: ClassVar[dict[str, list[str]]] = {
        FuncxScopes.resource_server: [FuncxScopes.all],
        names.AUTH_SERVER: [names.OPENID],
        names.SEARCH_SERVER: [names.SEARCH_SCOPE],
    }

    @property
    def login_requirements(self) -> Iterator[tuple[str, list[str]]]:
        """Resource servers, and the scopes that are needed of each."""
        for resource_server, scopes in self.SCOPES.items():
            of_service = self._scope is not None and resource_server == FuncxScopes.resource_server
            yield resource_server, [str(self._scope)] if of_service else scopes

    def ensure_logged_in(self) -> None:
        """Sign in, unless there are tokens for everything that is needed.

        Raises:
            AuthRequired: somebody has to sign in, and nobody is there.
        """
        with self._lock:
            if not self.is_logged_in():
                self.run_login_flow()

    def is_logged_in(self) -> bool:
        """Whether there are tokens for everything that is needed, or an id and a secret to get them with."""
        if client_credentials() is not None:
            return True
        known = self._tokens()
        return all(server in known for server, _ in self.login_requirements)

    def run_login_flow(self, *, scopes: list[str] | None = None) -> None:
        """Sign in, whether there are tokens or not.

        Args:
            scopes: what to ask for; without them all that is needed.

        Raises:
            AuthRequired: nobody is there to sign in, or it did not work.
        """
        if client_credentials() is not None:
            return
        wanted = scopes or [scope for _, of_server in self.login_requirements for scope in of_server]
        with self._lock:
            response = sign_in(self._native_client(), wanted)
            with errors_of_globus(_SIGN_IN):
                self._store.keep_response(response)

    def logout(self) -> bool:
        """Make all tokens of this environment worthless and forget them; return whether there were any.

        Raises:
            ServiceUnavailable: Globus Auth cannot be reached; then nothing is forgotten.
        """
        with self._lock:
            known = self._tokens()
            credentials = client_credentials()
            client = self._native_client() if credentials is None else _program_client(credentials)
            for token in known.values():
                _revoke(client, [token.refresh_token, token.access_token])
            self._store.remove(known)
            if self._takes_old_tokens:
                forget_old_tokens(self._folder)
            return bool(known)

    def get_auth_client(self) -> Any:
        """Return a `globus_sdk.AuthClient`."""
        from globus_sdk import AuthClient  # noqa: PLC0415 - only who signs in by Globus pays for it

        return AuthClient(authorizer=self.authorizer_for(names.AUTH_SERVER))

    def get_search_client(self) -> Any:
        """Return a `globus_sdk.SearchClient`."""
        from globus_sdk import SearchClient  # noqa: PLC0415 - only who signs in by Globus pays for it

        return SearchClient(authorizer=self.authorizer_for(names.SEARCH_SERVER))

    def get_funcx_web_client(self, *, base_url: str | None = None, app_name: str | None = None) -> FuncxWebClient:
        """Return the client of the service at `base_url`."""
        return FuncxWebClient(
            base_url=base_url, authorizer=self.authorizer_for(FuncxScopes.resource_server), app_name=app_name
        )

    def authorizer_for(self, resource_server: str) -> GlobusAuthorizer:
        """Return an authorizer of globus-sdk that renews its token by itself, and keeps the new one.

        Raises:
            AuthRequired: there is no token to begin with.
        """
        credentials = client_credentials()
        with self._lock:
            token = self._tokens().get(resource_server)
            if credentials is not None:
                return self._of_program(credentials, resource_server, token)
            if token is None:
                raise AuthRequired(f"There is no token for {resource_server}. Run `funcx login`.")
            return self._of_person(token)

    def _of_program(self, credentials: ClientCredentials, resource_server: str, token: Any) -> GlobusAuthorizer:
        from globus_sdk import ClientCredentialsAuthorizer  # noqa: PLC0415 - only who signs in by Globus pays for it

        def make() -> Any:
            return ClientCredentialsAuthorizer(
                _program_client(credentials),
                dict(self.login_requirements)[resource_server],
                access_token=None if token is None else token.access_token,
                expires_at=None if token is None else token.expires_at_seconds,
                on_refresh=self._keep,
            )

        return GlobusAuthorizer(make, _CHECK_PAIR)

    def _of_person(self, token: Any) -> GlobusAuthorizer:
        from globus_sdk import AccessTokenAuthorizer, RefreshTokenAuthorizer  # noqa: PLC0415 - as above

        def make() -> Any:
            if token.refresh_token is None:
                if token.expires_at_seconds < time.time():
                    raise AuthRequired(f"The sign-in has expired. {_SIGN_IN}")
                return AccessTokenAuthorizer(token.access_token)
            return RefreshTokenAuthorizer(
                token.refresh_token,
                self._native_client(),
                access_token=token.access_token,
                expires_at=token.expires_at_seconds,
                on_refresh=self._keep,
            )

        return GlobusAuthorizer(make, _SIGN_IN, until=token.expires_at_seconds)

    def _keep(self, response: Any) -> None:
        with self._lock:
            self._store.keep_response(response)

    def _tokens(self) -> dict[str, Any]:
        store = self._store
        known = store.tokens()
        if not known and self._takes_old_tokens and (old := old_tokens(self._folder)):
            store.keep(as_stored(old))
            known = store.tokens()
        return known

    @property
    def _store(self) -> TokenStore:
        return TokenStore(self._folder / FILE, self._namespace)

    @property
    def _folder(self) -> Path:
        return home_folder() if self._home is None else private_dir(self._home)

    @property
    def _namespace(self) -> str:
        credentials = client_credentials()
        if credentials is None:
            return f"user/{self._environment}"
        return f"clientprofile/{self._environment}/{credentials.client_id}"

    @property
    def _takes_old_tokens(self) -> bool:
        """Whether tokens of 0.x count: they are of a person, and of the one environment that 0.x knew by default."""
        return self._namespace == f"user/{USUAL_ENVIRONMENT}" and self._client_id == NATIVE_CLIENT

    def _native_client(self) -> Any:
        from globus_sdk import NativeAppAuthClient  # noqa: PLC0415 - only who signs in by Globus pays for it

        return NativeAppAuthClient(self._client_id, app_name="funcX")


def _program_client(credentials: ClientCredentials) -> Any:
    from globus_sdk import ConfidentialAppAuthClient  # noqa: PLC0415 - only who signs in by Globus pays for it

    return ConfidentialAppAuthClient(credentials.client_id, credentials.secret, app_name="funcX")


def _revoke(client: Any, tokens: list[str | None]) -> None:
    with errors_of_globus("Nothing was forgotten; try again."):
        for token in tokens:
            if token:
                client.oauth2_revoke_token(token)
