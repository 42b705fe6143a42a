"""Tokens that funcX 0.x saved in ``credentials/funcx_sdk_tokens.json``: read, so that nobody has to sign in again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError

FILE: Final = Path("credentials") / "funcx_sdk_tokens.json"


class OldToken(msgspec.Struct, frozen=True):
    """A token as 0.x saved it."""

    access_token: str
    resource_server: str
    scope: str = ""
    refresh_token: str | None = None
    expires_at_seconds: int = 0
    token_type: str | None = "Bearer"  # noqa: S105 - no secret

    def __repr__(self) -> str:
        return f"OldToken({self.resource_server!r})"  # a secret must not end up in a traceback or log


def old_tokens(home: Path) -> dict[str, OldToken]:
    """Return the tokens in the file of 0.x below `home`, by resource server; empty if there is no such file.

    Raises:
        ConfigError: the file is there but cannot be read.
    """
    path = home / FILE
    try:
        path.chmod(0o600)  # 0.x left that to the umask
        content = path.read_bytes()
        return msgspec.json.decode(content, type=dict[str, OldToken]) if content.strip() else {}
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} cannot be read: {error}. Move it away and sign in again.") from None


def forget_old_tokens(home: Path) -> None:
    """Remove the file of 0.x."""
    (home / FILE).unlink(missing_ok=True)


def as_stored(tokens: dict[str, OldToken]) -> dict[str, Any]:
    """Return the tokens in the form that `TokenStore.keep` takes."""
    from globus_sdk.token_storage import TokenStorageData  # noqa: PLC0415 - only who signs in by Globus pays for it

    return {
        resource_server: TokenStorageData(
            resource_server=resource_server,
            identity_id=None,
            scope=token.scope,
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            expires_at_seconds=token.expires_at_seconds,
            token_type=token.token_type,
        )
        for resource_server, token in tokens.items()
    }
