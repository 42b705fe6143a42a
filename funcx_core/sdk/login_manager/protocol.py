"""What a login manager offers. Write one of your own to sign in elsewhere, and pass it as ``login_manager=``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class LoginManagerProtocol(Protocol):
    """The five methods of a login manager, as in funcX 1.0.6.

    A client asks it for `get_funcx_web_client` when it is made, and takes the ``authorizer`` and the ``base_url`` of what
    that returns: a `funcx.sdk.web_client.FuncxWebClient`, or any client of globus-sdk. As in 1.0.6, a client never signs in
    with a login manager that it was given: call `ensure_logged_in` before.
    """

    def ensure_logged_in(self) -> None:
        """Sign in, unless that was done before."""

    def logout(self) -> bool:
        """Make the saved tokens worthless and forget them; return whether there were any."""

    def get_auth_client(self) -> Any:
        """Return a `globus_sdk.AuthClient` of the user."""

    def get_search_client(self) -> Any:
        """Return a `globus_sdk.SearchClient` of the user."""

    def get_funcx_web_client(self, *, base_url: str | None = None) -> Any:
        """Return the client of the service at `base_url`."""
