"""The verbs of `%funcx` about who one is to the service."""

from __future__ import annotations

import getpass
import os
from contextlib import closing
from typing import Any, Final

from funcx_core.errors import AuthRequired, ConfigError
from funcx_core.sdk.settings import Settings, load_settings, save_credentials
from funcx_core.sdk.web import WebClient
from funcx_jupyter.display.tables import Text
from funcx_jupyter.errors import AuthError, MagicArgumentError
from funcx_jupyter.local_fabric import is_own_service, up
from funcx_jupyter.verbs.desk import Desk

_TRIES: Final = 2
"""Somebody waits."""


def login(desk: Desk, *, token: bool = False, globus: bool = False, code: bool = False) -> Text:
    """Sign in to the service: by a code to type on its page (--code), with a token (--token), Globus (--globus), or as is usual."""
    if token + globus + code > 1:
        raise MagicArgumentError("One of --code, --token and --globus: `%funcx login --code`.")
    settings = load_settings()
    host = settings.service_address.removesuffix("/v2")
    if os.environ.get("FUNCX_TOKEN"):
        raise ConfigError(f"FUNCX_TOKEN is set and comes before what you would save for {host}: change or unset it.")
    if not (token or globus or code) and is_own_service(settings.service_address):
        up()  # It makes a new token for whoever may read its database, which is us.
    elif code or not (token or globus or desk.may_ask()):
        _by_code(settings)
    elif globus or (not token and hasattr(settings.authorizer, "login_manager")):
        _by_globus(desk, settings)
    else:
        _by_token(desk, settings)
    desk.session.close()
    return whoami(desk)


def logout(desk: Desk) -> Text:
    """Forget the saved token for the service; a login with Globus is revoked, too."""
    from funcx_core.sdk.login_manager import signing_in  # noqa: PLC0415 - the magics load faster without it

    address = signing_in.logout(load_settings().service_address)
    desk.session.close()
    return Text(f"What was saved for {address.removesuffix('/v2')} is forgotten.")


def whoami(desk: Desk) -> Text:
    """Show as whom the service knows you."""
    settings = load_settings()
    host = settings.service_address.removesuffix("/v2")
    try:
        found = _identity(settings)
    except AuthRequired as error:
        raise desk.session.connection.presented(error) from None
    return Text(f"You are {found['username']} at {host}, by {_means(settings)}.")


def _by_code(settings: Settings) -> None:
    from funcx_core.sdk.login_manager.code_login import sign_in_by_code  # noqa: PLC0415 - as above

    try:
        sign_in_by_code(settings.service_address, say=lambda line: print(line, flush=True))  # noqa: T201 - somebody is to read it
    except KeyboardInterrupt:
        raise AuthError("The sign-in was interrupted, and nothing was saved. `%funcx login` begins anew.") from None


def _by_globus(desk: Desk, settings: Settings) -> None:
    from funcx_core.sdk.login_manager import signing_in  # noqa: PLC0415 - as above
    from funcx_core.sdk.login_manager.choice import GlobusLogin  # noqa: PLC0415 - as above

    _check_that_somebody_may_be_asked(desk, settings)
    manager = getattr(settings.authorizer, "login_manager", None)
    if manager is not None:
        manager.run_login_flow()
    else:
        signing_in.login_by_globus(settings.service_address, GlobusLogin())


def _by_token(desk: Desk, settings: Settings) -> None:
    _check_that_somebody_may_be_asked(desk, settings)
    address = settings.service_address
    text = getpass.getpass(
        f"A token for {address.removesuffix('/v2')} (`funcx token` prints one on its machine; none: sign in by a code): "
    ).strip()
    if not text:
        _by_code(settings)
        return
    try:
        _identity(Settings(address, text))
    except AuthRequired as error:
        raise AuthError(f"Nothing was saved: {error}") from None
    save_credentials(address, text)


def _check_that_somebody_may_be_asked(desk: Desk, settings: Settings) -> None:
    if not desk.may_ask():
        address = settings.service_address.removesuffix("/v2")
        raise AuthError(
            f"Nobody can be asked here: this front end takes no input. `%funcx login --code` needs none for {address}."
        )


def _identity(settings: Settings) -> dict[str, Any]:
    with closing(WebClient(settings.require_token(), tries=_TRIES)) as web:
        return dict(web.get("authenticate"))


def _means(settings: Settings) -> str:
    if settings.authorizer is not None:
        by_person = hasattr(settings.authorizer, "login_manager") and not os.environ.get("FUNCX_SDK_CLIENT_ID")
        return "a login with Globus" if by_person else "FUNCX_SDK_CLIENT_ID and FUNCX_SDK_CLIENT_SECRET"
    return "FUNCX_TOKEN" if os.environ.get("FUNCX_TOKEN") else "the saved token"
