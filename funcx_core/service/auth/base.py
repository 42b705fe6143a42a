"""The interface behind which sign-in happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.store.records import User

LOCAL: Final = "local"
"""Who proved an identity whose token this service made itself."""


async def no_groups() -> frozenset[str]:
    """Return no groups."""
    return frozenset()


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and what the token that proves it may be used for.

    Attributes:
        user: who calls.
        scopes: what the token may be used for.
        proven_by: who vouches for it: ``local``, ``globus`` or ``jupyterhub``.
        expires_at: Unix seconds when the token expires; None if never, or if that is not known.
        digest: SHA-256 of the token.
        groups: asks for the groups that the user is in where the identity was proven, by id. It raises `ServiceUnavailable` if
            nobody answers.
    """

    user: User
    scopes: frozenset[Scope] = ALL
    proven_by: str = LOCAL
    expires_at: float | None = None
    digest: str = ""
    groups: Callable[[], Awaitable[frozenset[str]]] = no_groups


class Authenticator(ABC):
    """Turns a bearer token into an identity."""

    @abstractmethod
    async def authenticate(self, token: str) -> Identity:
        """Return whose token this is.

        Called for every request, and for every message of a stream: implementations may remember an answer for up to 30
        seconds, but a token that was revoked here must be refused at once, and one that this service made and that
        another process revoked, within a second.

        Raises:
            AuthRequired: if the token is unknown, revoked or expired; the text says what to do.
            ServiceUnavailable: if whoever knows does not answer.
        """

    @abstractmethod
    def forget(self, digest: str) -> None:
        """Remember nothing any more of the token with this SHA-256: it was revoked."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads."""


class Provider(ABC):
    """Somebody elsewhere who knows whose token it is.

    Attributes:
        name: in `Identity.proven_by`.
        title: for people.
        advice: what somebody does whose token is refused.
    """

    name: str
    title: str
    advice: str

    @abstractmethod
    def accepts(self, token: str) -> bool:
        """Whether a token looks like one of this provider's; it is shown to no other."""

    @abstractmethod
    async def identify(self, token: str) -> Identity | None:
        """Return whose token it is, or None if the provider does not know it or it is not for this service.

        Raises:
            ServiceUnavailable: the provider does not answer.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections and threads."""
