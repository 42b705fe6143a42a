"""The interface behind which sign-in happens."""

from __future__ import annotations

from abc import ABC, abstractmethod

from funcx_core.service.store.records import User


class Authenticator(ABC):
    """Turns a bearer token into a user."""

    @abstractmethod
    async def authenticate(self, token: str) -> User:
        """Return whose token this is.

        Called for every request, and for every message of a stream: implementations may remember an answer for a
        moment, but a token that was revoked must be refused within a second.

        Raises:
            AuthRequired: if the token is unknown, revoked or expired; the text says what to do.
        """
