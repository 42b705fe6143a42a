"""Who may sign in, and how: the section ``[auth]`` of ``service.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from funcx_core.errors import ConfigError, InvalidId
from funcx_core.home import read_private
from funcx_core.ids import parse_id
from funcx_core.transport.loopback import is_loopback

FUNCX_SCOPE: Final = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
MOST_REMEMBERED: Final = 30.0


class GlobusConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[auth.globus]``: sign-in by Globus Auth.

    Attributes:
        client_id: the id under which this service is registered with Globus Auth.
        client_secret_file: file with its secret, mode 0600.
        scope: the scope that clients ask for, and that their tokens must have.
        groups: whether to ask Globus Groups, by a token that depends on the caller's.
    """

    client_id: str
    client_secret_file: Path
    scope: str = FUNCX_SCOPE
    groups: bool = True

    def check(self) -> None:
        """Refuse what cannot work; see `AuthConfig.check`."""
        try:
            parse_id(self.client_id)
        except InvalidId:
            raise ConfigError(f"auth.globus.client_id is '{self.client_id[:100]}', which is no UUID.") from None
        self.secret()

    def secret(self) -> str:
        """Return the secret.

        Raises:
            ConfigError: the file cannot be read, others may read it, or it is empty.
        """
        try:
            found = read_private(self.client_secret_file).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"auth.globus.client_secret_file {self.client_secret_file}: {error}.") from None
        if not found:
            raise ConfigError(f"auth.globus.client_secret_file {self.client_secret_file} is empty.")
        return found


class JupyterHubConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[auth.jupyterhub]``: users of a JupyterHub sign in with its API tokens, which every notebook of theirs has.

    Attributes:
        api_url: of the Hub, such as ``https://hub.example.org/hub/api``.
        service: the name under which the Hub knows this service. A token needs the scope ``access:services`` for it.
    """

    api_url: str
    service: str = "funcx"

    def check(self) -> None:
        """Refuse what cannot work or is not safe; see `AuthConfig.check`."""
        parts = urlsplit(self.api_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(
                f"auth.jupyterhub.api_url is '{self.api_url[:200]}'; it looks like https://hub.example.org/hub/api."
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigError(
                f"auth.jupyterhub.api_url is '{self.api_url[:200]}': tokens would travel in the clear. Use https."
            )


class AuthConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may sign in. Tokens that this service makes itself are always taken.

    Attributes:
        remember_seconds: for how long the answer of a provider is remembered, 0 to 30.
        credentials_days: lifetime of the token in ``credentials.json`` of whoever starts the service. It is renewed
            while the service runs.
        client_token_hours: lifetime of tokens that clients get for their id and secret.
        most_token_days: the longest lifetime that users may give to a token they make; 0 for no limit.
        globus: sign-in by Globus Auth, if there is any.
        jupyterhub: sign-in by a JupyterHub, if there is any.
    """

    remember_seconds: float = MOST_REMEMBERED
    credentials_days: float = 30.0
    client_token_hours: float = 48.0
    most_token_days: float = 0.0
    globus: GlobusConfig | None = None
    jupyterhub: JupyterHubConfig | None = None

    def check(self) -> None:
        """Refuse what cannot work or is not safe.

        Raises:
            ConfigError: saying which setting, and what to set instead.
        """
        if not 0 <= self.remember_seconds <= MOST_REMEMBERED:
            raise ConfigError(
                f"auth.remember_seconds is {self.remember_seconds:g}; 0 to {MOST_REMEMBERED:g} are possible."
            )
        if self.credentials_days <= 0 or self.client_token_hours <= 0 or self.most_token_days < 0:
            raise ConfigError(
                "auth.credentials_days and auth.client_token_hours must be more than 0, most_token_days not less."
            )
        for section in (self.globus, self.jupyterhub):
            if section is not None:
                section.check()
