"""The scopes that a login asks Globus Auth for."""

from __future__ import annotations

import os
from typing import Final

SERVICE_SCOPE: Final = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
"""What published clients ask for. A service that is registered with Globus Auth under an id of its own has another."""
OPENID: Final = "openid"
SEARCH_SCOPE: Final = "urn:globus:auth:scope:search.api.globus.org:all"

AUTH_SERVER: Final = "auth.globus.org"
SEARCH_SERVER: Final = "search.api.globus.org"


class _FuncxScopes:
    """The scope of a funcX service, and under which name its token is kept."""

    resource_server: Final = "funcx_service"

    @property
    def all(self) -> str:
        """The one scope there is: FUNCX_SCOPE, else that of published clients."""
        return os.environ.get("FUNCX_SCOPE") or SERVICE_SCOPE


FuncxScopes: Final = _FuncxScopes()
