"""Tokens that this service makes and keeps itself. Nobody signs in on their own laptop."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from funcx_core.errors import AuthRequired
from funcx_core.ids import ClientId
from funcx_core.service.auth.base import Authenticator, Identity
from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.store.base import Store
from funcx_core.service.store.records import Token, User

PREFIX: Final = "fxt_"
"""Makes a token recognisable in logs and to secret scanners."""
SAVED_LABEL: Final = "credentials.json"
"""Of the token that a service makes for whoever starts it, and renews."""
REMEMBER_SECONDS: Final = 1.0
REMEMBER_MOST: Final = 10_000
USE_SECONDS: Final = 600.0
"""How far behind `Token.last_used_at` may be."""

_HINT: Final = "Run `funcx token` where the service runs to get one, and send it as 'Authorization: Bearer <token>'."
_RENEW: Final = "`funcx up` where the service runs renews the one that is saved; `funcx token create` makes another."


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
        self._revocations = 0
        self._noting: set[asyncio.Task[None]] = set()

    async def authenticate(self, token: str) -> Identity:
        """Return whose token this is; see `Authenticator`."""
        digest = digest_of(token)
        now = self._monotonic()
        known = self._remembered.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        revocations = self._revocations
        identity = await self._look_up(digest)
        if revocations != self._revocations:
            return identity  # What was read may be older than a revocation: it counts once.
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
            raise AuthRequired.of_expired(f"This token expired on {expired}. {_RENEW}", found.expires_at)
        user = await self._store.user(found.user_id)
        if user is None:
            raise AuthRequired(f"The user of this token has gone. {_HINT}")
        self._note_use(found)
        return Identity(user=user, scopes=found.scopes, expires_at=found.expires_at, digest=digest)

    def _note_use(self, token: Token) -> None:
        """Record the use of a token, but not each one: a list of tokens tells which of them nobody needs any more."""
        now = self._now()
        if token.last_used_at is not None and now - token.last_used_at < USE_SECONDS:
            return
        noting = asyncio.get_running_loop().create_task(self._store.accounts.used(token.digest, now))
        self._noting.add(noting)
        noting.add_done_callback(self._on_noted)

    def _on_noted(self, done: asyncio.Task[None]) -> None:
        self._noting.discard(done)
        if not done.cancelled():
            done.exception()  # A full disk or a stopping store: it is noted the next time.

    async def mint(
        self,
        user: User,
        *,
        label: str,
        lifetime: float | None = None,
        scopes: frozenset[Scope] = ALL,
        client_id: ClientId | None = None,
    ) -> str:
        """Make a token for `user` and return it: the only time its text is known.

        Args:
            user: whom requests with it are from.
            label: what it is for, shown in lists.
            lifetime: seconds until it expires; None for never.
            scopes: what it may be used for.
            client_id: the client that it is given to, if any.
        """
        text = PREFIX + secrets.token_urlsafe(32)
        now = self._now()
        await self._store.add_token(
            Token(
                digest=digest_of(text),
                user_id=user.user_id,
                label=label,
                created_at=now,
                expires_at=None if lifetime is None else now + lifetime,
                scopes=scopes,
                client_id=client_id,
            )
        )
        return text

    async def renew(self, token: str, lifetime: float) -> None:
        """Let a token expire `lifetime` seconds from now, if it is one that a service saved for whoever started it."""
        digest = digest_of(token)
        found = await self._store.token(digest)
        if found is not None and found.label == SAVED_LABEL:
            await self._store.accounts.extend(digest, self._now() + lifetime)
            self.forget(digest)

    async def revoke(self, user: User, token: str) -> bool:
        """Make `token` worthless; whether it was one of this user's."""
        revoked = await self._store.revoke_token(user.user_id, digest_of(token))
        self.forget(digest_of(token))
        return revoked

    def forget(self, digest: str) -> None:
        """Remember nothing of a token; see `Authenticator`."""
        self._revocations += 1
        self._remembered.pop(digest, None)

    async def close(self) -> None:
        """Finish what is noted."""
        if self._noting:
            await asyncio.wait(self._noting)


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def no_token() -> AuthRequired:
    """Return the error for a request without a token."""
    return AuthRequired(f"This service needs a token. {_HINT}")
