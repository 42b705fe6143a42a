"""`FuncxWebClient`: what a login manager hands over: the address of a service and the authorization for it."""

from __future__ import annotations

import threading
from typing import Any

from funcx_core.sdk.settings import Authorizer, Settings, load_settings
from funcx_core.sdk.web import WebClient


class FuncxWebClient:
    """A service and the authorization for it, with the constructor of funcX 1.0.

    >>> FuncxWebClient(base_url="https://funcx.example.org/v2", authorizer=AccessTokenAuthorizer(token))

    Args:
        base_url: the service; without it the one that is configured.
        authorizer: gives the header of each request; without it the token that is saved for the service.
        app_name: the name of the program, for whoever reads it.
    """

    def __init__(
        self, *, base_url: str | None = None, authorizer: Authorizer | None = None, app_name: str | None = None
    ) -> None:
        self.authorizer = authorizer
        self.app_name = app_name
        self._asked = base_url
        self._web: WebClient | None = None
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str | None:
        """The address that was given."""
        return self._asked

    def get(self, path: str, *, query: str = "") -> Any:
        """Return the JSON at `path` below the service's address."""
        return self._client().get(*path.strip("/").split("/"), query=query)

    def post(self, path: str, body: Any = None) -> Any:
        """Post JSON to `path` below the service's address and return the answer's."""
        return self._client().post(*path.strip("/").split("/"), body=body)

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            if self._web is not None:
                self._web.close()

    def _client(self) -> WebClient:
        with self._lock:
            if self._web is None:
                settings = load_settings(self._asked)
                if self.authorizer is not None:
                    settings = Settings(settings.service_address, "", self.authorizer)
                self._web = WebClient(settings)
            return self._web
