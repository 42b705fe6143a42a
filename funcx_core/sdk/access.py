"""Which service a client talks to and how its requests are authorized: the one seam between a client and signing in."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Protocol

import msgspec

from funcx_core.errors import ConfigError, UsageError
from funcx_core.home import private_dir
from funcx_core.sdk.settings import Authorizer, Settings, forget_credentials, load_settings, normal_address


class LoginManager(Protocol):
    """What a client needs of a login manager; `funcx.sdk.login_manager` has one, and programs may bring their own."""

    def ensure_logged_in(self) -> None:
        """Sign in, unless that was done."""

    def logout(self) -> Any:
        """Revoke and forget what signing in gave."""

    def get_funcx_web_client(self, *, base_url: str | None = None) -> Any:
        """Return a web client for the service at `base_url`; its `authorizer` gives the header of each request."""


class Access(msgspec.Struct, frozen=True):
    """A service, the authorization for it, and who manages that authorization (None: a saved or given token)."""

    settings: Settings
    login_manager: LoginManager | None = None
    folder: Path | None = None

    def logout(self) -> None:
        """Forget what gave access to the service."""
        if self.login_manager is not None:
            self.login_manager.logout()
        else:
            forget_credentials(self.settings.service_address, self.folder)


def connection_for(
    *,
    address: str | None = None,
    token: str | None = None,
    environment: str | None = None,
    funcx_home: str | os.PathLike[str] | None = None,
    login_manager: LoginManager | None = None,
    fx_authorizer: Authorizer | None = None,
    search_authorizer: Any = None,
    openid_authorizer: Any = None,
    force_login: bool = False,
) -> Access:
    """Return the access that the arguments of a client's constructor mean. Contacts nobody.

    Args:
        address: the service; None for the one of the environment, see `load_settings`.
        token: a bearer token for it.
        environment: the name of an environment, instead of the one in FUNCX_SDK_ENVIRONMENT.
        funcx_home: the folder of saved tokens, instead of ``~/.funcx`` or FUNCX_HOME.
        login_manager: gives the authorizer, in place of a token.
        fx_authorizer: the authorizer itself, as releases before 1.0 took it.
        search_authorizer: taken for old callers: the service itself searches.
        openid_authorizer: taken for old callers: the service itself knows who calls.
        force_login: sign out of the login manager and in again. A saved token is read anew in any case.

    Raises:
        NotConfigured: no service is known.
        ConfigError: the address or a file cannot be used.
        UsageError: two arguments contradict each other.
    """
    if sum(given is not None for given in (token, login_manager, fx_authorizer)) > 1:
        raise UsageError("Give one of token=, login_manager= and fx_authorizer=: each of them alone gives access.")
    for name, given in (("search_authorizer", search_authorizer), ("openid_authorizer", openid_authorizer)):
        if given is not None:
            warnings.warn(f"{name} is not used any more: the service needs no second one.", DeprecationWarning, 3)
    folder = None if funcx_home is None else _folder(funcx_home)
    settings = load_settings(address, token, environment=environment, folder=folder)
    if login_manager is not None:
        if force_login:
            login_manager.logout()
            login_manager.ensure_logged_in()
        web_client = login_manager.get_funcx_web_client(base_url=settings.service_address)
        settings = _authorized(settings, web_client.authorizer, getattr(web_client, "base_url", None))
        return Access(settings, login_manager, folder)
    if fx_authorizer is not None:
        return Access(_authorized(settings, fx_authorizer, None), None, folder)
    return Access(settings, None, folder)


def _authorized(settings: Settings, authorizer: Authorizer, base_url: str | None) -> Settings:
    address = normal_address(base_url) if base_url else settings.service_address
    return Settings(address, "", authorizer)


def _folder(funcx_home: str | os.PathLike[str]) -> Path:
    path = Path(funcx_home).expanduser()
    if path.is_file():
        raise ConfigError(f"funcx_home is {path}, which is a file; it must be a folder of your own.")
    return private_dir(path)
