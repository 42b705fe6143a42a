"""Tokens that this service makes and keeps itself. Nobody signs in on their own laptop."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from funcx_core.errors import AuthRequired
from funcx_core.service.auth.base import Authenticator, Identity
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Token, User

PREFIX: Final = "fxt_"
"""Makes a token recognisable in logs and to secret scanners."""
REMEMBER_SECONDS: Final = 1.0
REMEMBER_MOST: Final = 10_000

_HINT: Final = "Run `funcx token` where the service runs to get one, and send it as 'Authorization: Bearer <token>'."


class LocalTokens(Authenticator):
    """Opaque random tokens; the store has only their SHA-256.

    `now` gives Unix seconds, for expiry; `monotonic` gives seconds that never go back, for how long an answer is remembered.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._remembered: dict[str, tuple[float, Identity]] = {}

    async def authenticate(self, token: str) -> Identity:
        """Return whose token this is; see `Authenticator`."""
        digest = digest_of(token)
        now = self._monotonic()
        known = self._remembered.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        identity = await self._look_up(digest)
        if len(self._remembered) >= REMEMBER_MOST:
            self._remembered.clear()
        self._remembered[digest] = (now + REMEMBER_SECONDS, identity)
        return identity

    async def _look_up(self, digest: str) -> Identity:
        self._remembered.pop(digest, None)
        found = await self._store.token(digest)
        if found is None:
            raise AuthRequired(f"This token is not known here. {_HINT}")
        if found.revoked:
            raise AuthRequired(f"This token was revoked. {_HINT}")
        if found.expires_at is not None and found.expires_at <= self._now():
            expired = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found.expires_at))
            raise AuthRequired(f"This token expired on {expired}. {_HINT}")
        user = await self._store.user(found.user_id)
        if user is None:
            raise AuthRequired(f"The user of this token has gone. {_HINT}")
        return Identity(user=user, scopes=found.scopes)

    async def mint(
        self, user: User, *, label: str, lifetime: float | None = None, scopes: frozenset[Scope] = ALL
    ) -> str:
        """Make a token for `user` and return it: the only time its text is known.

        Args:
            user: whom requests with it are from.
            label: what it is for, shown in lists.
            lifetime: seconds until it expires; None for never.
            scopes: what it may be used for.
        """
        text = PREFIX + secrets.token_urlsafe(32)
        now = self._now()
        expires_at = None if lifetime is None else now + lifetime
        await self._store.add_token(
            Token(
                digest=digest_of(text),
                user_id=user.user_id,
                label=label,
                created_at=now,
                expires_at=expires_at,
                scopes=scopes,
            )
        )
        return text

    async def revoke(self, user: User, token: str) -> bool:
        """Make `token` worthless; whether it was one of this user's."""
        digest = digest_of(token)
        self._remembered.pop(digest, None)
        return await self._store.revoke_token(user.user_id, digest)


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def no_token() -> AuthRequired:
    """Return the error for a request without a token."""
    return AuthRequired(f"This service needs a token. {_HINT}")
