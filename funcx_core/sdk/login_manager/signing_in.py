"""Signing in for one service, with Globus or by a code, and out again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing

import msgspec

from funcx_core.errors import ConfigError, FuncxError, UsageError
from funcx_core.sdk.access import connection_for
from funcx_core.sdk.login_manager.choice import GlobusLogin
from funcx_core.sdk.login_manager.code_login import sign_in_by_code
from funcx_core.sdk.settings import Settings, load_address, load_settings, save_entry
from funcx_core.sdk.web import WebClient


def login(address: str | None, globus: GlobusLogin, *, by_code: bool, say: Callable[[str], None]) -> str:
    """Sign in as was asked for, else as is usual at the service; return its address.

    Args:
        address: of the service; None for the one that is configured.
        globus: which login with Globus, if it is one.
        by_code: whether by a code in any case.
        say: shows the line with the code.

    Raises:
        AuthRequired: nobody is there to sign in, or it did not work.
        NotConfigured: no service is known.
        UsageError: the arguments contradict each other.
    """
    if by_code and globus != GlobusLogin():
        raise UsageError(
            "Environment, client id and scope are those of a login with Globus; a code needs none of them."
        )
    if by_code or (globus == GlobusLogin() and not _is_by_globus(address)):
        return login_by_code(address, say=say)
    return login_by_globus(address, globus)


def login_by_globus(address: str | None, globus: GlobusLogin) -> str:
    """Sign in with Globus, and remember that the service is used with this login; return its address. Raises as `login`."""
    found = load_address(address)
    globus.manager(None).run_login_flow()
    save_entry(found, msgspec.to_builtins(globus))
    return found


def login_by_code(address: str | None, *, say: Callable[[str], None]) -> str:
    """Sign in by a code that is typed in a browser elsewhere, and keep the token; return the service's address.

    Raises as `login`, and `ConfigError` if FUNCX_TOKEN is set, which comes first.
    """
    found = load_address(address)
    if os.environ.get("FUNCX_TOKEN"):
        raise ConfigError(f"FUNCX_TOKEN is set and comes before what you would save for {found}: change or unset it.")
    return sign_in_by_code(found, say=say)


def logout(address: str | None) -> str:
    """Forget what is saved for a service, after revoking a login; return its address.

    Raises:
        ServiceUnavailable: Globus Auth cannot be reached; then nothing is forgotten.
    """
    access = connection_for(address=address)
    access.logout()
    return access.settings.service_address


def _is_by_globus(address: str | None) -> bool:
    """Whether a service is signed in to with Globus: it is now, or the service says so. One that does not say is old.

    Globus needs somebody who pastes a code, so never where there is no terminal.
    """
    settings = load_settings(address)
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    if hasattr(settings.authorizer, "login_manager"):
        return True
    try:
        with closing(WebClient(Settings(settings.service_address), tries=1)) as web:
            return "globus" in web.get("sign_in")["ways"]
    except (FuncxError, KeyError, TypeError):
        return True
