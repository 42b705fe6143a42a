"""Asks whoever can know a token, and remembers the answer for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from funcx_core.errors import AuthRequired
from funcx_core.ids import GroupRef, UserId
from funcx_core.service.auth.base import Authenticator, Identity, Provider
from funcx_core.service.auth.groups import GroupSource
from funcx_core.service.auth.local import PREFIX, digest_of
from funcx_core.service.store.records import User

REMEMBER_MOST: Final = 10_000
REFUSED_SECONDS: Final = 5.0
"""For how long it is remembered that nobody knows a token: whoever tries again and again costs nobody a question."""
LONGEST_TOKEN: Final = 4096


class Chain(Authenticator, GroupSource):
    """Tokens of this service's own are looked up here and shown to nobody; each other one to the one who made it.

    Args:
        local: knows this service's own.
        providers: know the others, asked in this order by the token's form.
        remember_seconds: for how long an answer is remembered.
        now: gives Unix seconds, for expiry.
        monotonic: gives seconds that never go back.
    """

    def __init__(
        self,
        local: Authenticator,
        providers: Sequence[Provider],
        *,
        remember_seconds: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._local = local
        self._providers = providers
        self._remember_seconds = remember_seconds
        self._now = now
        self._monotonic = monotonic
        self._remembered: dict[str, tuple[float, Identity | None]] = {}
        self._asking: dict[str, asyncio.Task[Identity | None]] = {}
        self._groups: dict[UserId, Callable[[], Awaitable[frozenset[str]]]] = {}

    async def authenticate(self, token: str) -> Identity:
        """Return whose token this is; see `Authenticator`."""
        provider = self._provider_of(token)
        if provider is None:
            return await self._local.authenticate(token)
        digest = digest_of(token)
        until, identity = self._remembered.get(digest, (0.0, None))
        if until <= self._monotonic():
            identity = await self._ask_once(provider, token, digest)
        if identity is None or (identity.expires_at is not None and identity.expires_at <= self._now()):
            raise AuthRequired(
                f"{provider.title} does not know this token, or it expired or is not for this service. {provider.advice}"
            )
        return identity

    async def groups_of(self, user: User) -> frozenset[GroupRef]:
        """Return the groups that a user is in where they signed in last; none if they did not since the service started.

        Raises:
            ServiceUnavailable: it cannot be said at the moment.
        """
        ask = self._groups.get(user.user_id)
        return frozenset() if ask is None else frozenset(GroupRef(group) for group in await ask())

    def forget(self, digest: str) -> None:
        """Remember nothing of a token; see `Authenticator`."""
        self._remembered.pop(digest, None)
        self._asking.pop(digest, None)
        self._local.forget(digest)

    def change(self, providers: Sequence[Provider], *, remember_seconds: float) -> Sequence[Provider]:
        """Ask others from now on, and forget what was said; return those that are not asked any more, for the caller to close."""
        gone, self._providers = self._providers, providers
        self._remember_seconds = remember_seconds
        self._remembered.clear()
        self._asking.clear()
        self._groups.clear()
        return gone

    async def close(self) -> None:
        """Let go of the providers' connections and threads."""
        for asking in self._asking.values():
            asking.cancel()
        for provider in self._providers:
            await provider.close()
        await self._local.close()

    def _provider_of(self, token: str) -> Provider | None:
        if token.startswith(PREFIX) or len(token) > LONGEST_TOKEN:
            return None
        return next((provider for provider in self._providers if provider.accepts(token)), None)

    async def _ask_once(self, provider: Provider, token: str, digest: str) -> Identity | None:
        """Ask the provider, or wait for the answer to who asked already."""
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.get_running_loop().create_task(provider.identify(token))
            asking.add_done_callback(lambda done: self._on_answer(digest, done))
        return await asyncio.shield(asking)

    def _on_answer(self, digest: str, done: asyncio.Task[Identity | None]) -> None:
        if self._asking.get(digest) is not done:
            return  # It was revoked meanwhile: the answer may be older than that.
        del self._asking[digest]
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._remembered) >= REMEMBER_MOST:
            self._remembered.clear()
            self._groups.clear()
        identity = done.result()
        if identity is not None:
            self._groups[identity.user.user_id] = identity.groups
        seconds = self._remember_seconds if identity is not None else min(REFUSED_SECONDS, self._remember_seconds)
        self._remembered[digest] = (self._monotonic() + seconds, identity)
