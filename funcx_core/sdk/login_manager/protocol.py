"""What a login manager offers. Write one of your own to sign in elsewhere, and pass it as ``login_manager=``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


class Authorizer(Protocol):
    """Where the ``Authorization`` header of each request comes from. Every authorizer of globus-sdk is one.

    An authorizer that can renew its token also has ``handle_missing_authorization() -> bool``. It is called once when the
    service answers 401; if it returns True, the request is sent again with a new header.
    """

    def get_authorization_header(self) -> str | None:
        """Return ``Bearer`` and a token, or None to send no header."""


@runtime_checkable
class LoginManagerProtocol(Protocol):
    """The five methods of a login manager, as in funcX 1.0.6.

    Only `ensure_logged_in` and `get_funcx_web_client` are needed to call the service. What the latter returns has an
    ``authorizer`` and a ``base_url``: a `funcx.sdk.web_client.FuncxWebClient`, or any client of globus-sdk.
    """

    def ensure_logged_in(self) -> None:
        """Sign in, unless that was done before. Called once, before the first request."""

    def logout(self) -> bool:
        """Make the saved tokens worthless and forget them; return whether there were any."""

    def get_auth_client(self) -> Any:
        """Return a `globus_sdk.AuthClient` of the user."""

    def get_search_client(self) -> Any:
        """Return a `globus_sdk.SearchClient` of the user."""

    def get_funcx_web_client(self, *, base_url: str | None = None) -> Any:
        """Return the client of the service at `base_url`."""
