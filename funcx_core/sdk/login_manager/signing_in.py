"""Signing in with Globus for one service, and out again."""

from __future__ import annotations

import msgspec

from funcx_core.sdk.access import connection_for
from funcx_core.sdk.login_manager.choice import GlobusLogin
from funcx_core.sdk.settings import load_address, save_entry


def login(address: str | None, *, environment: str | None, client_id: str | None, scope: str | None) -> str:
    """Sign in, and remember that the service is used with this login; return its address.

    Raises:
        AuthRequired: nobody is there to sign in, or it did not work.
        NotConfigured: no service is known.
    """
    found = load_address(address)
    saved = GlobusLogin(environment=environment, client_id=client_id, scope=scope)
    saved.manager(None).run_login_flow()
    save_entry(found, msgspec.to_builtins(saved))
    return found


def logout(address: str | None) -> str:
    """Forget what is saved for a service, after revoking a login; return its address.

    Raises:
        ServiceUnavailable: Globus Auth cannot be reached; then nothing is forgotten.
    """
    access = connection_for(address=address)
    access.logout()
    return access.settings.service_address
