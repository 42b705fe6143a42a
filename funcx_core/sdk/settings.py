"""Which service to talk to, and as whom: looked up here for clients, endpoints and the fabric alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from funcx_core.errors import AuthRequired, ConfigError, NotConfigured
from funcx_core.home import home, read_private, write_private

LOCAL_ADDRESS: Final = "http://localhost:5000/v2"
SERVICE_FILE: Final = "service.json"
CREDENTIALS_FILE: Final = "credentials.json"
BROKER_FILE: Final = "forwarder-service.json"


class Authorizer(Protocol):
    """Gives the authorization of each request. Every authorizer of globus-sdk is one."""

    def get_authorization_header(self) -> str | None:
        """Return the value of the ``Authorization`` header; None for no header."""

    def handle_missing_authorization(self) -> bool:
        """The service answered 401. Whether another header can be had, so that trying once more makes sense."""


class SavedToken:
    """The token that ``credentials.json`` has for a service: signing in again elsewhere gives another one. Safe from any thread.

    Args:
        address: of the service.
        token: what the file has now.
        folder: where the file is; None for ``~/.funcx`` or FUNCX_HOME.
    """

    def __init__(self, address: str, token: str, folder: Path | None) -> None:
        self.token = token
        self._key = (address, folder)

    def renew(self) -> bool:
        """Read the file again; whether it has another token."""
        address, folder = self._key
        try:
            found = _saved_entry(address, folder).get("token")
        except ConfigError:
            return False  # Somebody is at it.
        if not isinstance(found, str) or found in {"", self.token}:
            return False
        self.token = found
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SavedToken) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


class Settings(msgspec.Struct, frozen=True):
    """A service's address, ending in ``/v2``, and the bearer token for it; an empty token if none is known.

    With an `authorizer` its header is used in place of the token. `saved`: where the token comes from, if it may change there.
    """

    service_address: str
    token: str = ""
    authorizer: Authorizer | None = None
    saved: SavedToken | None = None

    @property
    def stream_address(self) -> str:
        """Address of the stream (a WebSocket)."""
        return f"ws{self.service_address.removeprefix('http')}/stream"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries. Ask for each request anew: an authorizer renews its token."""
        if self.authorizer is None:
            return {"Authorization": f"Bearer {self.token if self.saved is None else self.saved.token}"}
        header = self.authorizer.get_authorization_header()
        return {} if header is None else {"Authorization": header}

    def renew(self) -> bool:
        """The service answered 401. Whether trying once more makes sense, with other headers."""
        if self.saved is not None:
            return self.saved.renew()
        renew = getattr(self.authorizer, "handle_missing_authorization", None)  # old authorizers have only the header
        return renew is not None and bool(renew())

    @property
    def follows_sign_ins(self) -> bool:
        """Whether somebody who signs in again elsewhere changes the headers."""
        return self.saved is not None or hasattr(self.authorizer, "login_manager")

    def require_token(self) -> Settings:
        """Return these settings if they have a token.

        Raises:
            AuthRequired: if not, with what to type.
        """
        if self.token or self.authorizer is not None:
            return self
        raise AuthRequired(
            f"No token for {self.service_address} is known. If it runs on this machine: `funcx up` saves one. "
            "Else `funcx token` prints one on its machine; set FUNCX_TOKEN to it, or pass token=."
        )

    def __repr__(self) -> str:
        return f"Settings({self.service_address!r})"  # The token is a secret, and settings appear in tracebacks.


def load_settings(
    address: str | None = None,
    token: str | None = None,
    *,
    environment: str | None = None,
    folder: Path | None = None,
) -> Settings:
    """Return the service to use and the token for it.

    The address is the argument, else the one meant by `environment`, else FUNCX_SERVICE_ADDRESS, else the one meant by
    FUNCX_SDK_ENVIRONMENT, else that of the service that `funcx up` started. The token is the argument, else FUNCX_TOKEN,
    else what FUNCX_SDK_CLIENT_ID and _SECRET give, else what is saved for the address: a token, or a login. Files are looked for in `folder`, else in ``~/.funcx`` or FUNCX_HOME.

    Raises:
        NotConfigured: if no service is known, with what to type.
        ConfigError: if the address or one of the files cannot be used.
    """
    found = load_address(address, environment=environment, folder=folder)
    return _as_whom(found, token or os.environ.get("FUNCX_TOKEN") or "", folder)


def load_address(address: str | None = None, *, environment: str | None = None, folder: Path | None = None) -> str:
    """Return the address of the service to use; see `load_settings`."""
    return normal_address(
        address
        or _by_environment(environment, "environment")
        or os.environ.get("FUNCX_SERVICE_ADDRESS")
        or _by_environment(os.environ.get("FUNCX_SDK_ENVIRONMENT"), "FUNCX_SDK_ENVIRONMENT")
        or _started(folder)
    )


def broker_settings(address: str | None = None) -> Settings:
    """Return where the `forwarder-service` of this user listens, and its token.

    Args:
        address: where it is said to be; None for wherever it is.

    Raises:
        NotConfigured: none runs, or it runs elsewhere.
    """
    found = _read_object(home() / BROKER_FILE)
    runs_at = str(found.get("address", ""))
    wanted = runs_at if address is None else address.rstrip("/") if "//" in address else f"http://{address}"
    if not runs_at or wanted != runs_at:
        place = (
            f" It runs at {runs_at}." if runs_at else " Start it: forwarder-service --address 127.0.0.1 --port 50005"
        )
        raise NotConfigured(f"There is no forwarder-service{' at ' + wanted if wanted else ''}.{place}")
    return Settings(runs_at, str(found.get("token", "")))


def save_credentials(address: str, token: str) -> None:
    """Remember the token for a service, for this user only."""
    save_entry(address, {"token": token})


def save_entry(address: str, entry: dict[str, Any], folder: Path | None = None) -> None:
    """Remember how to be authorized at a service: ``{"token": …}``, or ``{"login": "globus"}``."""
    path = (folder or home()) / CREDENTIALS_FILE
    entries = {**_read_object(path), normal_address(address): entry}
    write_private(path, msgspec.json.format(msgspec.json.encode(entries)))


def forget_credentials(address: str, folder: Path | None = None) -> None:
    """Forget the token for a service that is saved in `folder`, else in ``~/.funcx`` or FUNCX_HOME."""
    path = (folder or home()) / CREDENTIALS_FILE
    tokens = _read_object(path)
    if tokens.pop(normal_address(address), None) is not None:
        write_private(path, msgspec.json.format(msgspec.json.encode(tokens)))


def normal_address(address: str) -> str:
    """Return an address as ``http(s)://host[:port]/v2``; the path may be left out.

    Raises:
        ConfigError: if it is not the address of a service.
    """
    parts = urlsplit(address.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"'{address[:200]}' is not a service address; it looks like http://127.0.0.1:5000/v2.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v2'}"


def _by_environment(name: str | None, given_by: str) -> str | None:
    if not name:
        return None
    if name == "local":
        return LOCAL_ADDRESS
    raise ConfigError(
        f"{given_by} is '{name}', but the hosted services are gone; only 'local' is known. "
        "Leave it out, or name the address of a service: FUNCX_SERVICE_ADDRESS."
    )


def _started(folder: Path | None) -> str:
    address = _read_object((folder or home()) / SERVICE_FILE).get("service_address")
    if not isinstance(address, str):
        raise NotConfigured(
            "No funcX service is configured. Start one here with `funcx up`, or set FUNCX_SERVICE_ADDRESS to the address of yours."
        )
    return address


def _as_whom(address: str, token: str, folder: Path | None) -> Settings:
    if token:
        return Settings(address, token)
    if os.environ.get("FUNCX_SDK_CLIENT_ID") or os.environ.get("FUNCX_SDK_CLIENT_SECRET"):
        from funcx_core.sdk.login_manager.choice import program_authorizer  # noqa: PLC0415 - only who signs in pays for it

        return Settings(address, authorizer=program_authorizer(address, folder))
    entry = _saved_entry(address, folder)
    if "login" in entry:
        from funcx_core.sdk.login_manager.choice import LoginAuthorizer, saved_login  # noqa: PLC0415 - as above

        return Settings(address, authorizer=LoginAuthorizer(saved_login(entry, address), folder, None))
    found = entry.get("token")
    if not isinstance(found, str):
        return Settings(address)
    return Settings(address, found, saved=SavedToken(address, found, folder))


def _saved_entry(address: str, folder: Path | None) -> dict[str, Any]:
    saved = _read_object((folder or home()) / CREDENTIALS_FILE).get(address)
    return saved if isinstance(saved, dict) else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = read_private(path) if path.name in {CREDENTIALS_FILE, BROKER_FILE} else path.read_bytes()
        return msgspec.json.decode(content, type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Run `funcx up` to write it anew, or remove it.") from error
