"""The interface behind which sign-in happens."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from funcx_core.service.auth.scopes import ALL, Scope
from funcx_core.service.store.records import User


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and what the token that proves it may be used for."""

    user: User
    scopes: frozenset[Scope] = ALL


class Authenticator(ABC):
    """Turns a bearer token into an identity."""

    @abstractmethod
    async def authenticate(self, token: str) -> Identity:
        """Return whose token this is.

        Called for every request, and for every message of a stream: implementations may remember an answer for a
        moment, but a token that was revoked must be refused within a second.

        Raises:
            AuthRequired: if the token is unknown, revoked or expired; the text says what to do.
        """
