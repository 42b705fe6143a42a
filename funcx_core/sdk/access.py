"""Which service a client talks to and how its requests are authorized: the one seam between a client and signing in."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from funcx_core.errors import ConfigError, UsageError
from funcx_core.home import private_dir
from funcx_core.sdk.settings import Authorizer, Settings, forget_credentials, load_settings, normal_address

if TYPE_CHECKING:
    from funcx_core.sdk.login_manager.protocol import LoginManagerProtocol


class Access(msgspec.Struct, frozen=True):
    """A service, the authorization for it, and who manages that authorization (None: nobody).

    `is_saved`: the authorization is what ``credentials.json`` has for the service.
    """

    settings: Settings
    login_manager: LoginManagerProtocol | None = None
    folder: Path | None = None
    is_saved: bool = True

    def logout(self) -> None:
        """Make worthless and forget what gave access to the service."""
        if self.login_manager is not None:
            self.login_manager.logout()
        if self.is_saved:
            forget_credentials(self.settings.service_address, self.folder)


def connection_for(
    *,
    address: str | None = None,
    token: str | None = None,
    environment: str | None = None,
    funcx_home: str | os.PathLike[str] | None = None,
    login_manager: LoginManagerProtocol | None = None,
    fx_authorizer: Authorizer | None = None,
    search_authorizer: Any = None,
    openid_authorizer: Any = None,
    force_login: bool = False,
) -> Access:
    """Return the access that the arguments of a client's constructor mean. Contacts nobody, unless `force_login` does.

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
        UsageError: two arguments contradict each other, or the login manager hands over what it should not.
    """
    if sum(given is not None for given in (token, login_manager, fx_authorizer)) > 1:
        raise UsageError("Give one of token=, login_manager= and fx_authorizer=: each of them alone gives access.")
    for name, given in (("search_authorizer", search_authorizer), ("openid_authorizer", openid_authorizer)):
        if given is not None:
            warnings.warn(f"{name} is not used any more: the service needs no second one.", DeprecationWarning, 3)
    folder = None if funcx_home is None else _folder(funcx_home)
    settings = load_settings(address, token, environment=environment, folder=folder)
    if fx_authorizer is not None:
        return Access(_authorized(settings, fx_authorizer, None), None, folder, is_saved=False)
    if login_manager is not None:
        if force_login:
            _sign_in_again(login_manager)
        web_client = login_manager.get_funcx_web_client(base_url=settings.service_address)
        settings = _authorized(settings, _authorizer_of(web_client), getattr(web_client, "base_url", None))
        return Access(settings, login_manager, folder, is_saved=False)
    manager = getattr(settings.authorizer, "login_manager", None)
    if force_login and manager is not None:
        _sign_in_again(manager)
    return Access(settings, manager, folder, is_saved=bool(settings.token) or manager is not None)


def _sign_in_again(login_manager: LoginManagerProtocol) -> None:
    login_manager.logout()
    login_manager.ensure_logged_in()


def _authorizer_of(web_client: Any) -> Authorizer:
    authorizer: Any = getattr(web_client, "authorizer", None)
    if not hasattr(authorizer, "get_authorization_header"):
        raise UsageError(
            f"get_funcx_web_client() of the login manager returned a {type(web_client).__name__} without an authorizer. "
            "Return funcx.sdk.web_client.FuncxWebClient(base_url=base_url, authorizer=...)."
        )
    found: Authorizer = authorizer
    return found


def _authorized(settings: Settings, authorizer: Authorizer, base_url: str | None) -> Settings:
    address = normal_address(base_url) if base_url else settings.service_address
    return Settings(address, "", authorizer)


def _folder(funcx_home: str | os.PathLike[str]) -> Path:
    path = Path(funcx_home).expanduser()
    if path.is_file():
        raise ConfigError(f"funcx_home is {path}, which is a file; it must be a folder of your own.")
    return private_dir(path)
